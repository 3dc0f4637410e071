"""The two tidy frames that an explanation starts from: what runs learned about each class, and measures of classes."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from imbalance_bench.csv_cells import truth_values
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.preregistration import CONSTRUCTS, PRIMARY_MEASURES

FREQUENCY = "frequency"
QUANTITIES: Mapping[str, str] = {
    "data_set": "name of the data set; classes are compared within one only",
    "method": "label of the method",
    "model": "label of the model, where a method was trained with several",
    "fold": "fold: another training set",
    "seed": "seed of the run",
    "class": "class name; the same name in several data sets is one class",
    "family": "family of the class, where several classes are of one kind, such as tumours",
    "quantity": "what is explained; one where the column is missing",
    "start": "value of the class before training; empty if it is not known",
    "start_name": "name of the start, where runs of a method differ in nothing else: prior, cold, shuffled, inverted",
    "value": "value at the end of training",
}
MEASURES: Mapping[str, str] = {
    "data_set": "name of the data set",
    "class": "class name",
    "construct": f"what is measured: {', '.join(CONSTRUCTS)}, or one that is explored only",
    "measure": "name of the measure",
    "value": "value; of frequency a share above 0 (or its logarithm, which is below)",
    "standard_error": "its standard error; empty if it is not known",
    "reliability": "share of its variation between classes that is true; empty: from the standard errors",
    "n": "what it rests on",
    "primary": "True for the one measure of its construct that was fixed in advance",
}
EXPLORED = ("size", "learnability", "model")  # constructs without a primary measure
_NEEDED = {
    "quantities": ("data_set", "method", "class", "value"),
    "measures": ("data_set", "class", "measure", "value"),
}
_DEFAULTS: Mapping[str, object] = {
    **dict.fromkeys(("model", "family", "start_name"), ""),
    **{"fold": 0, "seed": 0, "quantity": "bias", "start": np.nan},
    **dict.fromkeys(("standard_error", "reliability", "n"), np.nan),
}
_OTHER_NAMES = {"dataset": "data_set", "estimand": "quantity", "se": "standard_error", "label": "class"}
_RUN = ["data_set", "method", "quantity", "start_name", "fold", "seed"]


def quantities_frame(quantities: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of QUANTITIES; `method` names the model too where there are several.

    Raises:
        UserError: A column is missing or unknown, a value is not a number, or a class of a run has two values.
    """
    frame = _columns(quantities, "quantities", QUANTITIES)
    for column in ("start", "value"):
        frame[column] = _numbers(frame[column], "quantities", column)
    for column in ("data_set", "method", "model", "class", "family", "quantity", "start_name"):
        frame[column] = frame[column].astype(object).where(frame[column].notna(), "").astype(str)
    if frame["model"].nunique() > 1:
        frame["method"] = frame["method"] + " (" + frame["model"] + ")"
    duplicated = frame.duplicated([*_RUN, "class"])
    if duplicated.any():
        row = frame[duplicated].iloc[0]
        raise UserError(
            f"quantities: each class of a run must have one value. Got two of '{row['class']}' for {row['method']}, "
            f"data set {row['data_set']}, fold {row['fold']}, seed {row['seed']}. Tell runs that differ in their start "
            "apart by `start_name`."
        )
    families = frame[["data_set", "class", "family"]].drop_duplicates()
    if families.duplicated(["data_set", "class"]).any():
        name = families[families.duplicated(["data_set", "class"])].iloc[0]["class"]
        raise UserError(f"quantities: `family` of a class must be the same in all rows. Got several of '{name}'.")
    return frame


