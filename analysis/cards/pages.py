"""Write the cards: tables, describe.json, an index, and a self-contained page per class."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from analysis import report
from analysis.cards.description import Description
from analysis.cards.figures import (
    estimate,
    profile_svg,
    shapes_svg,
    strips_svg,
    tile_address,
    tile_caption,
)
from analysis.cards.specimens import RULE
from analysis.columns import rows_of, write_csv
from analysis.measures import CONSTRUCTS, PRIMARY
from analysis.plots.style import class_colours
from analysis.plots.wording import CONSTRUCT, number, words
from analysis.report.figures import dark_variables
from imbalance_bench.manifest import write_atomically, write_json

HERE = Path(__file__).resolve().parent
REPORT = Path(report.__file__).resolve().parent
INDEX = "index.html"


def write_cards(described: Description, out: Path) -> Path:
    """Write everything into a folder.

    Args:
        described: The described data set.
        out: The folder; files of the same names are replaced.

    Returns:
        The index page.
    """
    tables = {"measures": described.measures, "border_profiles": described.profiles, "adjacency": described.adjacency}
    for name, frame in tables.items():
        write_csv(out / f"{name}.csv", name, frame)
    write_json(out / "describe.json", described.as_json())
    environment = _environment()
    cards = [_card(described, c) for c in range(len(described.class_names))]
    shared = _shared(described) | {"cards": cards}
    for card in cards:
        page = environment.get_template("class.html.j2").render(shared | {"card": card})
        _write(out / card["file"], page)
    _write(out / INDEX, environment.get_template("index.html.j2").render(shared | {"columns": _columns(described)}))
    return out / INDEX


def _shared(described: Description) -> dict[str, Any]:
    """Return what every page shows."""
    info, options = described.dataset.info, described.options
    script = (REPORT / "page.js").read_text(encoding="utf-8")
    groups = f"{described.n_groups} groups" if info.groups_known else "slides unknown: images count as independent"
    resolution = f"{info.mpp_um:g} um per pixel" if info.mpp_um else "resolution unknown"
    part = f"split {options.split}" if options.split else "every image"
    return {
        "title": info.name,
        "facts": [
            f"{len(described.images)} images ({part})",
            groups,
            resolution,
            f"{len(info.classes)} classes",
            f"features of {described.encoder}" if described.encoder else "no frozen features",
        ],
        "no_features": described.no_features,
        "rule": RULE.format(seed=options.seed),
        "tile_caption": tile_caption(info.mpp_um),
        "style": Markup((REPORT / "page.css").read_text(encoding="utf-8") + (HERE / "cards.css").read_text("utf-8")),
        "dark_figures": dark_variables(),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "index": INDEX,
    }


def _card(described: Description, c: int) -> dict[str, Any]:
    """Return the content of one class's page."""
    name, specimens = described.class_names[c], described.specimens[c]
    colour = class_colours([each.colour.lower() for each in described.dataset.info.classes])[c]
    rival = described.rival(name)
    profile = described.profiles[described.profiles["class"] == name]
    return {
        "file": f"class-{c:03d}.html",
        "name": name,
        "colour": colour,
        "tiles": [tile_address(tile) for tile in specimens.tiles],
        "strips": strips_svg(described.measures, name, colour, f"strips-{c}"),
        "profile": profile_svg(profile, name, f"profile-{c}") if profile["value"].notna().any() else "",
        "shapes": shapes_svg(specimens.shapes, described.dataset.info.mpp_um),
        "n_shapes": len(specimens.shapes),
        "rival": rival and _rival(described, rival),
        "neighbours": _neighbours(described, name),
        "primary": {
            key: {"text": estimate(row), "sort": _sort_key(row["value"])}
            for key, row in described.primary(name).items()
        },
        "measures": _measure_rows(described, name),
    }


def _rival(described: Description, row: dict[str, Any]) -> dict[str, Any]:
    """Return what is shown of the nearest rival."""
    other = int(row["other_id"])
    by_features = np.isfinite(row["feature_overlap"])
    kind = "feature" if by_features else "stain"
    value = {end: row[f"{kind}_overlap{suffix}"] for end, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))}
    words_of = f"to {described.encoder}, Bhattacharyya" if by_features else "in stain, 1 - Jensen-Shannon distance"
    return {
        "name": row["other"],
        "file": f"class-{other:03d}.html",
        "kind": words_of,
        "overlap": estimate(value),
        "share": number(row["border_share"], 3),
        "tiles": [tile_address(tile) for tile in described.specimens[other].tiles[:3]],
    }


def _neighbours(described: Description, name: str) -> list[dict[str, str]]:
    """Return the other classes by how alike they are."""
    rows = described.adjacency[described.adjacency["class"] == name]
    rows = rows.sort_values(["feature_overlap", "stain_overlap"], ascending=False, kind="stable")
    return [
        {
            "name": row["other"],
            "feature": number(row["feature_overlap"], 3),
            "stain": number(row["stain_overlap"], 3),
            "share": number(row["border_share"], 3),
        }
        for row in rows_of(rows)
    ]


def _measure_rows(described: Description, name: str) -> list[dict[str, Any]]:
    """Return every measure of a class, with its rank among the classes that have it."""
    ranks = described.measures.groupby("measure")["value"].rank(ascending=False)
    known = described.measures.groupby("measure")["value"].transform("count")
    rows = described.measures.assign(rank=ranks, known=known)
    return [
        {
            "construct": CONSTRUCT.get(row["construct"], words(row["construct"]).capitalize()),
            "measure": words(row["measure"]),
            "primary": bool(row["primary"]),
            "estimate": estimate(row),
            "sort": _sort_key(row["value"]),
            "rank": f"{row['rank']:g} of {row['known']:g}" if np.isfinite(row["rank"]) else "",
            "n": str(int(row["n"])),
            "unit": row["unit"],
        }
        for row in rows_of(rows[rows["class"] == name])
    ]


def _sort_key(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else ""


def _columns(described: Description) -> list[dict[str, str]]:
    """Return the headings of the index: construct, and the unit of its primary measure."""
    units = described.measures.drop_duplicates("measure").set_index("measure")["unit"]
    return [
        {"construct": each, "title": CONSTRUCT[each], "note": f"{words(PRIMARY[each])}: {units[PRIMARY[each]]}"}
        for each in CONSTRUCTS
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
