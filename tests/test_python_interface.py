"""`import imbalance_bench as ib`: the page that documents it runs, and it gives what the commands give."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import imbalance_bench as ib
from analysis.schema import TABLES
from analysis.schema.files import read_table
from imbalance_bench.cli.main import main
from tests.small_study import CLASSES, small_config, study_content, write_dataset, write_study

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def in_python(script: str, place: Path, *, with_file: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter, as a file of `place` or by `-c`."""
    (place / "script.py").write_text(script)
    arguments = [str(place / "script.py")] if with_file else ["-c", script]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run([sys.executable, *arguments], cwd=place, env=environment, capture_output=True, text=True)


def test_every_block_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    write_study(tmp_path / "study.yaml", write_dataset(tmp_path / "discs"), name="mine", seeds=[0, 1])
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 7
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["page"] == Path("results/studies/mine/report/index.html")
    assert Path("dice.pdf").stat().st_size > 1000
    compared, explained = names["compared"], names["explained"]
    assert isinstance(compared, ib.ComparedScores)
    assert compared.word("mine") == "better"
    assert isinstance(explained, ib.Explained)
    printed = capsys.readouterr().out  # pyright: ignore[reportAttributeAccessIssue]
    assert "<Study 'mine' in results/studies/mine: 4 done>" in printed


def test_frames_are_the_documented_tables(finished_study: Path) -> None:
    study = ib.load_study(str(finished_study))
    for name in TABLES:
        frame = study.table(name)
        assert list(frame.columns) == list(TABLES[name].columns)
        pd.testing.assert_frame_equal(frame, read_table(finished_study / "analysis", name))
    assert study.classes == list(CLASSES)
    assert study.methods == ["cross_entropy", "inverse_sqrt", "focal", "cdb", "dfa"]
    assert study.status()["state"].tolist() == ["done"] * 10
    verdicts = study.verdicts()
    assert verdicts["id"].tolist() == [each.id for each in study.verdict_objects()]
    assert not verdicts.isna().any().any()
    copied = study.scores()
    copied["mean"] = 0.0
    assert study.scores()["mean"].max() > 0
    assert isinstance(study.plot("class_dice"), Figure)
    methods = ib.methods()
    assert methods.loc[methods["name"] == "dfa", "needs"].item() == "class_query"
    assert ib.methods("focal").set_index("option").loc["gamma", "values"] == "number >= 0"


def test_the_analysis_follows_the_runs(tmp_path: Path, shared_cache: Path) -> None:
    content = study_content(write_dataset(tmp_path / "discs"), methods=["cross_entropy", "focal"])
    study = ib.run(content, tmp_path / "s", cache=shared_cache, engine="serial")
    assert set(study.scores()["n_seeds"]) == {1}
    again = ib.run(content | {"seeds": [0, 1]}, str(tmp_path / "s"), cache=str(shared_cache), engine="serial")
    assert set(again.scores()["n_seeds"]) == {2}
    assert set(study.scores()["n_seeds"]) == {2}  # one that was opened before notices too


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda study, _: study.table("scors"), "Did you mean 'scores'|no table 'scors'"),
        (lambda study, _: study.plot("rank"), "Did you mean 'ranks'"),
        (lambda study, _: study.plot("ranks", "ranks.gif"), "Change the suffix"),
        (lambda _, config: ib.run(config, engine="proces"), "`engine` must be one of"),
        (lambda _, config: ib.run(config, overrides=["seeds=[1]"]), "`overrides` change a study file"),
        (lambda study, _: ib.load_study(study.root / "runs"), "not a study directory"),
        (lambda *_: ib.run("none.yaml"), "none.yaml"),
        (lambda *_: ib.methods("focl"), "Did you mean 'focal'"),
    ],
)
def test_what_is_wrong_is_one_line(call: object, message: str, finished_study: Path, dataset: Path) -> None:
    with pytest.raises(ib.UserError, match=message) as caught:
        call(ib.load_study(finished_study), small_config(dataset))  # pyright: ignore[reportCallIssue]
    assert "\n" not in str(caught.value)


def test_every_name_is_there_and_importing_costs_nothing(tmp_path: Path) -> None:
    assert all(getattr(ib, name) is not None for name in ib.__all__)
    assert set(ib.__all__) == set(ib._PUBLIC) <= set(dir(ib))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ib.nothing  # pyright: ignore[reportAttributeAccessIssue]
    script = "import sys, imbalance_bench; print(sorted({'torch', 'pandas', 'analysis', 'methods'} & set(sys.modules)))"
    assert in_python(script, tmp_path).stdout == "[]\n"


@pytest.mark.parametrize("name", ["analysis.py", "methods.py", "methods/__init__.py"])
def test_a_file_that_takes_the_place_of_a_package_is_one_clear_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    top = tmp_path / Path(name).parts[0]
    done = in_python("import imbalance_bench as ib\nib.methods()", tmp_path, with_file=True)
    assert done.returncode == 1
    package = top.name.removesuffix(".py")
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {top} takes the place of the package '{package}' of imbalance-bench, which cannot work without "
        f"it. Rename {top.name}."
    )


def test_a_script_needs_no_guard_for_its_processes(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study.yaml", write_dataset(tmp_path / "discs"), methods=["cross_entropy", "focal"])
    script = (
        f"import imbalance_bench as ib\nprint('once')\nstudy = ib.run({str(study)!r}, 'out', cache='cache', "
        "engine='process', workers=2)\nprint(study)\n"
    )
    done = in_python(script, tmp_path, with_file=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("once") == 1
    assert done.stdout.endswith("<Study 'small' in out: 2 done>\n")


def test_commands_and_python_write_the_same(finished_study: Path) -> None:
    ib.load_study(finished_study).analyze()
    before = {path.name: path.read_bytes() for path in (finished_study / "analysis").iterdir()}
    assert CliRunner().invoke(main, ["analyze", str(finished_study)]).exit_code == 0
    assert before == {path.name: path.read_bytes() for path in (finished_study / "analysis").iterdir()}
