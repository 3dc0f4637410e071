"""The documentation site: builds without a warning, links nothing that is missing, asks nothing of another host."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from docs.generate.gallery import REPORT, write_gallery
from imbalance_bench.cli.main import main
from imbalance_bench.errors import UserError

pytest.importorskip("furo", reason="the extra `docs` is not installed")
pytest.importorskip("myst_parser", reason="the extra `docs` is not installed")

ROOT = Path(__file__).parents[2]
NOT_SOURCE = shutil.ignore_patterns("gallery", "generate", "__pycache__")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, finished_study: Path) -> Path:
    """A copy of `docs/` with the gallery of a small study, beside what its pages link to."""
    root = tmp_path_factory.mktemp("site")
    study = root / "study"
    shutil.copytree(finished_study, study)
    result = CliRunner().invoke(main, ["analyze", str(study)])
    assert result.exit_code == 0, result.output
    with pytest.raises(UserError, match="Run `imbalance-bench report"):
        write_gallery((study,), root / "docs" / "gallery")
    (study / "report").mkdir()
    (study / "report" / "index.html").write_text("<title>the report</title>")
    shutil.copytree(ROOT / "docs", root / "docs", ignore=NOT_SOURCE)
    missing = write_gallery((study,), root / "docs" / "gallery")
    assert {"class_dice", "ranks", "ledger_heatmap"}.isdisjoint(missing)
    assert {"tuning", "model_effects", "critical_difference"} <= set(missing)
    for name in ("examples", "results"):
        (root / name).symlink_to(ROOT / name)
    return root / "docs"


def build(sources: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "--nitpicky", "--fail-on-warning", "--keep-going", "--quiet", sources, out],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(sources: Path) -> Path:
    result = build(sources, sources.parent / "html")
    assert result.returncode == 0, result.stderr
    return sources.parent / "html"


def test_every_page_is_built_and_the_report_is_where_the_gallery_links_to_it(site: Path, sources: Path) -> None:
    for page in sources.rglob("*.md"):
        assert (site / page.relative_to(sources)).with_suffix(".html").is_file(), page
    assert (site / REPORT).read_text() == "<title>the report</title>"
    assert f'href="../{REPORT}"' in (site / "gallery" / "index.html").read_text()
    assert 'alt="Dice' in (site / "gallery" / "index.html").read_text() or "class_dice.svg" in str(
        [*site.rglob("*.svg")]
    )


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loads = re.compile(r"""(?:<(?:script|img|iframe|source)[^>]*\ssrc|<link[^>]*\shref)=["'](?:https?:)?//[^"']*""")
    remote = re.compile(r"@import\s+url\(\s*[\"']?https?:|url\(\s*[\"']?https?:")
    pages = [*site.rglob("*.html")]
    assert len(pages) > 30
    assert not [found for page in pages for found in loads.findall(page.read_text(encoding="utf-8"))]
    assert not [sheet for sheet in site.rglob("*.css") if remote.search(sheet.read_text(encoding="utf-8"))]


def test_a_link_to_nothing_is_an_error(sources: Path, tmp_path: Path) -> None:
    shutil.copytree(sources, tmp_path / "docs")
    page = tmp_path / "docs" / "faq.md"
    page.write_text(page.read_text() + "\n[nowhere](no_such_page.md)\n")
    for name in ("examples", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    result = build(tmp_path / "docs", tmp_path / "html")
    assert result.returncode != 0
    assert "no_such_page.md" in result.stderr
