"""Assemble `report/index.html` from what `analyze` wrote."""

import base64
import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from analysis.plots.inline import dark_variables
from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import MINUS, number, probability, tone, words
from analysis.report.answer import answers, first_table
from analysis.report.classes import class_cards
from analysis.report.details import detail_tables
from analysis.report.figures import make_figures
from analysis.report.glossary import TERMS
from analysis.report.paper_tables import write_paper_tables
from analysis.report.provenance import provenance
from analysis.report.tables import make_tables
from analysis.verdicts import Topic, Word
from imbalance_bench.manifest import write_atomically

HERE = Path(__file__).resolve().parent
CARDS = HERE.parent / "cards"  # its parts are shared by the section on classes


def build_report(root: Path) -> Path:
    """Write `report/index.html`, `figures/` and `tables/` of an analysed study.

    Args:
        root: The study directory, after `imbalance-bench analyze`.

    Returns:
        The page.

    Raises:
        UserError: `root` is not a study directory, or was not analysed.
    """
    return write_report(AnalysedStudy.open(Path(root)))


def write_report(study: AnalysedStudy) -> Path:
    """Write the same of a study that is open, and return the page."""
    write_paper_tables(study, study.root / "tables")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    content = {
        "study": study,
        "facts": facts(study),
        "question": study.plan.get("question", ""),
        "answers": answers(study),
        "first": first_table(study),
        "has_models": has_models(study),
        "terms": TERMS,
        "verdict_words": {word: word.meaning for word in Word},
        "open_words": (Word.NOT_TESTABLE, Word.NOT_SEPARABLE),
        "unfinished": [sentence for sentence in (unfinished(study), study.remark) if sentence],
        "figures": make_figures(study, study.root / "figures"),
        "tables": make_tables(study, study.root / "tables", detail_tables(study)),
        "classes": class_cards(study),
        "verdicts": study.verdicts,
        "rules": list(dict.fromkeys(verdict.rule for verdict in study.verdicts if verdict.rule)),
        "provenance": provenance(study),
        "style": Markup((HERE / "page.css").read_text(encoding="utf-8") + (CARDS / "cards.css").read_text("utf-8")),
        "dark_figures": dark_variables(),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    page = once(_environment().get_template("page.html.j2").render(content))
    target = study.root / "report" / "index.html"
    write_atomically(target, lambda file: file.write(page.encode()))
    return target


def facts(study: AnalysedStudy) -> list[str]:
    """Return the line below the title: data set, classes, images, methods, seeds, runs."""
    runs, dataset = study.table("runs"), study.dataset
    models = max(1, len(study.controls)) if has_models(study) else 1
    n_methods = len(study.methods) // models
    finished = int((runs["state"] == "done").sum())
    folds = runs["fold"].nunique()
    return [
        f"data set {dataset['name']}",
        f"{len(study.class_names)} classes",
        f"{dataset.get('n_images', 0)} images",
        f"{n_methods} methods" + (f" under {models} models" if models > 1 else ""),
        f"{runs['seed'].nunique()} seed{'s' if runs['seed'].nunique() != 1 else ''}",
        f"{folds} fold{'s' if folds != 1 else ''}",
        f"{finished} of {len(runs)} runs finished",
    ]


def has_models(study: AnalysedStudy) -> bool:
    """Return whether the study compares several models."""
    return any(len(study.table(name)) for name in ("model_interactions", "model_differences"))


def unfinished(study: AnalysedStudy) -> str:
    """Return the sentence of the analysis on runs that did not finish; empty if all finished."""
    limits = (verdict for verdict in study.verdicts if (verdict.topic, verdict.aspect) == (Topic.DATA, "runs"))
    return next((limit.sentence for limit in limits), "")


def once(page: str) -> str:
    """Return a page in which every picture is stored once; `page.js` shows it again where it is repeated."""
    seen: dict[str, str] = {}

    def image(match: re.Match[str]) -> str:
        if match[1] in seen:
            return f'<img data-like="{seen[match[1]]}"'
        seen[match[1]] = f"picture-{len(seen)}"
        return f'<img id="{seen[match[1]]}" src="{match[1]}"'

    return re.sub(r'<img src="(data:[^"]*)"', image, page)


def with_code(text: str) -> Markup:
    """Return a sentence in which what stands between backticks is code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def written_numbers(numbers: Mapping[str, Any]) -> str:
    """Return the numbers behind a verdict as one line."""
    return ", ".join(f"{words(key)} {_value_text(key, value)}" for key, value in numbers.items() if value is not None)


def _value_text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, int):
        return str(value).replace("-", MINUS)
    if not math.isfinite(value):
        return str(value)
    return probability(value) if "p" in key.split("_") else number(value)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([HERE, CARDS]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=words, tone=tone, numbers=written_numbers, code=with_code)
    return environment