def measures_frame(measures: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of MEASURES, frequency as its logarithm.

    Raises:
        UserError: A column is missing or unknown, a construct is unknown, a value is not a number, a class has two
            values of a measure, or the frame does not say which of several measures of a construct is primary.
    """
    measures = measures if "construct" in measures else measures.assign(construct=None)
    frame = _columns(measures, "measures", MEASURES)
    for column in ("value", "standard_error", "reliability"):
        frame[column] = _numbers(frame[column], "measures", column)
    for column in ("data_set", "class", "measure"):
        frame[column] = frame[column].astype(str)
    construct_of = {measure: construct for construct, measure in PRIMARY_MEASURES.items()}
    stated = frame["construct"].astype(object)
    frame["construct"] = stated.where(stated.notna() & (stated != ""), frame["measure"].map(construct_of))
    for name in frame["construct"].drop_duplicates():
        if name not in (*CONSTRUCTS, *EXPLORED):
            raise UserError(f"measures: unknown construct '{name}'.{nearest(str(name), (*CONSTRUCTS, *EXPLORED))}")
    duplicated = frame.duplicated(["data_set", "class", "measure"])
    if duplicated.any():
        row = frame[duplicated].iloc[0]
        raise UserError(
            f"measures: a class must have one value of a measure. Got two of {row['measure']} of '{row['class']}', "
            f"data set {row['data_set']}."
        )
    frame["primary"] = _primary(frame, is_stated="primary" in measures)
    return _with_log_frequency(frame)


def each_its_own(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of quantities or measures in which a name counts as another class in each data set.

    For designed series alone, whose levels were dealt to the classes of each data set anew: there, what a class is like
    does not belong to its name.
    """
    return frame.assign(**{"class": frame["class"].astype(str) + " of " + frame["data_set"].astype(str)})


def _columns(table: pd.DataFrame, table_name: str, meanings: Mapping[str, str]) -> pd.DataFrame:
    names = [str(column).strip().lower().replace(" ", "_") for column in table.columns]
    frame = table.set_axis([_OTHER_NAMES.get(name, name) for name in names], axis=1).reset_index(drop=True)
    for name in _NEEDED[table_name]:
        if name not in frame:
            raise UserError(f"{table_name} must have a column `{name}` ({meanings[name]}). Got {', '.join(names)}.")
    for name in frame.columns.difference(list(meanings)):
        meant = get_close_matches(name, [column for column in meanings if column not in frame], n=1, cutoff=0.8)
        if meant:
            raise UserError(f"{table_name}: unknown column `{name}`. Did you mean `{meant[0]}`?")
    defaults = {name: _DEFAULTS[name] for name in meanings if name not in frame and name in _DEFAULTS}
    complete = frame.copy()
    for name, value in defaults.items():
        complete[name] = pd.Series([value] * len(complete), index=complete.index)
    return complete[[name for name in meanings if name in frame or name in defaults]]


def _numbers(column: pd.Series, table_name: str, name: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    invalid = numbers.isna() & column.notna() | np.isinf(numbers)
    if invalid.any():
        raise UserError(f"{table_name}: `{name}` must be a number. Got {column[invalid].iloc[0]!r}.")
    return numbers


def _primary(frame: pd.DataFrame, *, is_stated: bool) -> pd.Series:
    """Return which rows are primary: as the frame states, else the default measure, else the only one there is."""
    if is_stated:
        stated = truth_values(frame["primary"], "measures: `primary`", blank=False)
        for construct, measures in frame[stated].groupby("construct", sort=False)["measure"]:
            if measures.nunique() > 1:
                raise UserError(
                    f"measures: a construct must have one primary measure, the same in every data set. Got "
                    f"{' and '.join(measures.drop_duplicates())} of {construct}."
                )
        return stated
    primary: dict[str, str] = {}
    for construct, measures in frame.groupby("construct", sort=False)["measure"]:
        names: Sequence[str] = list(measures.drop_duplicates())
        default = PRIMARY_MEASURES.get(str(construct))
        if default in names:
            primary[str(construct)] = str(default)
        elif len(names) == 1:
            primary[str(construct)] = names[0]
        elif construct in PRIMARY_MEASURES:
            raise UserError(
                f"measures: construct {construct} has several measures ({', '.join(names)}). Say which one was fixed "
                "in advance in a column `primary` (True or False)."
            )
    return frame["measure"] == frame["construct"].map(primary)


def _with_log_frequency(frame: pd.DataFrame) -> pd.DataFrame:
    """Take logarithms of frequencies and transform their standard errors; a share of 0 becomes missing."""
    for measure in frame.loc[frame["construct"] == FREQUENCY, "measure"].drop_duplicates():
        rows = frame["measure"] == measure
        if (frame.loc[rows, "value"] < 0).any():
            continue  # shares are not negative: these are already logarithms
        share = frame.loc[rows, "value"].where(frame.loc[rows, "value"] > 0)
        frame.loc[rows, "standard_error"] = frame.loc[rows, "standard_error"] / share
        frame.loc[rows, "value"] = np.log(share)
    return frame
