"""The command line: `main.py` is the group, one file a family of commands, and `*_view.py` shows their results."""
