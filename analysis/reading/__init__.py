"""A finished analysis: its tables, its verdicts, and how to word and colour them. Without matplotlib and torch."""
