"""The layout of SAM-Path and of the DFA code: `img/`, `mask/` and `cv.csv`."""

from functools import partial
from pathlib import Path

from pydantic import Field

from imbalance_bench.data.audit.images import name_parser, read_split_file
from imbalance_bench.data.converters.description import Description, Label, read_description
from imbalance_bench.data.converters.folder import read_pair
from imbalance_bench.data.converters.nearest_colour import NearestLabels
from imbalance_bench.data.converters.source import (
    Converter,
    Plan,
    PrepareOptions,
    Problem,
    SourceImage,
    list_folder,
    with_groups,
    without_leaking_splits,
)
from imbalance_bench.errors import nearest


class SampathDescription(Description):
    """Classes of a data set in this layout; by its convention label 0 is unlabelled."""

    unlabelled: list[Label] = Field(default_factory=lambda: [0])


def plan(source: Path, options: PrepareOptions) -> Plan:
    """List the images of the split file, in its order; -1 is test, 0 validation, 1 and above training."""
    described = read_description(SampathDescription, options, "sampath")
    images, masks = list_folder(source / "img"), list_folder(source / "mask")
    path = options.splits or source / "cv.csv"
    listed = read_split_file(path)
    problems = []
    for row in listed:
        for folder, files in (("img", images), ("mask", masks)):
            if row.image_id not in files:
                hint = nearest(row.image_id, files) if len(files) < 100 else ""
                line = f"{path} lists '{row.image_id}', which {source / folder} lacks.{hint}"
                problems.append(Problem(f"rows without a file in {folder}/", line))
    sources = [
        SourceImage(
            image_id=row.image_id,
            group_id=row.image_id,
            image=images[row.image_id],
            mask=masks[row.image_id],
            split=row.part,
            extra={"fold": row.fold},
        )
        for row in listed
        if row.image_id in images and row.image_id in masks
    ]
    pattern = options.group_regex or described.group_regex
    if pattern:
        sources = with_groups(sources, name_parser(pattern, "`group_regex`"), pattern)
    sources, remarks = without_leaking_splits(sources)
    unlisted = sorted(set(images) - {row.image_id for row in listed})
    if unlisted:
        remarks += (f"{len(unlisted)} images are not in {path.name} and are left out (such as '{unlisted[0]}').",)
    labels = described.labels(str(options.config))
    return Plan(
        info=described.info(groups_known=bool(pattern)),
        images=tuple(sources),
        read=partial(read_pair, labels=labels),
        remarks=remarks,
        problems=tuple(problems),
        tolerance=labels.limit if isinstance(labels, NearestLabels) else None,
        index_classes=None if described.has_colours else described.label_table(str(options.config)).classes,
    )


CONVERTER = Converter(
    "img/, mask/ and cv.csv, as SAM-Path and the DFA code have them (--config names the classes)",
    plan,
    frozenset({"config", "group_regex", "splits"}),
)
