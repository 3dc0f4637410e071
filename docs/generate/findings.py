"""The page `findings.md`: the template beside this file, filled from the committed tables."""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.schema import rows_of
from benchmarks.causal_bench.answers import ATTRIBUTED
from docs.generate.results import MissingResultError, Results

BENCH = "causal_bench"
TEMPLATE = "findings.md.j2"
TISSUE = ("consep", "consep_tuned", "glas", "glas_finetuned")
ARM = {"series": "wide", "decoder": "tied_detail"}


def page(results: Results | None = None) -> str:
    """Return the page as Markdown.

    Raises:
        MissingResultError: The causal bench has no committed answers, so that there is nothing to report.
    """
    committed = results or Results()
    if not committed.has(BENCH):
        raise MissingResultError("findings need the answers of the causal bench: `python -m benchmarks.causal_bench`")
    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(TEMPLATE).render(content(committed))


def content(results: Results) -> dict[str, Any]:
    """Return what the template names."""
    controls, path = results.table(BENCH, "controls"), results.table(BENCH, "path")
    repair = results.table(BENCH, "repair")
    decided = repair[repair["verdict"].isin(["better", "worse", "equivalent"])]
    headlines = results.rows(BENCH, "headlines", by="planted").fillna({"follows": ""})
    wrong = controls[~controls["holds"].astype(bool)]
    found: dict[str, Any] = {
        "controls_hold": len(controls) > 0 and float(controls["holds"].mean()) >= ATTRIBUTED,
        "wrong": ", ".join(
            f"{each['method']} by {each['by']} was attributed to {each['found']}" for each in rows_of(wrong)
        ),
        "n_controls": len(controls),
        "n_held": len(controls) - len(wrong),
        "arms": rows_of(_arms(results.table(BENCH, "ranks"))),
        "controls": rows_of(controls),
        "uniform": rows_of(path[path["control"] == "uniform"]),
        "headlines": rows_of(headlines[headlines["quantity"] != "dice"]),
        "effects": rows_of(results.rows(BENCH, "effects", method="cross_entropy").dropna(subset="slope")),
        "n_repairs": len(repair),
        "n_decided": len(decided),
        "decided": rows_of(decided),
        "tissue": rows_of(_tissue(results)),
    }
    return found | _of_dfa(results, headlines)


def _of_dfa(results: Results, headlines: pd.DataFrame) -> dict[str, Any]:
    """Return what the abstract says of DFA."""
    own = headlines[(headlines["method"] == "dfa") & (headlines["quantity"] == "change")]
    for column, value in ARM.items():
        own = own[own[column] == value]
    row = results.rows(BENCH, "overall", method="dfa", control="cross_entropy", **ARM)
    effect = ", ".join(
        f"{100 * each['mean']:+.1f} (95 % interval {100 * each['mean_low']:+.1f} to {100 * each['mean_high']:+.1f})"
        for each in rows_of(row)
    )
    phantoms = results.table(BENCH, "ranks").drop_duplicates(["series", "decoder"])
    return {
        "dfa_word": own.iloc[0]["verdict"].replace("_", " ") if len(own) else "not explained",
        "dfa_follows": own.iloc[0]["follows"] if len(own) else "",
        "dfa_effect": effect,
        "n_phantoms": int(phantoms.groupby("series")["n_data_sets"].max().sum()),
    }


def _arms(ranks: pd.DataFrame) -> pd.DataFrame:
    grouped = ranks.groupby(["series", "decoder"], sort=False)
    return grouped.agg(n_data_sets=("n_data_sets", "first"), methods=("method", "size")).reset_index()


def _tissue(results: Results) -> pd.DataFrame:
    """Return the macro comparisons of every committed study of real tissue."""
    frames = [
        results.rows(study, "comparisons", **{"class": "macro"}).assign(study=study)
        for study in TISSUE
        if results.has(study)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
