"""Every command in README and docs is one that exists, with options that it has; the cheap ones are executed.

Commands in blocks must be complete. Those within a sentence (`imbalance-bench plot`) may leave arguments out.
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from tests.small_study import write_dataset, write_study

ROOT = Path(__file__).parents[2]
GENERATED = {"commands.md"}
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results" / "README.md",
    ROOT / "examples" / "plugin" / "README.md",
    *(page for page in sorted(ROOT.glob("docs/*.md")) if page.name not in GENERATED),
    *sorted(ROOT.glob("docs/datasets/*.md")),
]
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}\S.*$", re.MULTILINE)
SPAN = re.compile(r"`((?:\w+=\S+ )*imbalance-bench [^`]+)`")
COMMAND = re.compile(r"(?:^|\s)imbalance-bench (.*)$")


@dataclass(frozen=True)
class Typed:
    """A command as a page has it.

    Args:
        page: The page.
        text: Behind `imbalance-bench`.
        complete: False within a sentence, where arguments may be left out.
    """

    page: Path
    text: str
    complete: bool

    @property
    def words(self) -> list[str]:
        """What a shell makes of it; brackets mark what is optional, dots what goes on."""
        plain = (
            re.sub(r"\s#.*|[\[\]](?=\s|$|-)|(?<=\s)\[|\s\.\.\.", " ", self.text)
            if "seeds=[" not in self.text
            else self.text
        )
        return shlex.split(plain.split(" &")[0], comments=True)

    def __str__(self) -> str:
        return f"{self.page.name}: imbalance-bench {self.text}"


def commands_of(page: Path) -> Iterator[Typed]:
    text = page.read_text(encoding="utf-8")
    blocks = [*FENCE.findall(text), *INDENTED.findall(FENCE.sub("", text))]
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        found = COMMAND.search(line.split(" # ")[0])
        if found and not line.lstrip().startswith("docker build"):
            yield Typed(page, found.group(1).strip(), complete=True)
    for span in SPAN.findall(FENCE.sub("", text)):
        yield Typed(page, " ".join(span.split()).split("imbalance-bench ", 1)[1], complete=False)


TYPED = sorted({str(each): each for page in PAGES for each in commands_of(page)}.values(), key=str)


def parsed(typed: Typed) -> tuple[click.Command, dict[str, object]]:
    """Find the command, and give it its words without executing it.

    Raises:
        click.UsageError: There is no such command, option or value, or an argument too many or too few.
    """
    command: click.Command = main
    context = click.Context(main, info_name="imbalance-bench", help_option_names=["-h", "--help"])  # as main says
    words = typed.words
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        inner = command.get_command(context, name)
        if inner is None:
            raise click.UsageError(f"No such command '{name}'.")
        command, context = inner, click.Context(inner, parent=context, info_name=name)
    values, left, _ = command.make_parser(context).parse_args(list(words))
    if left and not isinstance(command, click.Group):
        raise click.UsageError(f"Too many arguments: {left}.")
    for parameter in command.params:
        value = values.get(parameter.name)
        given = isinstance(value, str) or (isinstance(value, (list, tuple)) and bool(value))
        if typed.complete and parameter.required and not given:
            raise click.UsageError(f"Nothing given for {parameter.name}.")
        if isinstance(value, str) and not isinstance(parameter.type, click.Path) and not value.isupper():
            parameter.type.convert(value, parameter, context)
    return command, values


@pytest.mark.parametrize("typed", TYPED, ids=str)
def test_the_command_is_one_that_can_be_typed(typed: Typed) -> None:
    parsed(typed)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("anlyze results", "No such command"),
        ("analyze results --fast", "No such option"),
        ("analyze", "Nothing given"),
        ("analyze one two", "unexpected extra argument|Too many arguments"),
        ("run study.yaml --engine carrier-pigeon", "is not one of"),
        ("run study.yaml --workers many", "not a valid integer"),
    ],
)
def test_a_command_that_cannot_be_typed_is_noticed(text: str, complaint: str) -> None:
    with pytest.raises(click.UsageError, match=complaint):
        parsed(Typed(ROOT / "README.md", text, complete=True))


def test_commands_are_found_on_every_page_that_has_some() -> None:
    assert len(TYPED) > 90
    assert {"README.md", "tutorial.md", "running.md", "sharing.md", "score.md"} <= {each.page.name for each in TYPED}


CHEAP = {
    "analyze", "cache clean", "cache list", "compare", "data check", "data audit", "doctor", "export", "import",
    "methods", "plot", "power", "repair", "status", "run --dry-run",
}  # fmt: skip
UNLIKE_THE_PAGE = {"methods label_smoothing"}  # the plug-in is not installed here


def name_of(typed: Typed) -> str:
    words = typed.words
    name = " ".join(words[:2]) if words[0] in ("data", "cache") else words[0]
    return f"{name} --dry-run" if name == "run" and "--dry-run" in words else name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, finished_study: Path) -> Path:
    """A folder in which the names of the pages exist."""
    folder = tmp_path_factory.mktemp("typed")
    for name in ("data/mine", "DIR", "DEST"):
        write_dataset(folder / name)
    for name in ("study.yaml", "my-study.yaml", "DATA-study/study.yaml", "NAME-study/study.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        write_study(folder / name, folder / "data/mine")
    for name in ("results/studies/mine", "results/studies/my-study", "results/studies/DATA", "results/studies/NAME",
                 "results/studies/consep",
                 "results/studies/tools_on_glas", "STUDY", "OTHER_STUDY"):  # fmt: skip
        shutil.copytree(finished_study, folder / name)
    return folder


def executed() -> list[Typed]:
    return [each for each in TYPED if each.complete and name_of(each) in CHEAP and each.text not in UNLIKE_THE_PAGE]


def test_cheap_commands_do_what_the_page_says(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    order = ["status", "data check", "analyze", "export", "import"]
    ranked = sorted(executed(), key=lambda each: order.index(name_of(each)) if name_of(each) in order else len(order))
    done, failed = set(), []
    for typed in ranked:
        words = tuple(typed.words)
        if words in done or any(word.startswith(("examples/", "../", "cv.csv")) for word in words):
            continue
        done.add(words)
        if name_of(typed) == "compare":
            CliRunner().invoke(main, ["analyze", "STUDY"])
            CliRunner().invoke(main, ["analyze", "OTHER_STUDY"])
        result = CliRunner().invoke(main, list(words))
        if result.exit_code:
            failed.append(f"{typed}\n{result.output}")
    assert not failed, "\n".join(failed)
    assert len(done) > 15
