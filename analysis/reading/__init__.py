"""A finished analysis as others read it: its tables, its verdicts and the words for them. No matplotlib, no torch."""
