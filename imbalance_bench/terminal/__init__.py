"""What a person at a terminal sees: tables, progress, sentences. Each file serves the commands of one topic."""
