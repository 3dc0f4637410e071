"""BDSA: brain tissue in five classes, the private set of the DFA paper's authors; its layout suits similar sets."""

from pathlib import Path

from imbalance_bench.data.audit.images import name_parser
from imbalance_bench.data.converters.pixel_files import UNLABELLED_ID, LabelTable
from imbalance_bench.data.converters.source import (
    Converter,
    Pixels,
    Plan,
    PrepareOptions,
    SourceImage,
    classes_of,
    list_folder,
    pair_files,
    with_groups,
)
from imbalance_bench.data.dataset_file import DatasetInfo
from imbalance_bench.data.pictures import read_labels, read_rgb

GREY_VALUES = {0: "background", 31: "grey_matter", 63: "white_matter", 95: "leptomeninges", 127: "superficial"}
EXCLUDED = 191
TABLE = LabelTable({value: number for number, value in enumerate(GREY_VALUES)} | {EXCLUDED: UNLABELLED_ID})
SLIDE_REGEX = r"^(.+)[_-]x?\d+[_-]y?\d+$"  # slide, then the place of the tile
COLOURS = {
    "background": "#ffffff",
    "grey_matter": "#7f7f7f",
    "white_matter": "#ff7f0e",
    "leptomeninges": "#9467bd",
    "superficial": "#17becf",
}


def plan(source: Path, options: PrepareOptions) -> Plan:
    """List the tiles; slides are in their names, as the default pattern or --group-regex finds them."""
    pairs = pair_files(list_folder(source / "img"), list_folder(source / "mask"))
    images = [SourceImage(name, name, image, mask) for name, image, mask in pairs]
    pattern = options.group_regex or SLIDE_REGEX
    parse = name_parser(pattern, "--group-regex")
    groups_known = bool(options.group_regex) or all(parse(image.image_id) for image in images)
    remarks = (
        ("The names hold no position on a slide, so slides are unknown. Give --group-regex.",)
        if not groups_known
        else ()
    )
    info = DatasetInfo(
        name="bdsa",
        description="Brain tissue, tiles of ten slides in five classes",
        mpp_um=None,
        unlabelled_id=UNLABELLED_ID,
        groups_known=groups_known,
        classes=classes_of({name: COLOURS[name] for name in GREY_VALUES.values()}),
        licence="private",
        citation="",
    )
    grouped = with_groups(images, parse, pattern) if groups_known else images
    return Plan(info, tuple(grouped), read_tile, remarks, index_classes=TABLE.classes)


def read_tile(source: SourceImage) -> Pixels:
    """Read one tile; the grey value of a pixel is its class."""
    return Pixels(read_rgb(source.image), TABLE.apply(read_labels(source.mask), source.mask))


CONVERTER = Converter("brain tissue, img/ and mask/ with grey values, split by slide", plan, frozenset({"group_regex"}))
