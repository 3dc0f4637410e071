"""The generated pages: file in `docs/` -> the function that returns its text."""

from collections.abc import Callable

from benchmarks.cross_implementation.page import render
from docs.generate import commands, study_file, verdicts
from imbalance_bench.catalogue import catalogue_markdown
from imbalance_bench.models import encoder_presets

PAGES: dict[str, Callable[[], str]] = {
    "study_file.md": study_file.page,
    "commands.md": commands.page,
    "methods.md": catalogue_markdown,
    "encoders.md": encoder_presets.page,
    "verdicts.md": verdicts.page,
    "conformance.md": render,
}
