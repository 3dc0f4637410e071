"""From what was found in a data set, and what a person knows of it, to the files of a first study."""

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imbalance_bench.config import StudyConfig
from imbalance_bench.data.class_statistics import per_image_pixels
from imbalance_bench.data.converters.folder import plan as plan_folder
from imbalance_bench.data.converters.pixel_files import require_same_frame
from imbalance_bench.data.converters.source import PrepareOptions, SourceError
from imbalance_bench.data.pictures import open_picture, require_image
from imbalance_bench.data.prepared import ImageEntry, PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.drafting.class_names import SuggestedNames, suggested_names
from imbalance_bench.drafting.design import Design, design_study
from imbalance_bench.drafting.groups import FoundGroups, groups_in
from imbalance_bench.drafting.labels import Labels, find_labels
from imbalance_bench.drafting.layout_file import LayoutFacts, layout_text
from imbalance_bench.drafting.pairs import Pairing, find_pairs
from imbalance_bench.drafting.resolution import common_resolution
from imbalance_bench.drafting.study_file import StudyFacts, checked_study, study_text, weights_at_hand
from imbalance_bench.errors import UserError
from imbalance_bench.names import is_plain_stem

LAYOUT_FILE, STUDY_FILE, DATA_FOLDER = "layout.yaml", "study.yaml", "data"

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Findings:
    """What a folder of images and masks shows.

    Attributes:
        source: The folder.
        pairing: Images and masks.
        labels: What the masks hold.
        sizes: (height, width) of each image, px, in the order of the pairs.
        names: A name per label.
        mpp_um: Micrometres per pixel, or None.
        why_mpp: Where that comes from.
        groups: Patients or slides.
    """

    source: Path
    pairing: Pairing
    labels: Labels
    sizes: tuple[tuple[int, int], ...]
    names: SuggestedNames
    mpp_um: float | None
    why_mpp: str
    groups: FoundGroups


@dataclass(frozen=True)
class Answers:
    """What a person adds; None keeps what was found.

    Attributes:
        class_of: Label -> name of its class.
        mpp_um: Micrometres per pixel.
        group_regex: Its first parenthesis is the patient or slide in an image id.
        weights: Of the encoder: imagenet, none or a local file.
    """

    class_of: Mapping[int, str] | None = None
    mpp_um: float | None = None
    group_regex: str | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Draft:
    """The files of a first study, not written yet.

    Attributes:
        files: Path -> text.
        study: The study file's path.
        config: What it says.
        dataset: The data set, prepared or to be prepared.
        presence: (n_images, K) int64 pixels per class.
        design: Splits and tiles.
        remarks: What a person should know of the source.
    """

    files: Mapping[Path, str]
    study: Path
    config: StudyConfig
    dataset: PreparedDataset
    presence: np.ndarray
    design: Design
    remarks: tuple[str, ...]


def is_prepared(folder: Path) -> bool:
    """Return whether a folder is a prepared data set."""
    return (folder / "dataset.yaml").is_file() and (folder / "index.csv").is_file()


def look_at(source: Path, on_progress: OnProgress = lambda *_: None) -> Findings:
    """Recognise pairs, labels, sizes, resolution and groups of a folder; every mask is read, images are not decoded.

    Raises:
        UserError: There is nothing that a study could be made from.
    """
    if not source.is_dir():
        raise UserError(f"{source} must be a folder of images and masks, or a prepared data set. Got no folder.")
    pairing = find_pairs(source)
    sizes = tuple(_size_of(source / pair.image) for pair in pairing.pairs)
    masks = [source / pair.mask for pair in pairing.pairs]
    labels = find_labels(masks, lambda n_done, total: on_progress("reading masks", n_done, total))
    for pair, size, mask_size in zip(pairing.pairs, sizes, labels.sizes, strict=True):
        require_same_frame(source / pair.image, size, source / pair.mask, mask_size)
    if len(labels.values) < 2:
        raise UserError(f"{masks[0]} and the other masks must hold at least two labels. Got one. Check DATA.")
    mpp_um, why = common_resolution([source / pair.image for pair in pairing.pairs])
    ids = [pairing.id_of(pair) for pair in pairing.pairs]
    odd = next((id_ for id_ in ids if not is_plain_stem(id_)), None)
    if odd is not None:
        raise UserError(f"{source}: names of images must be plain, without '..' or ':'. Got '{odd}'. Rename it.")
    return Findings(source, pairing, labels, sizes, suggested_names(labels, source), mpp_um, why, groups_in(ids))


