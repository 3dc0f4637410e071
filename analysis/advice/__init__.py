"""From how rare and how hard the classes of a data set are to a shortlist of methods, with what speaks for each."""
