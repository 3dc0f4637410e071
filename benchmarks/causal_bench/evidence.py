"""What the studies of the causal bench recorded, gathered over data sets into a few tables that are small to keep.

Every answer is computed from these tables alone, so that committed ones reprint it without a training, and studies that
are made on several machines, or at several times, are gathered one after another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from analysis.reading.analysed_study import AnalysedStudy
from analysis.schema import rows_of
from analysis.schema.names import MACRO
from analysis.topics.explanation import measures_of, quantities_of
from analysis.topics.ledger_quantities import differing
from analysis.topics.path_ceiling import Ceilings
from benchmarks.causal_bench.design import BenchStudy, study_name
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
        studies: runs, seconds that they took (by the clock, one after another), and commit, torch and device of each
            study; several of them joined by a comma.
    """

    planted: pd.DataFrame
    measures: pd.DataFrame
    quantities: pd.DataFrame
    dice: pd.DataFrame
    path: pd.DataFrame
    practical: pd.DataFrame
    studies: pd.DataFrame

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

    def complete(self, studies: Sequence[BenchStudy]) -> set[str]:
        """Return the names of those studies that are gathered with all of their runs.

        Raises:
            UserError: Something else is gathered: of another design, or of another scale.
        """
        runs = {
            study_name(str(row["series"]), str(row["data_set"]), str(row["decoder"])): int(row["runs"])
            for row in rows_of(self.studies)
        }
        of_design = {study.name: study.n_runs for study in studies}
        for name, n_runs in runs.items():
            if n_runs > of_design.get(name, 0):
                raise UserError(
                    f"The evidence holds {name} with {n_runs} runs, which is none of the studies that are asked for. "
                    "Give another --to."
                )
        return {name for name, n_runs in runs.items() if n_runs == of_design[name]}

    def of_study(self, study: BenchStudy) -> dict[str, pd.DataFrame]:
        """Return the rows of one study in each table."""
        arm = {"series": study.series, "data_set": study.spec.name, "decoder": study.arm.decoder}
        found: dict[str, pd.DataFrame] = {}
        for field in fields(self):
            frame: pd.DataFrame = getattr(self, field.name)
            keys = [key for key in arm if key in frame]
            found[field.name] = frame[(frame[keys] == [arm[key] for key in keys]).all(axis=1)]
        return found

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
                raise UserError(
                    f"{folder} must hold {field.name}.parquet. `gather` of this command writes it: give another --to."
                )
        return cls(**{field.name: pd.read_parquet(folder / f"{field.name}.parquet") for field in fields(cls)})


def gather(
    studies: Sequence[BenchStudy], place: Place, earlier: Evidence | None, on_study: Callable[[int], None]
) -> Evidence:
    """Gather the studies that are analysed, in the order of `studies`.

    Args:
        studies: All that are wanted.
        place: Where they lie.
        earlier: What was gathered before; kept of a study that does not lie there.
        on_study: Called with the number of those that were gathered.

    Raises:
        UserError: None of them is analysed.
    """
    tables: dict[str, list[pd.DataFrame]] = {field.name: [] for field in fields(Evidence)}
    known = earlier.complete(studies) if earlier is not None else set()
    for study in studies:
        if place.is_analysed(study):
            own = _tables(study, AnalysedStudy.open(place.study(study)))
        elif earlier is not None and study.name in known:
            own = earlier.of_study(study)
        else:
            continue
        for name, frame in own.items():
            tables[name].append(frame)
        on_study(len(tables["studies"]))
    if not tables["studies"]:
        raise UserError(f"{place.out} holds no analysed study yet. `run` makes them.", exit_code=1)
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
        "studies": _made(analysed),
    }
    arm = {"series": study.series, "decoder": study.arm.decoder, "data_set": data_set}
    shared = {name: value for name, value in arm.items() if name != "decoder"}
    for name, frame in frames.items():
        keys = shared if name in ("planted", "measures") else arm
        frames[name] = frame.assign(**keys)[[*keys, *frame.columns]].reset_index(drop=True)
    return frames


def _made(analysed: AnalysedStudy) -> pd.DataFrame:
    """Return the row of a study in `studies`."""
    manifests = [run.manifest() for run in analysed.records.finished()]
    environments = [manifest["environment"] for manifest in manifests]
    made = {
        "commit": [str(each["code"].get("commit") or each["code"]["version"]) for each in environments],
        "torch": [str(each["versions"]["torch"]) for each in environments],
        "device": [str(each["device"]) for each in environments],
    }
    row = {"runs": len(manifests), "seconds": round(sum(each["cost"]["seconds"] for each in manifests), 1)}
    return pd.DataFrame([row | {name: ", ".join(dict.fromkeys(values)) for name, values in made.items()}])


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
