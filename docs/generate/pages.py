"""The generated pages: file in `docs/` -> the function that returns its text."""

from collections.abc import Callable

from benchmarks.cross_implementation.page import render
from docs.generate import claims, commands, findings, leaderboard, study_file, verdicts
from docs.generate.results import Results
from imbalance_bench.catalogue import catalogue_markdown
from imbalance_bench.models import encoder_presets

PAGES: dict[str, Callable[[], str]] = {
    "study_file.md": study_file.page,
    "commands.md": commands.page,
    "methods.md": catalogue_markdown,
    "encoders.md": encoder_presets.page,
    "verdicts.md": verdicts.page,
    "conformance.md": render,
    "claims.md": claims.page,
    "leaderboard.md": leaderboard.page,
}
if Results().has(findings.BENCH):  # nothing is reported before it was measured
    PAGES["findings.md"] = findings.page
