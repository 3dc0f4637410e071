"""Bad inputs: hypothesis draws bytes for every reader, and words for every option of every command."""

import contextlib
import io
import json
import shutil
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import hypothesis
from hypothesis import strategies as st

from benchmarks.faults.commands import invoke
from benchmarks.faults.readers import Reader, readers_of, suffix_of
from benchmarks.faults.small_study import SmallStudy
from imbalance_bench.cli.main import main
from imbalance_bench.config import load_study, parse_study
from imbalance_bench.errors import UserError

EXAMPLES_OF_READER, EXAMPLES_OF_STUDY, WORDS_OF_OPTION = 60, 400, 4

ODD_TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            " ",
            "nan",
            "inf",
            "-inf",
            "1e400",
            "-1",
            "0",
            "9" * 30,
            "null",
            "~",
            "[]",
            "{}",
            "../..",
            "/",
            "[/b]",
            "-",
        ]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63 - 1, 2**64, 10**30]),
    st.floats(),
    ODD_TEXT,
    st.dates(),
)
CONTENT = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(ODD_TEXT, below, max_size=4)),
    max_leaves=8,
)


def try_readers(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """Files that are damaged, foreign or random: read, or refused in one line."""
    workplace.mkdir(parents=True, exist_ok=True)
    for name, (reader, examples) in readers_of(small, workplace).items():
        suffix = suffix_of(name)
        yield from _draw(
            lambda raw, reader=reader, suffix=suffix, name=name: _read(reader, workplace / f"drawn{suffix}", raw, name),
            damaged(examples),
            EXAMPLES_OF_READER,
            seed,
        )


def try_study_files(small: SmallStudy, _workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """A good study file with one value of any section replaced by anything."""
    good = json.loads(json.dumps(load_study(small.file).dump()))
    places = list(_places(good))

    def parse(change: tuple[tuple[str | int, ...], Any]) -> tuple[bool, str]:
        place, value = change
        content = json.loads(json.dumps(good))
        parent = content
        for part in place[:-1]:
            parent = parent[part]
        parent[place[-1]] = value
        told = f"{place} = {value!r}"
        try:
            parse_study(content, source="drawn.yaml").dump()
        except UserError as error:
            return "\n" not in str(error), f"{told}: {error}"
        except Exception as error:  # noqa: BLE001 - any other exception is a fault
            return False, f"{told}: {type(error).__name__}: {error}"
        return True, told

    yield from _draw(parse, st.tuples(st.sampled_from(places), CONTENT), EXAMPLES_OF_STUDY, seed)


def try_options(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """Every option and argument of every command with odd words."""
    workplace.mkdir(parents=True, exist_ok=True)
    for path, command in _leaves(main, ()):
        good = _good_words(small, workplace).get(" ".join(path), {})
        for parameter in command.params:
            if " ".join(path) in ("quickstart", "doctor") or (
                isinstance(parameter, click.Option) and parameter.is_flag
            ):
                continue

            def run(word: str, path: tuple[str, ...] = path, parameter: click.Parameter = parameter, good: Any = good):
                words = [*path]
                for name, value in good.items():
                    if name != parameter.name:
                        words += [name, value] if name.startswith("-") else [value]
                    elif name == parameter.name:
                        words.append(word)
                if isinstance(parameter, click.Option):
                    words += [f"{parameter.opts[0]}={word}"]
                with contextlib.chdir(workplace):  # a word may be a path
                    found = invoke(words, longest_s=60)
                return found.is_clean, found.told()

            drawn = ODD_TEXT.filter(lambda word: "\0" not in word and not any("\ud800" <= c <= "\udfff" for c in word))
            yield from _draw(run, drawn, WORDS_OF_OPTION, seed)
        for each in [p for p in workplace.iterdir() if p.name.startswith("made")]:
            shutil.rmtree(each, ignore_errors=True)


def _good_words(small: SmallStudy, workplace: Path) -> dict[str, dict[str, Any]]:
    """Words with which each command has something to do, arguments by their names; it would take seconds at most."""
    study, run, data = str(small.study), str(small.study / "runs" / small.run_id), str(small.data)
    return {
        "run": {"study": str(small.file), "--out": str(workplace / "made"), "--cache": str(small.cache)}
        | {"--engine": "serial", "--set": "methods=[nothing]"},
        "status": {"study_dir": study},
        "analyze": {"study_dir": str(workplace / "nothing")},
        "report": {"study_dir": str(workplace / "nothing")},
        "plot": {"study_dir": study, "kind": "list"},
        "predict": {"run_dir": run, "images": str(small.image), "--out": str(workplace / "made-p")},
        "compare": {"study_dirs": study, "--out": str(workplace / "made-c")},
        "compare-scores": {"scores": str(workplace / "nothing.csv")},
        "track": {"study_dir": study, "--to": "tensorboard", "--out": str(workplace / "made-t")},
        "export": {"study_dir": study, "--out": str(workplace / "made.zip")},
        "import": {"bundle": str(workplace / "nothing.zip"), "study_dir": str(workplace / "made-i")},
        "power": {"study": str(small.file), "--simulations": "20"},
        "explain": {"quantities": str(workplace / "n.csv"), "measures": str(workplace / "n.csv")},
        "methods": {"name": "focal"},
        "data check": {"folder": data},
        "data audit": {"source": data},
        "data prepare": {"name": "folder", "source": data, "dest": str(workplace / "made-d")},
        "data splits": {"folder": data},
        "data describe": {"folder": str(workplace / "nothing")},
        "data phantom": {"dest": str(workplace / "made-x"), "--preset": "nothing"},
    }


def _leaves(group: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(group, click.Group):
        yield path, group
        return
    for name, command in sorted(group.commands.items()):
        yield from _leaves(command, (*path, name))


def _draw(
    attempt: Callable[[Any], tuple[bool, str]], values: st.SearchStrategy[Any], number: int, seed: int
) -> Iterator[tuple[bool, str]]:
    """Draw values and collect what came of them; hypothesis draws, and does not shrink what we keep anyway."""
    found: list[tuple[bool, str]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=tuple(hypothesis.HealthCheck),  # pyright: ignore[reportArgumentType]
    )
    @hypothesis.given(values)
    def collect(value: Any) -> None:
        found.append(attempt(value))

    with contextlib.redirect_stdout(io.StringIO()):
        collect()
    yield from found


def damaged(examples: list[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes near those of good files, and any bytes."""

    def change(drawn: tuple[bytes, float, float, bytes]) -> bytes:
        raw, first, second, inserted = drawn
        start, stop = sorted((int(first * len(raw)), int(second * len(raw))))
        return raw[:start] + inserted + raw[stop:]

    near = st.tuples(st.sampled_from(examples), st.floats(0, 1), st.floats(0, 1), st.binary(max_size=16)).map(change)
    flip = st.tuples(
        st.sampled_from(examples), st.floats(0, 1), st.floats(0, 0), st.binary(min_size=1, max_size=4)
    ).map(lambda drawn: (raw := drawn[0])[: (at := int(drawn[1] * len(raw)))] + drawn[3] + raw[at + len(drawn[3]) :])
    return st.one_of(near, flip, st.binary(max_size=200), st.sampled_from(examples))


def _read(reader: Reader, path: Path, raw: bytes, name: str) -> tuple[bool, str]:
    path.write_bytes(raw)
    told = f"{name}: {raw[:40]!r}, {len(raw)} bytes"
    try:
        reader(path)
    except UserError as error:
        return "\n" not in str(error), f"{told}: {error}"
    except Exception as error:  # noqa: BLE001 - any other exception is a fault
        return False, f"{told}: {type(error).__name__}: {error}"
    return True, told


def _places(content: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from _places(value, (*above, key))
    if isinstance(content, dict):
        yield (*above, "".join(string.ascii_lowercase[:3]))  # a key that there is not
