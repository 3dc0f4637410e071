"""The commands in README and docs, as they are typed there."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
