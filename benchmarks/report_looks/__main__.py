"""Make reports of five unlike studies and look at them: python -m benchmarks.report_looks --out DIR [STUDY ...].

Measures every report in Chromium at 390, 1024 and 1440 px (size, screens that are open, what is cut or overflows, lines
of the console, requests, pages on paper), and leaves pictures of every chapter and a sheet of every figure to look at.
STUDY: analysed studies to look at besides.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from analysis.report import build_report

sys.path.insert(0, str(Path(__file__).parents[2]))  # the tests

from benchmarks.report_looks.browser import VIEW_PX, Looks, faults, look_at, paper_pages, photograph
from benchmarks.report_looks.studies import write_studies

MOST_MEGABYTES, MOST_SCREENS, MOST_PAGES = 4.0, 8.0, 25
SHEET_PX = 640  # width of a figure on a sheet


def main() -> int:
    """Look at every report; 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("studies", type=Path, nargs="*", metavar="STUDY")
    options = parser.parse_args()
    studies = write_studies(options.out) | {each.name: each for each in options.studies}
    columns = ("study", "MB", "screens open, at " + " ".join(map(str, VIEW_PX)), "pages", "faults")
    table, broken = Table(*columns, title="Reports"), 0
    for name, root in studies.items():
        page = build_report(root)
        with tempfile.TemporaryDirectory() as folder:
            looks = look_at(page, Path(folder))
            pages = paper_pages(page, Path(folder))
            photographs(page, looks, options.out / "pictures" / name, Path(folder))
        sheet(root / "figures", options.out / "pictures" / name / "figures.png")
        megabytes, found = page.stat().st_size / 1e6, faults(looks)
        open_ = [max(each["chapters"].values()) / each["height"] for each in looks.results]
        result = [next(iter(each["chapters"].values())) / each["height"] for each in looks.results]
        broken += bool(found) or megabytes > MOST_MEGABYTES or pages > MOST_PAGES or max(result) > MOST_SCREENS
        shown = ", ".join(f"{first:.1f} ({most:.1f})" for first, most in zip(result, open_, strict=True))
        table.add_row(name, f"{megabytes:.1f}", shown, str(pages), "; ".join(found) or "none")
    Console(width=140).print(table)
    return int(broken > 0)


def photographs(page: Path, looks: Looks, folder: Path, work: Path) -> None:
    """Take pictures of the first screen and of every chapter at every width."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in looks.results:
        width, height = each["width"], each["height"]
        photograph(page, folder / f"first_{width}.png", work, width=width, height=height)
        for chapter, depth in each["chapters"].items():
            photograph(page, folder / f"{chapter}_{width}.png", work, width=width, height=int(depth) + 20, at=chapter)


def sheet(figures: Path, out: Path) -> None:
    """Put the figures of a study on one picture, three in a row."""
    pictures = [Image.open(path).convert("RGB") for path in sorted(figures.glob("*.png"))]
    pictures = [each.resize((SHEET_PX, round(each.height * SHEET_PX / each.width))) for each in pictures]
    rows = [pictures[start : start + 3] for start in range(0, len(pictures), 3)]
    picture = Image.new("RGB", (3 * SHEET_PX, sum(max(each.height for each in row) for row in rows)), "white")
    top = 0
    for row in rows:
        for place, each in enumerate(row):
            picture.paste(each, (place * SHEET_PX, top))
        top += max(each.height for each in row)
    picture.save(out)


if __name__ == "__main__":
    sys.exit(main())
