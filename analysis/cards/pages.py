"""Write the cards: tables, describe.json, an index, and a self-contained page per class."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from analysis.cards.card import Card, CardSource, make_cards
from analysis.cards.description import Description
from analysis.cards.figures import estimate, tile_caption
from analysis.cards.specimens import RULE
from analysis.plots.inline import dark_variables
from analysis.reading.palette import class_colours
from analysis.reading.wording import CONSTRUCT, words
from analysis.schema import rows_of
from analysis.schema.files import write_table
from imbalance_bench.manifest import write_atomically, write_json
from imbalance_bench.preregistration import CONSTRUCTS, PRIMARY_MEASURES

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "report"  # its style and script are shared
INDEX = "index.html"


def write_cards(description: Description, out: Path) -> Path:
    """Write the cards of a data set into a folder.

    Args:
        description: The described data set.
        out: The folder; files of the same names are replaced.

    Returns:
        The index page.
    """
    tables = {
        "measures": description.measures,
        "border_profiles": description.profiles,
        "adjacency": description.adjacency,
    }
    for name, frame in tables.items():
        write_table(out, name, frame)
    write_json(out / "describe.json", description.as_json())
    environment = _environment()
    cards = [vars(card) | _extra(description, card) for card in make_cards(_source(description))]
    shared = _shared(description) | {"cards": cards}
    for card in cards:
        page = environment.get_template("class.html.j2").render(shared | {"card": card})
        _write(out / card["file"], page)
    _write(out / INDEX, environment.get_template("index.html.j2").render(shared | {"columns": _columns(description)}))
    return out / INDEX


def _shared(description: Description) -> dict[str, Any]:
    """Return the content shared by all pages."""
    info, options = description.dataset.info, description.options
    script = (REPORT / "page.js").read_text(encoding="utf-8")
    groups = f"{description.n_groups} groups" if info.groups_known else "slides unknown: images count as independent"
    resolution = f"{info.mpp_um:g} um per pixel" if info.mpp_um else "resolution unknown"
    part = f"split {options.split}" if options.split else "every image"
    return {
        "title": info.name,
        "facts": [
            f"{len(description.images)} images ({part})",
            groups,
            resolution,
            f"{len(info.classes)} classes",
            f"features of {description.encoder}" if description.encoder else "no frozen features",
        ],
        "no_features": description.no_features,
        "rule": RULE.format(seed=options.seed),
        "tile_caption": tile_caption(info.mpp_um),
        "style": Markup((REPORT / "page.css").read_text(encoding="utf-8") + (HERE / "cards.css").read_text("utf-8")),
        "dark_figures": dark_variables(),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "index": INDEX,
    }


def _extra(description: Description, card: Card) -> dict[str, Any]:
    """Return the content of a class that only the pages of a data set show: every measure."""
    return {
        "file": _file(card.number),
        "primary": {
            key: {"text": estimate(row), "sort": _sort_key(row["value"])}
            for key, row in description.primary(card.name).items()
        },
        "measures": _measure_rows(description, card.name),
    }


def _file(c: int) -> str:
    return f"class-{c:03d}.html"


def _source(description: Description) -> CardSource:
    info = description.dataset.info
    return CardSource(
        class_names=description.class_names,
        colours=class_colours([class_.colour.lower() for class_ in info.classes]),
        mpp_um=info.mpp_um,
        encoder=description.encoder,
        measures=description.measures,
        profiles=description.profiles,
        adjacency=description.adjacency,
        specimens=description.specimens,
        link=_file,
    )


def _measure_rows(description: Description, name: str) -> list[dict[str, Any]]:
    """Return every measure of a class, with its rank among the classes that have it."""
    ranks = description.measures.groupby("measure")["value"].rank(ascending=False)
    counts = description.measures.groupby("measure")["value"].transform("count")
    rows = description.measures.assign(rank=ranks, count=counts)
    return [
        {
            "construct": CONSTRUCT.get(row["construct"], words(row["construct"]).capitalize()),
            "measure": words(row["measure"]),
            "primary": bool(row["primary"]),
            "estimate": estimate(row),
            "sort": _sort_key(row["value"]),
            "rank": f"{row['rank']:g} of {row['count']:g}" if np.isfinite(row["rank"]) else "",
            "n": str(int(row["n"])),
            "unit": row["unit"],
        }
        for row in rows_of(rows[rows["class"] == name])
    ]


def _sort_key(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else ""


def _columns(description: Description) -> list[dict[str, str]]:
    """Return the headings of the index: construct, and the unit of its primary measure."""
    units = description.measures.drop_duplicates("measure").set_index("measure")["unit"]
    return [
        {
            "construct": construct,
            "title": CONSTRUCT[construct],
            "note": f"{words(PRIMARY_MEASURES[construct])}: {units[PRIMARY_MEASURES[construct]]}",
        }
        for construct in CONSTRUCTS
    ]


def _write(path: Path, page: str) -> None:
    write_atomically(path, lambda file: file.write(page.encode()))


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
