"""The leakage audit: what do the training, validation and test images share that they must not share?

It looks at a prepared data set or at a bare split file (SAM-Path's cv.csv and its like). Sharing a patient, overlapping
tissue or a copied image is leakage; shared sites, absent classes and unknown groups are warnings. Nothing is changed.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_bench.data.audit.images import (
    AuditedImage,
    is_tcga,
    read_prepared_images,
    read_split_file,
    with_names_parsed,
)
from imbalance_bench.data.audit.near_duplicates import find_near_duplicates
from imbalance_bench.data.audit.tile_overlap import find_overlaps, shared_areas
from imbalance_bench.data.class_statistics import per_image_pixels
from imbalance_bench.data.prepared import SPLITS, PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.names import similar_names

OnPhase = Callable[[str, int, int], None]

CLEAN, LEAK, WARNING, UNCHECKED = "clean", "leak", "warning", "not checked"
_EXAMPLES = 5
_NO_GROUPS = "groups are unknown; give --group-regex to take them from the names"


@dataclass(frozen=True)
class AuditOptions:
    """What the names say, and how large tiles are.

    Args:
        group_regex: Searched in each image id; its first parenthesis (or the whole match) is the group.
        site_regex: The same for the site; default: the two characters after "TCGA-".
        tile_px: Edge of the tiles of a bare split file, px; a prepared data set knows its own sizes.
    """

    group_regex: str | None = None
    site_regex: str | None = None
    tile_px: int | None = None


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Args:
        check: Short stable name.
        verdict: "clean", "leak", "warning" or "not checked".
        sentence: For people.
        counts: The numbers in the sentence, for programs.
        examples: A few of the groups, images or pairs concerned.
    """

    check: str
    verdict: str
    sentence: str
    counts: dict[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditReport:
    """Everything an audit found.

    Args:
        source: The data set or split file.
        noun: What a row is: "image" or "patch".
        group_noun: What a group is: "patient" or "group".
        n_images: Rows.
        n_groups: Known groups.
        findings: One per check.
    """

    source: str
    noun: str
    group_noun: str
    n_images: int
    n_groups: int
    findings: tuple[Finding, ...]

    @property
    def leaks(self) -> bool:
        """Whether any check found leakage."""
        return any(finding.verdict == LEAK for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain objects."""
        return {**asdict(self), "leaks": self.leaks}


def audit(path: Path, options: AuditOptions | None = None, *, on_phase: OnPhase | None = None) -> AuditReport:
    """Audit a prepared data set or a split file.

    Args:
        path: Folder of a prepared data set, or a CSV file with a row per image.
        options: How to read names.
        on_phase: Called with (what, done, total).

    Raises:
        UserError: The source cannot be read, or a regular expression is wrong or matches nothing.
    """
    options = options or AuditOptions()
    report = on_phase or (lambda _phase, _n_done, _total: None)
    dataset = None
    if path.is_dir():
        dataset = PreparedDataset.open(path, allow_leakage=True)
        images = read_prepared_images(dataset)
    elif path.is_file():
        images = read_split_file(path, options.tile_px)
    else:
        raise UserError(f"{path} must be a prepared data set or a CSV file of splits. Got no such path. Check it.")
    images = with_names_parsed(images, group_regex=options.group_regex, site_regex=options.site_regex)
    grouped = [image for image in images if image.group is not None]
    patients = bool(grouped) and all(is_tcga(image.group or "") for image in grouped)
    words = _Words("image" if dataset else "patch", "patient" if patients else "group")
    findings = [
        *check_groups(images, words),
        check_group_spelling(images, words),
        check_unknown_groups(images, words),
        check_overlap(images, words),
        check_duplicates(images, dataset, words, report),
        check_sites(images),
        check_classes(dataset, report),
    ]
    return AuditReport(
        source=str(path),
        noun=words.image,
        group_noun=words.group,
        n_images=len(images),
        n_groups=len({image.group for image in grouped}),
        findings=tuple(findings),
    )


@dataclass(frozen=True)
class _Words:
    """What one image and one group are called in sentences."""

    image: str
    group: str

    def images(self, n: int) -> str:
        plural = "patches" if self.image == "patch" else "images"
        return f"{n} {self.image if n == 1 else plural}"

    def groups(self, n: int) -> str:
        return f"{n} {self.group}{'' if n == 1 else 's'}"


def check_groups(images: Sequence[AuditedImage], words: _Words) -> list[Finding]:
    """Check that no group lies in test and elsewhere, in several folds, or in validation and training."""
    grouped = [image for image in images if image.group is not None and image.part]
    names = ("test_groups", "groups_across_folds", "validation_images")
    if not grouped:
        reason = _NO_GROUPS if any(image.part for image in images) else "no image has a split yet"
        return [Finding(name, UNCHECKED, reason) for name in names]
    return [_check_test(grouped, words), _check_folds(grouped, words), _check_validation(grouped, words)]


def _check_test(grouped: Sequence[AuditedImage], words: _Words) -> Finding:
    test = [image for image in grouped if image.part == "test"]
    if not test:
        return Finding("test_groups", UNCHECKED, "there is no test set")
    tested = {image.group for image in test}
    shared = sorted(str(group) for group in tested & {image.group for image in grouped if image.part != "test"})
    counts = {"groups": len(tested), "images": len(test), "shared_groups": len(shared)}
    size = f"{words.groups(len(tested))} ({words.images(len(test))})"
    if shared:
        sentence = f"{len(shared)} of {size} in test also lie in train or validation"
        return Finding("test_groups", LEAK, sentence, counts, tuple(shared[:_EXAMPLES]))
    return Finding("test_groups", CLEAN, f"clean test set of {size}", counts)


def _check_folds(grouped: Sequence[AuditedImage], words: _Words) -> Finding:
    folds: dict[str, set[str]] = defaultdict(set)
    for image in grouped:
        if image.part != "test":
            folds[str(image.group)].add(image.fold)
    several = sorted(group for group, folds_of_group in folds.items() if len(folds_of_group) > 1)
    counts = {"groups": len(folds), "groups_in_several_folds": len(several)}
    sentence = f"{len(several)} of {len(folds)} train/validation {words.group}s in more than one fold"
    return Finding("groups_across_folds", LEAK if several else CLEAN, sentence, counts, tuple(several[:_EXAMPLES]))


def _check_validation(grouped: Sequence[AuditedImage], words: _Words) -> Finding:
    validation = [image for image in grouped if image.part == "val"]
    if not validation:
        return Finding("validation_images", UNCHECKED, "there is no validation set")
    trained = {image.group for image in grouped if image.part == "train"}
    leaking = [image.image_id for image in validation if image.group in trained]
    counts = {"images": len(validation), "leaking_images": len(leaking)}
    size = f"{len(leaking)} of {words.images(len(validation)).replace(words.image, 'validation ' + words.image)}"
    sentence = f"{size} with a {words.group} that is also trained on"
    return Finding("validation_images", LEAK if leaking else CLEAN, sentence, counts, tuple(leaking[:_EXAMPLES]))


def check_group_spelling(images: Sequence[AuditedImage], words: _Words) -> Finding:
    """Check that no two groups differ by case, width, dashes or zeros alone: they may be one."""
    folds: dict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.group is not None:
            folds[image.group].add(image.fold)
    if not folds:
        return Finding("group_spelling", UNCHECKED, _NO_GROUPS)
    similar = similar_names(folds)
    across = [names for names in similar if len(set().union(*(folds[name] for name in names))) > 1]
    counts = {"groups": len(folds), "similar_sets": len(similar), "similar_sets_across_folds": len(across)}
    if not similar:
        return Finding("group_spelling", CLEAN, f"no two {words.group}s look alike", counts)
    sentence = (
        f"{len(similar)} {words.group} {'name is' if len(similar) == 1 else 'names are'} written in several ways "
        f"(differing by case, width, dashes or zeros), {len(across)} of them across splits: unify the spellings that "
        f"mean one {words.group}"
    )
    return Finding("group_spelling", WARNING, sentence, counts, tuple(map(" = ".join, (across or similar)[:_EXAMPLES])))


def check_unknown_groups(images: Sequence[AuditedImage], words: _Words) -> Finding:
    """Check that the group of every image is known."""
    unknown = [image.image_id for image in images if image.group is None]
    counts = {"images": len(unknown)}
    if unknown:
        sentence = f"{len(unknown)} of {words.images(len(images))} without a known {words.group}: {_NO_GROUPS}"
        return Finding("unknown_groups", WARNING, sentence, counts, tuple(unknown[:_EXAMPLES]))
    return Finding("unknown_groups", CLEAN, f"the {words.group} of every {words.image} is known", counts)


def check_overlap(images: Sequence[AuditedImage], words: _Words) -> Finding:
    """Check that tiles of different folds show different tissue, as far as coordinates in their names tell."""
    placed = [image for image in images if image.position is not None]
    if not placed:
        return Finding("spatial_overlap", UNCHECKED, "the names hold no coordinates")
    if not any(image.part for image in placed):
        return Finding("spatial_overlap", UNCHECKED, "no image has a split yet")
    if any(not image.width_px or not image.height_px for image in placed):
        areas, shared = shared_areas(placed)
        counts = {"areas": areas, "areas_in_several_folds": len(shared)}
        sentence = f"{len(shared)} of {areas} regions have tiles in more than one fold (overlap itself needs --tile-px)"
        return Finding("spatial_overlap", LEAK if shared else CLEAN, sentence, counts, tuple(shared[:_EXAMPLES]))
    pairs = find_overlaps(placed)
    involved = {image.image_id for pair in pairs for image in pair}
    counts = {"pairs": len(pairs), "images": len(involved), "images_with_coordinates": len(placed)}
    if not pairs:
        sentence = f"no overlap between folds among {words.images(len(placed))} with coordinates"
        return Finding("spatial_overlap", CLEAN, sentence, counts)
    sentence = f"{words.images(len(involved))} overlap one of another fold ({len(pairs)} pairs)"
    examples = tuple(f"{first.image_id} | {second.image_id}" for first, second in pairs[:_EXAMPLES])
    return Finding("spatial_overlap", LEAK, sentence, counts, examples)


def check_duplicates(
    images: Sequence[AuditedImage], dataset: PreparedDataset | None, words: _Words, report: OnPhase
) -> Finding:
    """Check that no image is nearly the same as one of another fold or group, whichever way it is turned."""
    if dataset is None:
        return Finding("near_duplicates", UNCHECKED, "a split file has no pixels; audit the prepared data set")
    pairs = find_near_duplicates(dataset, on_progress=lambda n_done, total: report("hashing images", n_done, total))
    named = [(images[first], images[second]) for first, second in pairs]
    leaking = [pair for pair in named if pair[0].part and pair[1].part and pair[0].fold != pair[1].fold]
    foreign = [pair for pair in named if pair not in leaking and pair[0].group != pair[1].group]
    counts = {"pairs_across_folds": len(leaking), "pairs_across_groups": len(foreign)}
    shown = tuple(f"{first.image_id} | {second.image_id}" for first, second in (leaking or foreign)[:_EXAMPLES])
    if leaking:
        sentence = f"{len(leaking)} pairs of nearly identical images in different splits"
        return Finding("near_duplicates", LEAK, sentence, counts, shown)
    if foreign:
        sentence = f"{len(foreign)} pairs of nearly identical images of different {words.group}s; is that right?"
        return Finding("near_duplicates", WARNING, sentence, counts, shown)
    return Finding("near_duplicates", CLEAN, f"none among {words.images(len(images))}", counts)


def check_sites(images: Sequence[AuditedImage]) -> Finding:
    """Check whether test images come from sites of their own."""
    tested = {image.site for image in images if image.site and image.part == "test"}
    others = {image.site for image in images if image.site and image.part in ("train", "val")}
    if not tested or not others:
        return Finding("site_overlap", UNCHECKED, "sites or test images are unknown")
    shared = sorted(str(site) for site in tested & others)
    counts = {"test_sites": len(tested), "other_sites": len(others), "shared_sites": len(shared)}
    if shared:
        sentence = f"{len(shared)} of {len(tested)} test sites also in train or validation: test is not external"
        return Finding("site_overlap", WARNING, sentence, counts, tuple(shared[:_EXAMPLES]))
    return Finding("site_overlap", CLEAN, f"{len(tested)} test sites, none in train or validation", counts)


def check_classes(dataset: PreparedDataset | None, report: OnPhase) -> Finding:
    """Check that every split holds every class."""
    if dataset is None or len(dataset.info.classes) < 2:
        return Finding("classes_missing", UNCHECKED, "a split file has no masks; audit the prepared data set")
    splits = np.array([entry.split for entry in dataset.entries])
    if not (splits != "").any():
        return Finding("classes_missing", UNCHECKED, "no image has a split yet")
    taxonomy = Taxonomy(dataset.info)
    pixels = per_image_pixels(
        dataset, taxonomy, on_progress=lambda n_done, total: report("counting classes", n_done, total)
    )
    missing = tuple(
        f"{name} in {split}"
        for split in SPLITS
        if (splits == split).any()
        for name, count in zip(taxonomy.names, pixels[splits == split].sum(axis=0), strict=True)
        if not count
    )
    counts = {"missing": len(missing)}
    if missing:
        return Finding("classes_missing", WARNING, f"absent: {', '.join(missing)}", counts, missing)
    return Finding("classes_missing", CLEAN, "every split holds every class", counts)
