"""Step time of every method as a ratio to cross-entropy + Dice, side by side in one process.

    python -m benchmarks.method_cost [--rounds 15] [--crop 128] [--batch 4] [--methods NAME ...] [--out TABLE.csv]
        [--page docs/performance.md]

Every method's last stage is built on the same small phantom, frozen features cached as in a study. Then each round
takes one training step of each method after the other; the ratio is that of the medians over rounds, so that whatever
else the machine does falls on all alike. `run` is the cost of a whole run: steps of earlier stages count as the base's.
`--page` writes the section "Step time of every method" of a page, with the machine's load while it measured.

Exit code 1 if a method's step takes more than 1.5 times the base's and its card does not say what it costs.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.page_section import with_section
from imbalance_bench.config import StudyConfig, parse_study
from imbalance_bench.data.phantom import PRESETS, generate_phantom
from imbalance_bench.planning import prepare_study
from imbalance_bench.seeding import derive_seed
from imbalance_bench.study import PlannedRun, Study, build_context
from imbalance_bench.training.batches import BatchSequence
from imbalance_bench.training.journal import RunJournal
from imbalance_bench.training.loop import StageSetting, StageTrainer
from imbalance_bench.training.material import choose_precision, initial_segmenter, open_material, rows_by_image, rows_of
from imbalance_bench.training.tile_data import TileData
from methods import REGISTRY
from methods.base import ClassFeedback
from methods.composition import compose, stages_of
from methods.cross_entropy import CrossEntropyDice

BASE = "cross_entropy"
LIMIT = 1.5
TITLE = "Step time of every method"
WARM_UP = 2  # rounds that are not counted
TILE_PX = 256


@dataclass(frozen=True)
class Load:
    """How much work a step is.

    Attributes:
        crop_px: Edge of the crops.
        batch_size: Crops of a step.
        rounds: Steps of each method that are timed.
    """

    crop_px: int
    batch_size: int
    rounds: int


def study_of(folder: Path, methods: list[str], load: Load) -> Study:
    """Make a small phantom and check a study of all methods on it."""
    spec = PRESETS["tissue"].model_copy(update={"size_px": TILE_PX, "images_per_group": 1})
    generate_phantom(spec, folder / "phantom")
    content = {
        "name": "cost",
        "dataset": {"path": str(folder / "phantom"), "tile_px": TILE_PX, "stride_px": TILE_PX},
        "training": {
            "steps": load.rounds + WARM_UP,
            "batch_size": load.batch_size,
            "crop_px": load.crop_px,
            "augmentation": {"cached_views": 2},
        },
        "model": {"encoder_weights": "none"},
        "compute": {"device": "cpu"},
        "methods": methods,
        "seeds": [0],
    }
    config: StudyConfig = parse_study(content, source="benchmark")
    return prepare_study(config, folder / "study", lambda *_: None, write=False)


def half_right(n_classes: int) -> ClassFeedback:
    """Stand-in for the validation counts of a finished baseline; step times do not depend on them."""
    half = torch.full((n_classes,), 500)
    return ClassFeedback(step=1, epoch=0, tp=half, fp=half, fn=half)


def trainer_of(study: Study, run: PlannedRun, data: TileData) -> StageTrainer:
    """Build a method's last stage as a run would."""
    stages = stages_of(run.method.parts)
    finished = (half_right(len(study.taxonomy.names)),) * (len(stages) - 1)
    components = compose(run.method.parts, build_context(study, run, stage=len(stages) - 1, finished=finished))
    extra_tokens = components.attention_bias.extra_tokens if components.attention_bias is not None else 0
    segmenter = initial_segmenter(study, run.seed, extra_tokens, data.device)
    segmenter.install(components)
    segmenter.place(data.device)
    if stages[-1].trains == "classifier":
        segmenter.freeze_features()
    if components.on_epoch_end is not None:
        components.on_epoch_end(half_right(len(study.taxonomy.names)))
    section = study.config.training
    rows = np.asarray(rows_of(study.splits.folds[0].train, rows_by_image(data.tiles)), dtype=np.int64)
    batches = BatchSequence(
        rows,
        data.tile_pixels(rows.tolist(), len(study.taxonomy.names)),
        tile_px=study.config.dataset.tile_px,
        section=section,
        seed=derive_seed(run.seed, "data order"),
        cached_views=section.augmentation.cached_views if data.cache else 0,
        grid_px=data.grid_px,
        sampler=components.sampler,
    )
    setting = StageSetting(
        stage=len(stages) - 1,
        section=section,
        precision=choose_precision(section, data.device),
        seed=run.seed,
        data=data,
        batches=batches,
        probe_tiles=rows[:1].tolist(),
        validate=None,
    )
    segmenter.train()
    loss = (components.loss or CrossEntropyDice()).to(data.device)
    return StageTrainer(setting, segmenter, loss, components, RunJournal())


