"""The table of docs/performance.md: one function for each group of rows, each measured beside what it is compared with."""
