"""The console script: signals are handled before anything slow is imported."""

from imbalance_bench.interruption import stop_signals


def start() -> None:
    """Run the command line."""
    with stop_signals():
        from imbalance_bench.cli.main import main

        main()
