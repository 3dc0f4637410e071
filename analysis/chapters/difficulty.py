"""How rare and how hard the classes are, from training images and truth."""

from pathlib import Path

import pandas as pd

from analysis import standing
from analysis.chapters.findings import Chapter, Findings
from analysis.columns import table
from analysis.measures.estimates import measure_table
from analysis.measures.survey import survey
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError


def chapter(found: Findings) -> Chapter:
    """Measure the classes; say so where that is not possible."""
    measures, skipped = _measures(found)
    verdict = standing.measures_verdict(skipped, measures)
    return Chapter({"measures": measures}, () if verdict is None else (verdict,))


def _measures(found: Findings) -> tuple[pd.DataFrame, str]:
    """Return table `measures`, or an empty one and the reason."""
    study, plan, dataset = found.study, found.plan, found.study.dataset
    path = Path(dataset["path"])
    path = path if path.is_absolute() else found.records.root / path
    if not path.is_dir():
        return table("measures", []), f"the data set is no longer at {path}."
    try:
        source = PreparedDataset.open(path)
        merging = dataset.get("merging", {})
        taxonomy = Taxonomy(source.info, merging.get("groups", {}), merging.get("ignore", ()))
        if taxonomy.names != study.class_names:
            return table("measures", []), f"the data set at {path} has other classes now."
        folds = Splits.load(found.records.root / "splits.json").folds
        used = sorted({run.fold for run in study.data})
        train = [folds[fold].train for fold in used]
        surveyed = survey(source, taxonomy, train, band_um=plan.boundary_band_um, on_progress=found.report)
    except UserError as error:
        return table("measures", []), str(error)
    return measure_table(surveyed, study.class_names, resamples=plan.resamples, seed=plan.seed), ""
