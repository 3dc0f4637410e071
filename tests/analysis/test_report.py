"""The report: one file that needs nothing else, in which every number stands in the tables of the analysis."""

import base64
import csv
import gzip
import hashlib
import html
import io
import json
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from analysis.plots import KINDS, SUFFIXES
from analysis.reading.analysed_study import AnalysedStudy
from analysis.report import build_report, figures
from analysis.report.answer import first_table
from analysis.report.glossary import TERMS
from analysis.report.tables import reliability_table
from analysis.schema import table
from analysis.verdicts import Topic, Verdict, Word
from benchmarks.report_looks.browser import CHROMIUM, faults, look_at, paper_pages
from imbalance_bench.errors import UserError
from tests.analysis.contract_study import write_analysis, write_bare_study
from tests.analysis.synthetic import write_synthetic_study

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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "SUFFIXES", SUFFIXES)
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


def test_the_answer_comes_first_then_its_table_then_the_chapters(complete: Path) -> None:
    text = source(complete)
    order = [html.escape(json.loads((complete / "analysis" / "verdicts.json").read_text())["verdicts"][0]["sentence"])]
    order += ['id="table-first"', '<nav aria-label="Chapters">']
    order += [f'<section id="{name}">' for name in ("methods", "images", "data")]
    order += [f'id="{name}">' for name in ("depth", "tuning", "bias", "classes", "everything", "reading", "limits")]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_the_first_table_says_what_the_analysis_says(complete: Path) -> None:
    study = AnalysedStudy.open(complete)
    shown = first_table(study)
    assert [method for method, _ in shown.rows] == study.methods
    scores = study.table("method_scores").set_index(["metric", "aggregation", "method", "class"])
    leaders = study.table("leaders").set_index(["method", "class"])["mark"]
    comparisons = study.table("comparisons").set_index(["method", "class"])["verdict"]
    signs = {"best": "★", "shared_best": "="}
    for method, cells in shown.rows:
        for name, cell in zip(("macro", *study.class_names), cells, strict=True):
            row = scores.xs(("dice", study.aggregation, method, name))
            assert cell.text == f"{row['mean']:.2f}"
            assert cell.interval == f"95 % interval {row['low']:.2f} to {row['high']:.2f}"
            assert 0 <= cell.low <= cell.middle <= cell.high <= 100
            is_worse = comparisons.get((method, name)) == "worse"
            assert cell.sign == ("▼" if is_worse else signs.get(leaders[method, name], ""))
            assert cell.leads == (cell.sign in ("★", "="))


def test_every_word_of_a_verdict_is_explained_and_the_glossary_is_on_the_page(complete: Path) -> None:
    text = html.unescape(source(complete))
    assert all(f"<dd>{word.meaning}</dd>" in text for word in Word)
    terms = re.findall(r"<dt>([^<]*)</dt>", source(complete))
    assert set(TERMS) <= {html.unescape(term) for term in terms}
    assert {"effective offset", "ledger", "attainability", "VIF", "ceiling", "inert"} <= set(TERMS)
    assert list(TERMS) == sorted(TERMS, key=str.lower)


def test_what_cannot_be_tested_takes_one_line_with_its_reason(strange: Path, tmp_path: Path) -> None:
    root = shutil.copytree(strange, tmp_path / "study", ignore=shutil.ignore_patterns("figures", "tables"))
    verdicts = root / "analysis" / "verdicts.json"
    content = json.loads(verdicts.read_text())
    about = {"topic": Topic.INERTIA, "subject": "bias", "word": Word.NOT_TESTABLE, "sentence": "It has one start."}
    extra = [Verdict(**about, aspect=str(number)).as_json() for number in range(3)]
    assert all(each["verdict"] == "not_testable" for each in extra)
    verdicts.write_text(json.dumps(content | {"verdicts": [*content["verdicts"], *extra]}))
    text = build_report(root).read_text()
    (folded,) = re.findall(r'<details class="folded"><summary>(.*?)</summary>', text)
    assert "It has one start." in folded
    assert "and 2 more" in folded


def test_a_report_is_no_larger_than_it_must_be(complete: Path) -> None:
    assert (complete / "report" / "index.html").stat().st_size < 2_000_000
    assert not re.search(r'<!--|\d\.\d{4,}"', re.sub(r'transform="[^"]*"|data-sort="[^"]*"', "", source(complete)))


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
    first = source(complete).split("<nav ")[0]
    shown = re.findall(r'<(?:details|h1|h2) class="sentence">.*?<span>([^<]*)</span></(?:summary|h1|h2)>', first)
    verdicts = json.loads((complete / "analysis" / "verdicts.json").read_text())["verdicts"]
    assert [html.unescape(each) for each in shown] == [each["sentence"] for each in verdicts[:2]]


def packed_tables(root: Path) -> dict[str, str]:
    """Return file name -> CSV of every table on the page."""
    buttons = [attributes for tag, attributes in Page.of(root).tags if tag == "button" and "data-gzip" in attributes]
    return {
        str(each["data-name"]): gzip.decompress(base64.b64decode(str(each["data-gzip"]))).decode() for each in buttons
    }


