"""The table of docs/performance.md: each group of rows is measured beside what it is compared with."""
