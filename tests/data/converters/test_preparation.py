"""Preparing is atomic, resumable, the same with any number of processes, and explains what it refuses."""

import fcntl
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.data.converters import REGISTRY
from imbalance_bench.data.converters.preparation import prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini


def content(root: Path) -> dict[str, bytes]:
    """Return path -> bytes of every file below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_processes_do_not_change_a_byte(tmp_path: Path) -> None:
    source = mini.write_glas(tmp_path / "source")
    one = prepare_dataset("glas", source, tmp_path / "one", workers=1).dataset
    two = prepare_dataset("glas", source, tmp_path / "two", workers=2).dataset
    assert content(one.root) == content(two.root)
    assert one.content_hash() == two.content_hash()
    assert {path.name for path in tmp_path.iterdir()} == {"source", "one", "two"}


def test_errors_cross_process_borders(tmp_path: Path) -> None:
    source = mini.write_bdsa(tmp_path / "source")
    mini.save(source / "mask/S2_0_0.png", mini.stripes((5,)))
    with pytest.raises(UserError, match=r"S2_0_0.png must hold known labels"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=2)


def test_an_interrupted_preparation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source, dest = mini.write_bdsa(tmp_path / "source"), tmp_path / "out"
    seen: list[int] = []

    def stop_after_two(done: int, _total: int) -> None:
        seen.append(done)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_dataset("bdsa", source, dest, workers=1, on_progress=stop_after_two)
    assert not dest.exists()
    building = tmp_path / ".out.preparing"
    (building / "masks/.S2_0_0.png.99.abc").write_bytes(b"torn")
    kept = (building / "masks/S1_0_0.png").stat().st_mtime_ns
    seen.clear()
    prepare_dataset("bdsa", source, dest, workers=1, on_progress=lambda done, _total: seen.append(done))
    assert seen == [2, 3]
    assert (dest / "masks/S1_0_0.png").stat().st_mtime_ns == kept
    whole = prepare_dataset("bdsa", source, tmp_path / "whole", workers=1).dataset
    assert content(dest) == content(whole.root)


def test_what_another_source_left_is_not_believed(tmp_path: Path) -> None:
    source, dest = mini.write_bdsa(tmp_path / "source"), tmp_path / "out"
    mini.save(source / "mask/S2_0_0.png", mini.stripes((5,)))
    with pytest.raises(UserError):
        prepare_dataset("bdsa", source, dest, workers=1)
    mini.save(source / "mask/S2_0_0.png", mini.stripes((127,)))
    mini.save(source / "mask/S1_0_0.png", mini.stripes((63,)))
    dataset = prepare_dataset("bdsa", source, dest, workers=1).dataset
    assert (dataset.read_mask("S1_0_0") == 2).all()


def test_a_destination_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    source = mini.write_bdsa(tmp_path / "source")
    (tmp_path / "out").mkdir()
    prepare_dataset("bdsa", source, tmp_path / "out", workers=1)
    before = content(tmp_path / "out")
    with pytest.raises(UserError, match="must be a new or empty folder"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1)
    assert content(tmp_path / "out") == before


def test_two_writers_of_one_destination_are_kept_apart(tmp_path: Path) -> None:
    source = mini.write_bdsa(tmp_path / "source")
    building = tmp_path / ".out.preparing"
    building.mkdir()
    with (building / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="being written by another process"):
            prepare_dataset("bdsa", source, tmp_path / "out", workers=1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bccs", PrepareOptions(), "Unknown data set 'bccs'. Did you mean 'bcss'"),
        ("crag", PrepareOptions(group_regex="x"), "--group-regex does not apply to 'crag'"),
        ("bdsa", PrepareOptions(), "must be the folder of the data set as published"),
    ],
)
def test_wrong_calls_are_explained(name: str, options: PrepareOptions, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        prepare_dataset(name, tmp_path / "nothing", tmp_path / "out", options)


def test_the_command_prepares_checks_and_audits(tmp_path: Path) -> None:
    source, dest = mini.write_bcss(tmp_path / "source"), tmp_path / "bcss"
    result = CliRunner().invoke(main, ["data", "prepare", "bcss", str(source), str(dest), "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "4 images, 4 groups; 2 train, 1 val, 1 test" in result.output
    assert "1 of 76 train" not in result.output
    assert "2 of 76 train, 1 of 30 val, 1 of 45 test regions" in result.output
    assert CliRunner().invoke(main, ["data", "check", str(dest)]).exit_code == 0
    assert CliRunner().invoke(main, ["data", "audit", str(dest)]).exit_code == 0


def test_an_unknown_label_exits_2_in_one_line(tmp_path: Path) -> None:
    source = mini.write_bdsa(tmp_path / "source")
    mini.save(source / "mask/S2_0_0.png", mini.stripes((5,)))
    result = CliRunner().invoke(main, ["data", "prepare", "bdsa", str(source), str(tmp_path / "o"), "--workers", "1"])
    assert result.exit_code == 2
    assert "Got 5" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", REGISTRY)
def test_every_converter_has_its_page(name: str) -> None:
    page = Path(__file__).parents[3] / "docs/datasets" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    assert f"imbalance-bench data prepare {name} " in text
    sections = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert sections == ["How to obtain it", "Published layout", "Statistics", "Splits", "Licence", "Citation"]
