"""What the studies of the causal bench recorded, gathered over data sets into a few tables that are small to keep.

Every answer is computed from these tables alone, so that committed ones reprint it without a training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from analysis.reading.analysed_study import AnalysedStudy
from analysis.schema.names import MACRO
from analysis.topics.explanation import measures_of, quantities_of
from analysis.topics.ledger_quantities import differing
from analysis.topics.path_ceiling import Ceilings
from benchmarks.causal_bench.design import BenchStudy
from benchmarks.causal_bench.running import Place
from imbalance_bench.data.phantom import FACTORS
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_atomically

ARM = ["series", "decoder"]
COUNTS = ["tp", "fp", "fn"]
PATH_COLUMNS = ["method", "control", "target", "dose", "class", "difference", "low", "high", "magnitude"]
PATH_COLUMNS += ["predicted", "predicted_trained", "verdict"]


@dataclass(frozen=True)
class Evidence:
    """Tables with the columns series, decoder (but for `planted` and `measures`) and data_set.

    Args:
        planted: class and the level of each factor.
        measures: The frame that `analysis.explain` takes, of each data set.
        quantities: The other frame that it takes; `is_read` is false where the class attention of the method is inert.
        dice: method, seed, class and tp, fp, fn over all test images, pixels.
        path: Rows of table `path_controls`: macro, and of doses the dosed class.
        practical: Macro rows of table `practical_differences`.
    """

    planted: pd.DataFrame
    measures: pd.DataFrame
    quantities: pd.DataFrame
    dice: pd.DataFrame
    path: pd.DataFrame
    practical: pd.DataFrame

    @property
    def arms(self) -> list[tuple[str, str]]:
        """Series and decoder of every arm, in their order."""
        return list(self.dice[ARM].drop_duplicates().itertuples(index=False, name=None))

    def of(self, table: str, series: str, decoder: str) -> pd.DataFrame:
        """Return the rows of one arm, without its name."""
        frame: pd.DataFrame = getattr(self, table)
        rows = frame["series"] == series
        if "decoder" in frame:
            rows &= frame["decoder"] == decoder
        return frame[rows].drop(columns=[name for name in ARM if name in frame]).reset_index(drop=True)

    def write(self, folder: Path) -> None:
        """Write each table as `<name>.parquet`; the same tables give the same bytes."""
        for field in fields(self):
            frame: pd.DataFrame = getattr(self, field.name)
            write_atomically(
                folder / f"{field.name}.parquet",
                lambda file, frame=frame: frame.to_parquet(file, index=False, compression="zstd"),
            )

    @classmethod
    def read(cls, folder: Path) -> "Evidence":
        """Read what `write` wrote.

        Raises:
            UserError: A table is missing or damaged.
        """
        for field in fields(cls):
            if not (folder / f"{field.name}.parquet").exists():
                raise UserError(f"{folder} must hold {field.name}.parquet. `results` of this command writes it.")
        return cls(**{field.name: pd.read_parquet(folder / f"{field.name}.parquet") for field in fields(cls)})


def gather(studies: Sequence[BenchStudy], place: Place, on_study: Callable[[int], None]) -> Evidence:
    """Gather the studies that are analysed.

    Args:
        studies: All that are wanted.
        place: Where they lie.
        on_study: Called with the number of those that were read.

    Raises:
        UserError: None of them is analysed.
    """
    done = [study for study in studies if place.is_analysed(study)]
    if not done:
        raise UserError(f"{place.out} holds no analysed study yet. `run` makes them.", exit_code=1)
    tables: dict[str, list[pd.DataFrame]] = {field.name: [] for field in fields(Evidence)}
    for number, study in enumerate(done, start=1):
        for name, frame in _tables(study, AnalysedStudy.open(place.study(study))).items():
            tables[name].append(frame)
        on_study(number)
    joined = {name: pd.concat(frames, ignore_index=True) for name, frames in tables.items()}
    for name in ("planted", "measures"):  # several decoders share a data set
        keys = [key for key in ("series", "data_set", "class", "measure") if key in joined[name]]
        joined[name] = joined[name].drop_duplicates(keys, ignore_index=True)
    return Evidence(**joined)


def _tables(study: BenchStudy, analysed: AnalysedStudy) -> dict[str, pd.DataFrame]:
    """Return the rows of one study in each table."""
    data_set = study.spec.name
    ceilings = Ceilings(analysed.table("path_controls"))
    learned, ledger = (differing(analysed.table(name)) for name in ("learned_bias", "ledger_quantities"))
    learned = quantities_of(data_set, learned[[not ceilings.of(str(name)).inert for name in learned["method"]]], {})
    read = pd.concat([learned, quantities_of(data_set, ledger, {})], ignore_index=True)
    path, practical = analysed.table("path_controls"), analysed.table("practical_differences")
    path = path[(path["class"] == MACRO) | (path["target"] == path["class"])][PATH_COLUMNS]
    levels = [
        {"class": each.name} | {factor: getattr(each, factor) for factor in FACTORS} for each in study.spec.classes
    ]
    frames = {
        "planted": pd.DataFrame(levels),
        "measures": measures_of(data_set, analysed.table("measures")).drop(columns="data_set"),
        "quantities": read.drop(columns=["data_set", "family"]),
        "dice": _dice(analysed),
        "path": path,
        "practical": practical[practical["class"] == MACRO],
    }
    arm = {"series": study.series, "decoder": study.arm.decoder, "data_set": data_set}
    shared = {name: value for name, value in arm.items() if name != "decoder"}
    for name, frame in frames.items():
        keys = shared if name in ("planted", "measures") else arm
        frames[name] = frame.assign(**keys)[[*keys, *frame.columns]].reset_index(drop=True)
    return frames


def _dice(analysed: AnalysedStudy) -> pd.DataFrame:
    """Return the counts of every finished run, added up over its test images."""
    names, rows = analysed.class_names, []
    for run in analysed.records.finished():
        manifest, counts = run.manifest(), run.counts()
        total = counts[counts["split"] == "test"].groupby("class_id")[COUNTS].sum()
        total = total.rename(index=dict(enumerate(names))).rename_axis("class").reset_index()
        rows.append(total.assign(method=str(manifest["method"]["label"]), seed=int(manifest["seed"])))
    counted = pd.concat(rows)[["method", "seed", "class", *COUNTS]]
    order = counted["method"].map(analysed.methods.index)  # of the study file; folders of runs have none
    return counted.assign(order=order).sort_values(["order", "seed"], kind="stable").drop(columns="order")
