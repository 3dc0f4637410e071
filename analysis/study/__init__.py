"""A study as the analysis sees it: its plan, its finished runs, what may be paired, and its data set."""