def test_tables_download_as_they_were_computed(complete: Path) -> None:
    tables = packed_tables(complete)
    rows = rows_of(tables["comparisons.csv"])
    expected = rows_of((complete / "analysis" / "comparisons.csv").read_text())
    assert [float(row["difference"]) for row in rows] == [float(row["difference"]) for row in expected]
    assert (complete / "tables" / "comparisons.csv").read_text() == tables["comparisons.csv"]
    assert "class_dice.svg" in Page.of(complete).attributes("data-name")


def test_tables_behind_the_answers_are_there_and_whole(complete: Path) -> None:
    page = Page.of(complete)
    downloads = set(page.attributes("data-name"))
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
    downloads = page.attributes("data-name")
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


SORTS = """(page) => {
  const numbers = () => [...page.querySelectorAll("#table-scores td:nth-child(2)")].map((cell) => +cell.dataset.sort);
  const button = page.querySelector("#table-scores th:nth-child(2) button");
  if (!button) return null;
  button.click();
  const up = numbers().every((value, place, all) => place === 0 || all[place - 1] <= value);
  button.click();
  const shown = () => [...page.querySelectorAll("[data-method]")].filter((each) => !each.matches(".off"));
  const all = shown(), box = page.querySelector(".pick input"), name = box.value;
  const summary = page.querySelector(".pick summary");
  box.click();
  const left = shown(), counts = /^Methods \\(\\d+ of \\d+\\)$/.test(summary.textContent);
  box.click();
  const others = all.filter((each) => each.dataset.method !== name).length;
  const restored = shown().length === all.length;
  if (!counts || left.length !== others || left.length === all.length || !restored) return "methods";
  return up && numbers().every((value, place, all) => place === 0 || all[place - 1] >= value);
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("name", ["complete", "strange"])
def test_a_browser_shows_the_report_whole(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    root = request.getfixturevalue(name)
    looks = look_at(root / "report" / "index.html", tmp_path, extra=SORTS)
    assert faults(looks) == []
    for result in looks.results:
        assert result["extra"] is True, result["extra"]
        assert next(iter(result["chapters"].values())) <= 8 * result["height"]
    assert paper_pages(root / "report" / "index.html", tmp_path) <= 25


HANDS_OVER = """async (page) => {
  const view = page.defaultView, blobs = [];
  view.URL.createObjectURL = (blob) => (blobs.push(blob), "about:blank");
  view.HTMLAnchorElement.prototype.click = () => {};
  for (const name of ["comparisons.csv", "ranks.svg"]) {
    page.querySelector(`button[data-name="${name}"]`).click();
    await new Promise((done) => setTimeout(done, 100));
  }
  return Promise.all(blobs.map((blob) => blob.text()));
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_hands_over_tables_and_figures(complete: Path, tmp_path: Path) -> None:
    looks = look_at(complete / "report" / "index.html", tmp_path, extra=HANDS_OVER)
    table, figure = looks.results[0]["extra"]
    assert table == (complete / "tables" / "comparisons.csv").read_text()
    assert ElementTree.fromstring(figure).tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in figure


def test_every_figure_is_written_in_every_format(complete: Path) -> None:
    written = {path.name for path in (complete / "figures").iterdir()}
    kinds = {name.partition(".")[0] for name in written} & set(KINDS)
    assert {"class_dice", "path_controls"} <= kinds
    assert written >= {f"{kind}{suffix}" for kind in kinds for suffix in (".svg", ".pdf", ".png")}


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_probe_sees_what_is_wrong(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><div style='width:2000px'>wide</div><img src='https://example.org/x.png'>"
        "<div class='scroll' style='overflow:auto'><p style='width:3000px'>x</p></div>"
        "<div id='answer'><h1 style='margin-top:2000px'>late</h1></div><p id='table-first'>late</p>"
        "<script>console.error('a mistake')</script>"
    )
    looks = look_at(bad, tmp_path)
    assert any("a mistake" in line for line in looks.console)
    for result in looks.results:
        assert result["overflow"] > 500
        assert result["wide"]
        assert result["unhinted"]
        assert result["requests"] == ["https://example.org/x.png"]
        assert f"answer or table below the first screen at {result['width']} px" in faults(looks)


def test_the_agreement_table_says_over_what_runs_agree_and_which_row_decides():
    """Without `over`, three rows of one quantity looked the same, and "runs" held the number of folds."""
    numbers = {"icc": 0.9, "low": 0.8, "high": 1.0, "p": 0.01, "without_best": np.nan, "n_classes": 5}
    counts = [("dfa", "seeds", 9), ("dfa", "folds", 3), ("dfa", "training_sets", 3), ("focal", "seeds", 3)]
    rows = [
        {"method": method, "estimand": "change", "over": over, "n_seeds": n, "verdict": "reliable"} | numbers
        for method, over, n in counts
    ]
    shown = reliability_table(table("reliability", rows))
    places = [
        [column.text for column in shown.columns].index(name) for name in ("agreement over", "mean over", "decides")
    ]
    assert [[row[place].text for place in places] for row in shown.rows] == [
        ["seeds", "3 seeds in each of 3 folds", "no"],
        ["folds", "3 folds", "no"],
        ["training sets", "3 folds", "yes"],
        ["seeds", "3 seeds", "yes"],
    ]
