"""The gallery of figures and the example report, from studies that were analysed and reported.

`python -m docs.generate.gallery STUDY [STUDY ...] [--compared FOLDER]` writes `docs/gallery/`, which git ignores: every
kind of figure, drawn of the first study that can have it, the report of the first study, and its verdicts. `make docs`
makes the studies.
"""

import shutil
from pathlib import Path

import click

from analysis.plots import KINDS, NotDrawableError, draw
from analysis.reading.analysed_study import AnalysedStudy
from analysis.report.figures import CAPTIONS
from analysis.verdicts import Topic
from imbalance_bench.errors import UserError

FOLDER = Path(__file__).parents[1] / "gallery"
REPORT = "example_report.html"
COMPARED = "critical_difference"  # drawn by `compare` alone, of several studies
HEAD = """\
# Example report and gallery

**<a href="../{report}">The report of `{name}`</a>** is one file, as `imbalance-bench report` wrote it; [its
verdicts](verdicts.md) stand on a page of their own. The study is small, so that anybody can make it again in
minutes: it shows what a report holds, and says nothing about the methods.

Every kind of figure that `imbalance-bench plot STUDY KIND` draws follows. `make docs` draws them anew, from example
studies on phantom tissue.

"""
VERDICTS_HEAD = """\
# Verdicts of the example

Every verdict of the study `{name}`, as `imbalance-bench analyze` gives it: the word, the sentence and the rule.
[What the verdicts mean](../verdicts.md) explains the words.

"""


def write_gallery(studies: tuple[Path, ...], folder: Path, compared: Path | None = None) -> list[str]:
    """Write the pages and what they show.

    Args:
        studies: Analysed studies; the first one must have a report.
        folder: Where to write; what it held is replaced.
        compared: What `compare` wrote of several studies.

    Returns:
        Kinds that none of the studies can have.

    Raises:
        UserError: A study was not analysed or, the first one, not reported.
    """
    report = studies[0] / "report" / "index.html"
    if not report.is_file():
        raise UserError(f"{report} does not exist. Run `imbalance-bench report {studies[0]}` first.")
    name = AnalysedStudy.open(studies[0]).plan["name"]
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "extra").mkdir(parents=True)
    shutil.copy(report, folder / "extra" / REPORT)
    lines, missing = [HEAD.format(report=REPORT, name=name)], []
    for kind in KINDS:
        reason = _drawn(kind, studies, folder / f"{kind}.svg", compared)
        title, caption = CAPTIONS[kind]
        shown = f"![{title}]({kind}.svg)" if not reason else f"*None of the example studies can have it: {reason}*"
        named = f"`{kind}`: {caption}" if caption else f"`{kind}`"
        lines.append(f"## {title}\n\n{named}\n\n{shown}\n")
        missing += [kind] if reason else []
    (folder / "index.md").write_text("\n".join([*lines, TOC]), encoding="utf-8")
    (folder / "verdicts.md").write_text(_verdicts(studies[0], name), encoding="utf-8")
    return missing


TOC = "```{toctree}\n:hidden:\n\nverdicts\n```\n"


def _drawn(kind: str, studies: tuple[Path, ...], target: Path, compared: Path | None) -> str:
    """Draw a kind of the first study that can have it; return why none can, or nothing."""
    if kind == COMPARED and compared is not None:
        shutil.copy(compared / f"{COMPARED}.svg", target)
        return ""
    reasons = []
    for study in studies:
        try:
            draw(kind, study, target)
        except NotDrawableError as reason:
            reasons.append(str(reason))
        else:
            return ""
    return reasons[0]


def _verdicts(study: Path, name: str) -> str:
    """The page of verdicts, by topic."""
    verdicts = AnalysedStudy.open(study).verdicts
    lines = [VERDICTS_HEAD.format(name=name)]
    for topic in Topic:
        found = [verdict for verdict in verdicts if verdict.topic == topic]
        if found:
            lines += [f"## {topic.value.capitalize()}", "", f"{topic.question}", ""]
        for verdict in found:
            sentence, rule = (
                text.replace("<", "&lt;").replace("*", "\\*") for text in (verdict.sentence, verdict.rule)
            )
            lines += [f"- `{verdict.word}`: {sentence}", f"  *Rule: {rule}.*" if rule else ""]
        lines.append("")
    return "\n".join(lines)


@click.command()
@click.argument("studies", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--compared", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Written by `compare`.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, show_default=True)
def main(studies: tuple[Path, ...], compared: Path | None, out: Path) -> None:
    """Write the gallery of STUDIES."""
    try:
        missing = write_gallery(studies, out, compared)
    except UserError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{len(KINDS) - len(missing)} of {len(KINDS)} kinds of figures"
        + f"; missing: {', '.join(missing)}" * bool(missing)
    )


if __name__ == "__main__":
    main()
