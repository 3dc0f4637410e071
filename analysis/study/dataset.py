"""The data set of a study, if it is still there and unchanged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.record_documents import NOT_SHARED


def open_study_data(
    root: Path, facts: Mapping[str, Any], class_names: Sequence[str]
) -> tuple[PreparedDataset, Taxonomy]:
    """Open the data set of a study and merge its classes as the study does.

    Args:
        root: The study directory; a relative path of the data set starts there.
        facts: Content of the study's dataset.json.
        class_names: K names of the study's classes.

    Raises:
        UserError: The data set is gone or has changed.
    """
    if facts["path"] == NOT_SHARED:
        raise UserError("the data set did not come with this record bundle.")
    path = root / facts["path"]
    if not path.is_dir():  # the message names no path, because it becomes part of a verdict, which is shared
        raise UserError("the data set is no longer where dataset.json says.")
    dataset, merging = PreparedDataset.open(path), facts.get("merging", {})
    taxonomy = Taxonomy(dataset.info, merging.get("groups", {}), merging.get("ignore", ()), merging.get("order", ()))
    if tuple(taxonomy.names) != tuple(class_names):
        raise UserError("the data set has other classes now.")
    return dataset, taxonomy
