"""Every group of rows of the table of speeds, at a miniature size: does it run, and is there a table?"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks.speed import decoder
from benchmarks.speed.clock import Spans
from benchmarks.speed.device_limit import DATASHEETS, limit_of
from benchmarks.speed.growth import growth_row
from benchmarks.speed.row import AimIs, Row, table
from benchmarks.speed.setting import Setting
from benchmarks.speed.traffic import traffic_of

ROOT = Path(__file__).parents[2]
IN_PROCESSES = ("start", "beside", "tests", "job", "training")  # of their own, each of which imports torch


def require_rows(rows: list[Row]) -> None:
    """Every row has a line of the table and can be written."""
    assert rows
    assert len(table(rows).splitlines()) >= 2 + len(rows)
    for row in rows:
        assert np.isfinite(row.ours)
        assert row.theirs is None or row.theirs > 0
        assert json.loads(json.dumps(row.as_json()))["met"] in (True, False, None)


@pytest.mark.parametrize(
    "name", [name for name in command.GROUPS if name not in IN_PROCESSES and name not in ("runs", "grid-large")]
)
def test_a_group_runs(name: str, tmp_path: Path) -> None:
    require_rows(command.GROUPS[name].measure(Setting(tmp_path, tiny=True)))


@pytest.mark.bench
@pytest.mark.parametrize("name", ["runs", *IN_PROCESSES])
def test_a_group_runs_in_its_processes(name: str, tmp_path: Path) -> None:
    require_rows(command.GROUPS[name].measure(Setting(tmp_path, tiny=True)))


def test_the_command_prints_a_table_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    out = tmp_path / "speed" / "cpu.json"
    monkeypatch.setattr(sys, "argv", ["benchmarks", "decoder", "--tiny", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    written = json.loads(out.read_text())
    assert written["machine"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert written["groups"]["decoder"][0]["what"] in capsys.readouterr().out


def test_a_group_that_fails_leaves_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cpu.json"
    monkeypatch.setattr(sys, "argv", ["benchmarks", "start", "decoder", "encode", "--out", str(out)])
    monkeypatch.setattr(command, "machine", lambda _device: {"device": "cpu"})
    row = Row("this", "that", 1.0, 4.0, "s", 3, "ratio at least").as_json()
    monkeypatch.setattr(command, "_in_process", lambda name, *_: None if name == "decoder" else [row])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert json.loads(out.read_text())["groups"] == {"start": [row], "encode": [row]}
    told = capsys.readouterr()
    assert "| this | that | 1 s | 4 s | 4.00 x | >= 3 x | yes |" in told.out
    assert "not measured: decoder" in told.err


def test_without_a_gpu_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--device", "cuda"])
    monkeypatch.setattr(command, "_has_gpu", lambda: False)
    command.main()
    assert capsys.readouterr().out == "no CUDA device is at hand, so no row of a GPU was measured\n"


@pytest.mark.parametrize(
    ("aim_is", "ours", "theirs", "met"),
    [
        ("ratio at least", 1.0, 3.0, True),
        ("ratio at least", 1.0, 2.9, False),
        ("ratio at most", 3.0, 1.0, True),
        ("ratio at most", 3.1, 1.0, False),
        ("at most", 3.0, None, True),
        ("at most", 3.1, None, False),
        ("at least", 3.0, None, True),
        ("at least", 2.9, None, False),
    ],
)
def test_aims(aim_is: AimIs, ours: float, theirs: float | None, met: bool) -> None:
    assert Row("", "", ours, theirs, "", 3, aim_is).met is met


def test_the_exponent_of_growth() -> None:
    assert growth_row("x", "runs", (10, 100, 1000), (0.1, 1.0, 10.0)).ours == pytest.approx(1)
    assert growth_row("x", "runs", (10, 100, 1000), (0.1, 10.0, 1000.0)).met is False


def test_structures_that_differ_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = decoder.official_logits
    monkeypatch.setattr(decoder, "official_logits", lambda *arguments: plain(*arguments) + 0.1)
    with pytest.raises(RuntimeError, match="not the same network"):
        decoder.rows(Setting(tmp_path, tiny=True))


def test_spans_add_up_outermost_calls_alone() -> None:
    class Clock:
        now = 0.0

        def outer(self) -> None:
            Clock.now += 1
            self.inner()

        def inner(self) -> None:
            Clock.now += 2

    spans = Spans("cpu", lambda: Clock.now)
    plain = Clock.outer
    with spans.watching(Clock, "outer"), spans.watching(Clock, "inner"):
        Clock().outer()
        Clock().inner()
    assert spans.seconds == 5
    assert Clock.outer is plain


def test_traffic_counts_what_operators_read_and_write() -> None:
    a, b = torch.ones(1000), torch.ones(1000)
    assert traffic_of(lambda: a + b) == 3 * 4000
    assert traffic_of(lambda: a.view(10, 100)) == 0
    assert traffic_of(lambda: torch.empty(1000)) == 0


def test_limits_of_devices() -> None:
    assert limit_of("NVIDIA H100 80GB HBM3") == DATASHEETS["H100"]
    assert limit_of("NVIDIA H100 PCIe") == DATASHEETS["H100 PCIe"]
    assert limit_of("NVIDIA H200") == DATASHEETS["H200"]
    assert limit_of("NVIDIA GeForce RTX 4090") is None
