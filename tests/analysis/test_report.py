"""The report: one file that needs nothing else, in which every number stands in the tables of the analysis."""

import base64
import csv
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.plots import KINDS
from analysis.report import build_report
from imbalance_bench.errors import UserError
from tests.analysis.contract_study import write_analysis, write_bare_study
from tests.analysis.synthetic import write_synthetic_study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STRANGE = ("<script>alert(1)</script>", 'a "quoted" & $x_1$', "\u816b\u760d", "опухоль", "NA")
METHODS = ("cross_entropy", "focal <b>bold</b>")


def analysed(root: Path, **gaps: object) -> Path:
    plan, dataset = (json.loads((root / f"{name}.json").read_text()) for name in ("plan", "dataset"))
    return write_analysis(root, plan, dataset, **gaps)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_synthetic_study(
        tmp_path_factory.mktemp("report") / "complete", methods=("cross_entropy", "focal", "dfa"), seeds=2, n_images=4
    )
    build_report(analysed(root))
    return root


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report") / "strange"
    write_bare_study(root, STRANGE, methods=METHODS, seeds=2, dataset="<img src=x onerror=alert(1)>")
    build_report(analysed(root, failed=["000000000001"], testable=False))
    return root


@dataclass
class Page(HTMLParser):
    """What a browser would see."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @classmethod
    def of(cls, root: Path) -> "Page":
        page = cls()
        page.feed(source(root))
        return page

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


def source(root: Path) -> str:
    return (root / "report" / "index.html").read_text(encoding="utf-8")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_answer_comes_first_and_sections_in_order(complete: Path) -> None:
    text = source(complete)
    verdicts = json.loads((complete / "analysis" / "verdicts.json").read_text())["verdicts"]
    headline = html.escape(verdicts[0]["sentence"])
    order = [headline, *(f'<section id="{name}">' for name in ("methods", "bias", "classes", "images", "data"))]
    order += [f'<section id="{name}">' for name in ("verdicts", "reproduce", "limits")]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_every_verdict_stands_in_the_report_with_its_rule(complete: Path) -> None:
    text = Page.of(complete).text
    for verdict in json.loads((complete / "analysis" / "verdicts.json").read_text())["verdicts"]:
        assert verdict["sentence"] in text
        assert verdict["rule"] in text


def test_every_number_of_a_table_stands_in_the_analysis(complete: Path) -> None:
    known = set()
    for path in (complete / "analysis").glob("*.csv"):
        for row in rows_of(path.read_text()):
            known |= {float(value) for value in row.values() if re.fullmatch(r"-?[\d.]+(e-?\d+)?", value)}
    shown = [float(value) for value in Page.of(complete).attributes("data-sort")]
    assert len(shown) > 200
    assert set(shown) <= known


def test_sentences_of_the_first_screen_stand_in_the_verdicts(complete: Path) -> None:
    sentences = re.findall(r'<p class="sentence">(.*?)</p>', source(complete))
    verdicts = json.loads((complete / "analysis" / "verdicts.json").read_text())["verdicts"]
    assert len(sentences) == 2
    assert {html.unescape(each) for each in sentences} <= {each["sentence"] for each in verdicts}


def test_tables_download_as_they_were_computed(complete: Path) -> None:
    links = {
        attributes["download"]: attributes["href"]
        for tag, attributes in Page.of(complete).tags
        if tag == "a" and "download" in attributes
    }
    content = str(links["comparisons.csv"]).removeprefix("data:text/csv;charset=utf-8;base64,")
    rows = rows_of(base64.b64decode(content).decode())
    expected = rows_of((complete / "analysis" / "comparisons.csv").read_text())
    assert [float(row["difference"]) for row in rows] == [float(row["difference"]) for row in expected]
    assert (complete / "tables" / "comparisons.csv").read_text() == base64.b64decode(content).decode()
    assert str(links["class_dice.svg"]).startswith("data:image/svg+xml;base64,")


def test_tables_behind_the_answers_are_there_and_whole(complete: Path) -> None:
    page = Page.of(complete)
    downloads = {attributes.get("download") for tag, attributes in page.tags if tag == "a"}
    for name in ("leaders", "rankings", "partial_associations", "partition", "inertia", "interventions"):
        assert f"table-{name}" in page.attributes("id")
        assert f"{name}.csv" in downloads
        shown = rows_of((complete / "tables" / f"{name}.csv").read_text())
        assert len(shown) == len(rows_of((complete / "analysis" / f"{name}.csv").read_text())) > 0
    assert "0.930" not in page.text
    assert "0.93" in page.text  # kept, with two digits
    assert (complete / "tables" / "paper_scores.tex").exists()


def test_figures_lie_beside_the_report(complete: Path) -> None:
    for kind in set(KINDS) - {"critical_difference", "model_effects", "attention_maps"}:  # several data sets or models
        for suffix in ("svg", "pdf", "png"):
            assert (complete / "figures" / f"{kind}.{suffix}").stat().st_size > 1000


def test_nothing_is_fetched(complete: Path, strange: Path) -> None:
    for root in (complete, strange):
        page, text = Page.of(root), source(root)
        addresses = [value for name in ("href", "src", "xlink:href", "action") for value in page.attributes(name)]
        assert all(address.startswith(("#", "data:")) for address in addresses)
        assert not re.search(r"@import|url\((?!#)", text)
        (policy,) = [value for value in page.attributes("content") if "default-src" in value]
        script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[-1]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert policy.startswith("default-src 'none';")
        assert f"script-src 'sha256-{digest}'" in policy


def test_names_are_escaped(strange: Path) -> None:
    page = Page.of(strange)
    assert [tag for tag, _ in page.tags if tag in ("script", "img", "b", "iframe")] == ["script"]
    for name in (*STRANGE, *METHODS, "<img src=x onerror=alert(1)>", "CUDA out of memory <at step 7>"):
        assert name in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_ids_are_unique(complete: Path) -> None:
    ids = Page.of(complete).attributes("id")
    assert len(ids) == len(set(ids))


def test_every_class_has_a_card(complete: Path, strange: Path) -> None:
    page = Page.of(complete)
    assert [each for each in page.attributes("id") if each.startswith("card-")] == [f"card-{c}" for c in range(5)]
    downloads = page.attributes("download")
    assert {f"{name}-{c}.svg" for c in range(5) for name in ("strips", "profile")} <= set(downloads)
    assert sum(tag == "img" for tag, _ in page.tags) >= 5
    assert (
        "There are no pictures of the classes: the data set is no longer where dataset.json says"
        in Page.of(strange).text
    )


def test_what_is_missing_is_said(strange: Path) -> None:
    text = Page.of(strange).text
    assert "1 of 4 planned runs are not finished (1 failed)" in text
    assert "3 of 4 runs finished" in text
    assert "so there is no learning curve to draw" in text
    assert not list((strange / "figures").glob("learning_curves*"))


def test_a_study_without_a_learned_bias_says_so(tmp_path: Path) -> None:
    root = write_bare_study(tmp_path / "study", ["a", "b", "c"], methods=["cross_entropy", "focal"], seeds=1)
    page = build_report(analysed(root, measures=False)).read_text()
    assert "No finished run of this study learned a class bias" in page
    assert "The class measures are not available" in page
    assert build_report(root).read_text() == page  # the same study gives the same bytes


def test_a_study_that_was_not_analysed_is_refused(tmp_path: Path) -> None:
    root = write_bare_study(tmp_path / "study", ["a", "b"])
    with pytest.raises(UserError, match="imbalance-bench analyze"):
        build_report(root)
    with pytest.raises(UserError, match="not a study directory"):
        build_report(tmp_path)


PROBE = """<!doctype html><title>probe</title><script>
const results = [];
async function look(width) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:900px;border:0`;
  frame.src = "PAGE";
  await new Promise((done) => { frame.onload = done; document.documentElement.append(frame); });
  const page = frame.contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("body *")].filter((each) => !each.closest(".scroll, pre, svg")
    && each.getBoundingClientRect().right > width + 1).map((each) => each.tagName + "." + each.className);
  const requests = frame.contentWindow.performance.getEntriesByType("resource").map((each) => each.name);
  const button = page.querySelector("#table-scores th:nth-child(2) button");
  let sorted = null;
  if (button) {
    const numbers = () => [...page.querySelectorAll("#table-scores td:nth-child(2)")].map((cell) => +cell.dataset.sort);
    button.click();
    sorted = numbers().every((value, place, all) => place === 0 || all[place - 1] <= value);
    button.click();
    sorted = sorted && numbers().every((value, place, all) => place === 0 || all[place - 1] >= value);
  }
  results.push({ width, overflow: root.scrollWidth - width, wide, requests: requests.filter((each) =>
    !each.startsWith("data:")), sorted });
}
(async () => { await look(390); await look(1440);
  const out = document.createElement("pre"); out.textContent = JSON.stringify(results);
  document.documentElement.replaceChildren(out); })();
</script>"""


def look_at(page: Path, folder: Path) -> tuple[list[dict], list[str]]:
    """Open a page in Chromium at two widths; return what the probe measured and the console's lines."""
    assert CHROMIUM is not None
    probe = folder / "probe.html"
    probe.write_text(PROBE.replace("PAGE", page.as_uri()))
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars"]
    done = subprocess.run(
        [
            *(
                CHROMIUM,
                "--headless",
                *quiet,
                f"--user-data-dir={folder / 'profile'}",
                "--allow-file-access-from-files",
            ),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--virtual-time-budget=20000"),
            *("--dump-dom", probe.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(found.group(1))), console


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("name", ["complete", "strange"])
def test_a_browser_shows_the_report_whole(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    root = request.getfixturevalue(name)
    results, console = look_at(root / "report" / "index.html", tmp_path)
    assert console == []
    for result in results:
        assert result["requests"] == []
        assert result["wide"] == []
        assert result["overflow"] <= 0
        assert result["sorted"] is True


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_probe_sees_what_is_wrong(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><div style='width:2000px'>wide</div><img src='https://example.org/x.png'>"
        "<script>console.error('a mistake')</script>"
    )
    results, console = look_at(bad, tmp_path)
    assert any("a mistake" in line for line in console)
    assert all(result["overflow"] > 500 for result in results)
    assert all(result["requests"] == ["https://example.org/x.png"] for result in results)
