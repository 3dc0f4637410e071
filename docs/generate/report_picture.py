"""The picture of a report for README: `python -m docs.generate.report_picture STUDY [--out FILE]`.

Takes the first screen of `STUDY/report/index.html` with a headless Chromium, which must be installed.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import click
from PIL import Image

WIDTH_PX, HEIGHT_PX = 1280, 900
MOST_BYTES = 150_000  # of a picture in the repository
COLOURS = (256, 128, 64, 32)  # of its palette: the most that fit
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OUT = Path(__file__).parents[1] / "figures" / "report.png"


def picture(report: Path, out: Path) -> Path:
    """Write the first screen of a report as a small PNG.

    Args:
        report: An HTML file.
        out: The PNG.

    Raises:
        click.ClickException: No Chromium, or a picture that no palette makes small enough.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise click.ClickException(
            f"Chromium is missing: one of {', '.join(BROWSERS)} must be on the PATH. Install it."
        )
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "report.png"
        options = [f"--window-size={WIDTH_PX},{HEIGHT_PX}", "--hide-scrollbars", "--disable-gpu", "--no-sandbox"]
        address = report.resolve().as_uri()
        subprocess.run(
            [browser, "--headless", *options, f"--user-data-dir={folder}/profile", f"--screenshot={shot}", address],
            check=True,
            capture_output=True,
        )
        with Image.open(shot) as image:
            return _small(image.convert("RGB"), out)


def _small(image: Image.Image, out: Path) -> Path:
    """Save with as many colours as the size allows."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for colours in COLOURS:
        image.quantize(colours, dither=Image.Dither.NONE).save(out, optimize=True)
        if out.stat().st_size <= MOST_BYTES:
            return out
    out.unlink()
    raise click.ClickException(f"The picture takes more than {MOST_BYTES:,} bytes with {COLOURS[-1]} colours.")


@click.command()
@click.argument("study", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=OUT, show_default=True)
def main(study: Path, out: Path) -> None:
    """Take the picture of the report of STUDY."""
    report = study / "report" / "index.html"
    if not report.is_file():
        raise click.ClickException(f"{report} does not exist. Run `imbalance-bench report {study}` first.")
    click.echo(f"{picture(report, out)}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