def step_times(trainers: dict[str, StageTrainer], rounds: int) -> dict[str, list[float]]:
    """Take `rounds` steps of each trainer, interleaved, and return the seconds of each, until a GPU has done it."""
    times: dict[str, list[float]] = {name: [] for name in trainers}
    for number in range(WARM_UP + rounds):
        for name, trainer in trainers.items():
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            started = time.perf_counter()
            trainer._take_step(with_gradient_norms=False)  # pyright: ignore[reportPrivateUsage]
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - started)
    return times


def cost_table(methods: list[str], load: Load) -> pd.DataFrame:
    """Measure.

    Returns:
        One row for each method: method, milliseconds, step (ratio to the base), run (ratio of a whole run), card.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        study = study_of(Path(name), methods, load)
        data = open_material(study, Path(name) / "cache", torch.device("cpu"))
        trainers = {run.method.label: trainer_of(study, run, data) for run in study.runs}
        times = step_times(trainers, load.rounds)
    medians = {method: statistics.median(seconds) for method, seconds in times.items()}
    rows = []
    for method, seconds in medians.items():
        ratio, stages = seconds / medians[BASE], REGISTRY[method]().stages()
        earlier = sum(stage.share for stage in stages[:-1])
        rows.append((method, 1e3 * seconds, ratio, earlier + stages[-1].share * ratio, REGISTRY[method].card.cost))
    return pd.DataFrame(rows, columns=["method", "milliseconds", "step", "run", "card"])


def section_text(table: pd.DataFrame, load: Load, command: str, busy: tuple[float, float]) -> str:
    """Return the section of a page.

    Args:
        table: Of `cost_table`.
        load: Work of a step.
        command: That printed the table.
        busy: Mean number of processes that wanted to run, before and after.
    """
    base = table.loc[table["method"] == BASE, "milliseconds"].iloc[0]
    lines = [
        f"## {TITLE}",
        "",
        f"`{command}`: wall time of a training step of {load.batch_size} crops of {load.crop_px} px on cached "
        f"features of the default encoder, one thread, median of {load.rounds} rounds in which every method takes a "
        f"step after the other. A step of {BASE} takes {base:.0f} ms, most of it in the decoder that all share; `run` "
        "counts earlier stages too. "
        f"On {os.cpu_count()} cores ({platform.machine()}) on which {busy[0]:.1f} to {busy[1]:.1f} processes "
        "wanted to run (load average): the ratios are what counts, and differences below a tenth are noise.",
        "",
        "| method | ms | step / base | run / base |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{r.method}` | {r.milliseconds:.0f} | {r.step:.2f} | {r.run:.2f} |" for r in table.itertuples()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--methods", nargs="+", default=list(REGISTRY), choices=list(REGISTRY), metavar="NAME")
    parser.add_argument("--out", type=Path, help="also write the table as CSV")
    parser.add_argument("--page", type=Path, help="also write the table into this page")
    options = parser.parse_args()
    methods = list(dict.fromkeys([BASE, *options.methods]))
    load, before = Load(crop_px=options.crop, batch_size=options.batch, rounds=options.rounds), os.getloadavg()[0]
    table = cost_table(methods, load)
    print(table.round({"milliseconds": 1, "step": 2, "run": 2}).to_string(index=False))
    if options.out is not None:
        table.to_csv(options.out, index=False)
    if options.page is not None:
        command = f"python -m benchmarks.method_cost --rounds {load.rounds}"
        text = section_text(table, load, command, (before, os.getloadavg()[0]))
        options.page.write_text(with_section(options.page.read_text(encoding="utf-8"), TITLE, text), encoding="utf-8")
    slow = table[(table["step"] > LIMIT) & (table["card"] == "")]
    for row in slow.itertuples():
        print(f"{row.method}: a step takes {row.step:.2f} times that of {BASE}, and its card does not say so")
    sys.exit(1 if len(slow) else 0)


if __name__ == "__main__":
    main()
