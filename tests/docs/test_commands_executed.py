"""Every complete command in README and docs is executed: here, with `pytest -m documents`, or where a reason says.

The cheap ones are executed on a small study in every run of the tests; those that train, draw a report or read a whole
data set when `make documents` asks for them.
"""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from tests.data.converters import miniature_sources
from tests.docs.typed_commands import FENCE, ROOT, TYPED, Typed
from tests.slides import write_slide
from tests.small_study import write_dataset, write_study

TUTORIAL = ROOT / "docs" / "tutorial.md"
CHEAP = {
    "advise", "analyze", "cache clean", "cache list", "compare", "data check", "data audit", "data describe", "doctor",
    "export", "import", "methods", "plot", "power", "repair", "status", "run --dry-run",
}  # fmt: skip
# pattern -> why the command is not executed from the page
ELSEWHERE = {
    r"run .*--engine (slurm|ray)": "needs a cluster; pytest -m cluster starts one",
    r".*(examples/paper_bcss\.yaml|cv\.csv )": "reads BCSS; tests/paper_miniature.py makes a small one",
    r"methods label_smoothing": "needs the plug-in of examples/plugin; tests/runner/test_plugins.py makes it known",
    r"score ": "reads predictions of other tools; tests/runner/test_foreign_scores.py makes such folders",
    r"(analyze|report) results/studies/tools_on_glas": "of what `score` wrote; the same command is executed on others",
    r"track STUDY --to wandb": "needs an account",
}
NEEDS = {"tensorboard": "tensorboard", "mlflow": "mlflow", ".svs": "tiffslide"}  # word of a command -> package
SHORT = "--set training.steps=2 --set seeds=[0] --set splits.folds=2 --engine serial --set"
SHORTER_TRAINING = [*SHORT.split(), "methods=[cross_entropy, dfa]"]


def name_of(typed: Typed) -> str:
    words = typed.words
    name = " ".join(words[:2]) if words[0] in ("data", "cache") else words[0]
    return f"{name} --dry-run" if name == "run" and "--dry-run" in words else name


def reason(typed: Typed) -> str:
    return next((why for pattern, why in ELSEWHERE.items() if re.match(pattern, typed.text)), "")


COMPLETE = [each for each in TYPED if each.complete and not reason(each)]
PUBLISHED = [each for each in COMPLETE if name_of(each) == "data prepare" and each.words[2] != "folder"]
QUICK = [each for each in COMPLETE if name_of(each) in CHEAP]
WALK = [each for each in COMPLETE if each.page == TUTORIAL and each not in QUICK]
LONG = [each for each in COMPLETE if each not in (*QUICK, *WALK, *PUBLISHED)]


def write_place(folder: Path, finished_study: Path, *, trained: bool = True) -> Path:
    """Make a folder in which the names of the pages exist; the results of `run` only if `trained`."""
    for name in ("data/mine", "DIR", "DEST", "PREPARED_DATA"):
        write_dataset(folder / name)
    for name in ("study.yaml", "my-study.yaml", "DATA-study/study.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        write_study(folder / name, folder / "data/mine")
    studies = ["STUDY", "OTHER_STUDY"]
    studies += [f"results/studies/{name}" for name in ("mine", "my-study", "DATA", "consep") if trained]
    for name in studies:
        shutil.copytree(finished_study, folder / name)
    return folder


def call(*words: str) -> str:
    """Execute a command; returns what it says if it fails."""
    result = CliRunner().invoke(main, list(words))
    return "" if result.exit_code == 0 else f"{words}: {result.output}{result.exception!r}"


def test_no_command_is_forgotten() -> None:
    executed = [*QUICK, *PUBLISHED, *LONG, *WALK]
    assert len(executed) == len({*executed})
    assert {*executed} == {each for each in TYPED if each.complete and not reason(each)}
    unused = [pattern for pattern in ELSEWHERE if not any(re.match(pattern, each.text) for each in TYPED)]
    assert not unused
    assert {name_of(each) for each in LONG + WALK} >= {
        "run",
        "report",
        "predict",
        "init",
        "data phantom",
        "data prepare",
    }


def test_cheap_commands_do_what_the_page_says(
    tmp_path_factory: pytest.TempPathFactory, finished_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_place(tmp_path_factory.mktemp("typed"), finished_study))
    order = ["status", "data check", "analyze", "export", "import"]
    ranked = sorted(QUICK, key=lambda each: order.index(name_of(each)) if name_of(each) in order else len(order))
    failed = [call("analyze", "STUDY"), call("analyze", "OTHER_STUDY")]  # which `compare` reads
    done: set[tuple[str, ...]] = set()
    for typed in ranked:
        if (words := tuple(typed.words)) not in done:
            done.add(words)
            failed.append(call(*words))
    assert not "\n".join(filter(None, failed))
    assert len(done) > 20


@pytest.mark.parametrize("typed", PUBLISHED, ids=str)
def test_a_published_data_set_is_prepared_as_its_page_says(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    replaced = {"NAME": "crag", "RE": r"^(\w+)"}
    words = [replaced.get(word, word) for word in typed.words]
    source = getattr(miniature_sources, f"write_{words[2]}")(tmp_path / "SOURCE")
    for beside in (*source.glob("cv.csv"), *source.glob("classes.yaml")):
        shutil.copy(beside, tmp_path)
    assert not call(*words)


@pytest.mark.documents
@pytest.mark.filterwarnings("default::DeprecationWarning")  # of MLflow's own libraries
@pytest.mark.parametrize("typed", LONG, ids=str)
def test_a_longer_command_does_what_the_page_says(
    typed: Typed, tmp_path: Path, finished_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word, package in NEEDS.items():
        if word in typed.text and find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    name, words = name_of(typed), list(typed.words)
    place = write_place(tmp_path, finished_study, trained=name == "report")
    monkeypatch.chdir(place)
    if name == "report":
        assert not call("analyze", words[1])
    if name == "predict":
        run = next(path.name for path in sorted(place.glob("STUDY/runs/*")))
        words = [word.replace("RUN_ID", run) for word in words]
        write_slide(place / "slide.svs", 512, 512)
        shutil.copy(place / "data/mine/images/im_0.png", place / "image.png")
    if name in ("data prepare", "data phantom"):
        shutil.rmtree(place / "DEST")
    if name == "data prepare":
        write_source(place)
    assert not call(*words)


def write_source(place: Path) -> None:
    """Put a folder of images and masks, and its layout, where `data prepare folder` reads them."""
    for part in ("images", "masks"):
        shutil.copytree(place / "data/mine" / part, place / "SOURCE" / part)
    assert not call("init", "SOURCE", "--yes", "--out", "draft")
    shutil.copy(place / "draft" / "layout.yaml", place / "layout.yaml")
    shutil.rmtree(place / "data/mine")


@pytest.mark.documents
def test_the_tutorial_leads_from_a_folder_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = TUTORIAL.read_text(encoding="utf-8").partition("## What next?")[0]
    lines = [
        line
        for block in FENCE.findall(text)
        for line in block.splitlines()
        if re.match(r"(imbalance-bench|mkdir|cp) ", line)
    ]
    assert {typed.text for typed in WALK} <= {line.partition("imbalance-bench ")[2] for line in lines}
    for line in lines:
        program, *words = line.split()
        if program != "imbalance-bench":
            subprocess.run([program, *words], check=True)
        else:
            assert not call(*words, *(SHORTER_TRAINING if words[0] == "run" else ()))
    assert (tmp_path / "results/studies/DATA/report/index.html").stat().st_size > 10_000