def draft_folder(findings: Findings, answers: Answers, out: Path) -> Draft:
    """Draft the layout and the study of a folder; the layout is tried on the folder.

    Raises:
        UserError: An answer does not fit, or no study can be made of the data.
    """
    name = _plain_name(findings.source)
    mpp_um = findings.mpp_um if answers.mpp_um is None else answers.mpp_um
    facts = LayoutFacts(
        name=name,
        pairing=findings.pairing,
        labels=findings.labels,
        class_of=findings.names.class_of if answers.class_of is None else answers.class_of,
        named=answers.class_of is not None or bool(findings.names.source),
        mpp_um=mpp_um,
        why_mpp=findings.why_mpp if answers.mpp_um is None else "The resolution as given.",
        group_regex=findings.groups.pattern if answers.group_regex is None else answers.group_regex,
        why_groups=findings.groups.why if answers.group_regex is None else "Groups as given.",
    )
    layout = layout_text(facts)
    dataset, presence, remarks = _as_prepared(findings, facts, layout, out / DATA_FOLDER)
    draft = _draft_study(dataset, presence, answers, out, name)
    files = {out / LAYOUT_FILE: layout, **draft.files}
    return Draft(
        files, draft.study, draft.config, dataset, presence, draft.design, (*findings.pairing.remarks, *remarks)
    )


def draft_prepared(folder: Path, answers: Answers, out: Path, on_progress: OnProgress = lambda *_: None) -> Draft:
    """Draft the study of a prepared data set.

    Raises:
        UserError: The data set is unsound, or no study can be made of it.
    """
    dataset = PreparedDataset.open(folder)
    presence = per_image_pixels(
        dataset,
        Taxonomy(dataset.info),
        on_progress=lambda n_done, total: on_progress("counting classes", n_done, total),
    )
    return _draft_study(dataset, presence, answers, out, _plain_name(Path(dataset.info.name)))


def _draft_study(dataset: PreparedDataset, presence: np.ndarray, answers: Answers, out: Path, name: str) -> Draft:
    design = design_study(dataset, presence)
    facts = StudyFacts(
        name=name,
        dataset=dataset.root,
        design=design,
        n_classes=len(dataset.info.classes),
        groups_known=dataset.info.groups_known,
        weights=answers.weights or weights_at_hand(),
    )
    text = study_text(facts)
    study = out / STUDY_FILE
    return Draft({study: text}, study, checked_study(text, facts), dataset, presence, design, ())


def _as_prepared(
    findings: Findings, facts: LayoutFacts, layout: str, dest: Path
) -> tuple[PreparedDataset, np.ndarray, tuple[str, ...]]:
    """Return the data set that `data prepare` will make of a layout, without its files, and its pixels per class."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / LAYOUT_FILE
        path.write_text(layout, encoding="utf-8")
        planned = plan_folder(findings.source, PrepareOptions(config=path))
    if planned.problems:
        raise SourceError(findings.source, planned.problems, planned.remarks)
    pairs = {findings.source / pair.image: index for index, pair in enumerate(findings.pairing.pairs)}
    indices = [pairs[image.image] for image in planned.images]
    entries = tuple(
        ImageEntry(image.image_id, image.group_id, image.split, *findings.sizes[index])
        for image, index in zip(planned.images, indices, strict=True)
    )
    classes = [class_.name for class_ in planned.info.classes]
    presence = np.zeros((len(entries), len(classes)), np.int64)
    for column, value in enumerate(findings.labels.values):
        if name := facts.class_of[value]:
            presence[:, classes.index(name)] += findings.labels.pixels[indices, column]
    leaks = tuple(remark for remark in planned.remarks if "leaks" in remark or "become train" in remark)
    return PreparedDataset(dest, planned.info, entries, {}, {}), presence, leaks


def _size_of(path: Path) -> tuple[int, int]:
    with open_picture(path) as picture:
        require_image(path, picture.facts)
        return picture.facts.height_px, picture.facts.width_px


def _plain_name(folder: Path) -> str:
    """Return the name of a folder as a study can have it."""
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", folder.resolve().name).strip("-_.+")
    return name or "study"
