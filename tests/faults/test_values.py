"""Values and files that broke later, or quietly: refused first, in one line."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from imbalance_bench.cli.main import main
from imbalance_bench.config import parse_study
from imbalance_bench.errors import UserError
from imbalance_bench.models.encoder_weights import fit_weights, load_encoder_weights
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_files import read_table
from tests.small_study import study_content, write_study

COMMANDS = (["status"], ["analyze"], ["plot", "ranks"], ["compare"], ["export"])


def dry_run(tmp_path: Path, dataset: Path, override: str) -> Result:
    study = write_study(tmp_path / "study.yaml", dataset)
    words = ["run", str(study), "--set", override, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    return CliRunner().invoke(main, [*words, "--dry-run"])


def assert_one_line(found: Result, fragment: str, *, codes: tuple[int, ...] = (2,)) -> None:
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exc_info
    errors = [line for line in found.output.splitlines() if line.startswith("Error: ")]
    assert found.output.splitlines()[-1:] == errors, found.output
    assert fragment in errors[0]
    assert found.exit_code in codes


@pytest.mark.parametrize(
    ("override", "fragment"),
    [
        ("compute.threads=100000", "`compute.threads` must be <= 1024"),
        ("training.steps=1e20", "`training.steps`"),
        ("training.steps=3000000000", "`training.steps` must be <= 2147483647"),
        ("training.milestones=[.9, .1]", "must grow from one to the next. Got [0.9, 0.1]"),
        ("training.milestones=[.5, .5]", "must grow from one to the next"),
        ("methods=[{label: x, parts: [focal, focal]}]", "Got 'focal' twice"),
        ('dataset.groups={"": [rare]}', "a key that is no text"),
        ("dataset.groups={macro: [rare]}", "must not be 'macro'"),
        ('dataset.groups={"a\\e[31m": [rare]}', "invisible characters"),
        ('dataset.path="a\\0b"', "NUL character"),
        ("splits={kind: file, path: 2024-13-45}", "2024-13-45"),
        (f"seeds=[{'9' * 5000}]", "5000 characters"),
        (f"x={'[' * 3000}", "levels of nesting"),
        (f"name={'x' * 300}", "`name`"),
        ("splits={kind: grouped, repeats: 100000000}", "`splits.repeats` must be <= 1000"),
        ("model.depth=1000000", "`model.depth` must be <= 100"),
        ("seeds=[1e30]", "`seeds.0`"),
        ("evaluation.surface_um=[1e300]", "`evaluation.surface_um.0` must be <="),
        ("analysis.resamples=1000000000000", "`analysis.resamples` must be <="),
    ],
)
def test_a_study_file(tmp_path: Path, dataset: Path, override: str, fragment: str) -> None:
    assert_one_line(dry_run(tmp_path, dataset, override), fragment)
    assert not (tmp_path / "out").exists()


def test_the_first_wrong_thing_is_told_before_options_of_methods(dataset: Path) -> None:
    content = study_content(dataset, methods=[{"name": "focal", "gama": 1}], training={"stepz": 1})
    with pytest.raises(UserError, match="stepz"):
        parse_study(content, source="x")


def state() -> tuple[torch.nn.Module, dict[str, Tensor]]:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    return module, {name: value.clone() for name, value in module.state_dict().items()}


def test_weights_with_nan_are_named() -> None:
    module, tensors = state()
    tensors["0.weight"][1, 0] = float("nan")
    with pytest.raises(UserError, match=r"finite weights\. Got NaN or infinity in 0\.weight"):
        fit_weights(module, tensors, "w.pt", whole=True)
    assert torch.isfinite(module.state_dict()["0.weight"]).all(), "nothing was loaded"


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("raw", [b"", b"junk", b"PK\x03\x04junk"])
def test_weights_that_are_none(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError, match=rf"{name}: "):
        load_encoder_weights(state()[0], tmp_path / name)


def test_weights_named_by_numbers(tmp_path: Path) -> None:
    for number, content in enumerate(({1: torch.zeros(2)}, {"state_dict": {1: torch.zeros(2)}})):
        path = tmp_path / f"{number}.pt"
        torch.save(content, path)
        with pytest.raises(UserError, match="must name its tensors by text"):
            load_encoder_weights(state()[0], path)


@pytest.mark.parametrize("name", ["plan.json", "dataset.json"])
@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"[]",
        b"",
        b"null",
        b"\xff\xfe",
        '{"name": "\xe9"}'.encode("latin-1"),
        b"[" * 100_000,
        b'{"runs": 3, "classes": 3, "folds": 3, "name": 3}',
        b'{"runs": [{"run_id": "../../x", "method": "a", "fold": 0, "seed": 0}], "classes": [], "name": "a"}',
        b'{"a": 1, "a": 2}',
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_documents_of_a_study(finished_study: Path, tmp_path: Path, name: str, raw: bytes) -> None:
    study = tmp_path / "study"
    shutil.copytree(finished_study, study, ignore=shutil.ignore_patterns("*.safetensors", "*.png", "analysis"))
    (study / name).write_bytes(raw)
    for first, *others in COMMANDS:
        if first == "status" and name == "dataset.json":
            continue  # it does not read it
        more = [str(finished_study)] if first == "compare" else []
        found = CliRunner().invoke(main, [first, str(study), *more, *others])
        assert_one_line(found, str(study), codes=(1, 2))


def test_a_key_that_is_missing_names_the_file(finished_study: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(finished_study, study, ignore=shutil.ignore_patterns("*.safetensors", "*.png"))
    plan = json.loads((study / "plan.json").read_text())
    for key in ("identity", "methods", "hashes"):
        (study / "plan.json").write_text(json.dumps({k: v for k, v in plan.items() if k != key}))
        with pytest.raises(UserError, match=f"plan.json must hold `{key}`"):
            StudyRecords(study).plan()[key]


@pytest.mark.parametrize("mpp", ["inf", "nan", "1e300", "-1", "0", "1e-300"])
def test_resolutions_that_there_are_not(finished_study: Path, tmp_path: Path, mpp: str) -> None:
    run = StudyRecords.open(finished_study).finished()[0].path
    image = finished_study.parent / "discs" / "images" / "im_0.png"
    found = CliRunner().invoke(main, ["predict", str(run), str(image), "--out", str(tmp_path / "o"), "--mpp", mpp])
    assert_one_line(found, "mpp")
    assert not (tmp_path / "o").exists()


def test_a_table_with_damaged_text_is_damaged(finished_study: Path, tmp_path: Path) -> None:
    source = StudyRecords.open(finished_study).finished()[0].path / "boundary.parquet"
    raw = pa.array([b"im_0", b"im\xff1"], pa.binary()).view(pa.string())
    table = pq.read_table(source).slice(0, 2)
    table = table.set_column(0, table.schema.field(0), raw)
    pq.write_table(table, tmp_path / "boundary.parquet")
    with pytest.raises(UserError, match="not a readable boundary table"):
        read_table(tmp_path / "boundary.parquet", "boundary")
