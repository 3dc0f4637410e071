"""The console script: signals are handled before anything slow is imported."""

import sys

from imbalance_bench.interruption import Interrupted, stop_signals


def start() -> None:
    """Run the command line."""
    try:
        with stop_signals():
            from imbalance_bench.cli.main import main

            main()
    except Interrupted as error:  # before or after the command, which handles it itself
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
