"""Turning a plan into a prepared data set: in several processes, resumable, and visible only when complete."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from imbalance_bench.data.converters import REGISTRY
from imbalance_bench.data.converters.building_folder import (
    CHANGES,
    building_folder,
    discard_unless_begun,
    publish,
    require_replaceable,
    resume_or_clear,
)
from imbalance_bench.data.converters.nearest_colour import Change
from imbalance_bench.data.converters.pixel_files import UnknownLabelsError, require_same_frame
from imbalance_bench.data.converters.source import (
    Converter,
    Pixels,
    Plan,
    PrepareOptions,
    Problem,
    SourceError,
    SourceImage,
)
from imbalance_bench.data.dataset_file import DatasetInfo, NearestColours
from imbalance_bench.data.pictures import IndexColours, Palette, open_picture, read_palette
from imbalance_bench.data.prepared import COLUMNS, IMAGE_SUFFIXES, PreparedDataset, usable_cores
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.manifest import canonical_hash, write_atomically, write_json
from imbalance_bench.names import is_plain_stem, similar_names_remark
from imbalance_bench.worker_pool import worker_pool

_PNG_COMPRESSION = 4

OnProgress = Callable[[int, int], None]
Apply = Callable[[Callable[[SourceImage], Any], Iterable[SourceImage]], Iterable[Any]]


@dataclass(frozen=True)
class Prepared:
    """A finished preparation.

    Args:
        dataset: The prepared data set.
        remarks: What the person should know.
    """

    dataset: PreparedDataset
    remarks: tuple[str, ...]


def prepare_dataset(
    name: str,
    source: Path,
    dest: Path,
    options: PrepareOptions | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    on_check: OnProgress | None = None,
    on_progress: OnProgress | None = None,
) -> Prepared:
    """Convert a published data set.

    Everything is read once before anything is written, so that all problems are reported at once. Images are written
    beside `dest`, in a hidden folder that becomes `dest` at the end. After an interruption the same call resumes there;
    where the source or the options have changed since, it begins again.

    Args:
        name: A key of the registry.
        source: Folder as published.
        dest: A folder that does not exist, or is empty.
        options: See `PrepareOptions`.
        workers: Processes; None takes every usable core.
        overwrite: Replace `dest` where it is a prepared data set; it stays until the new one is complete.
        on_check: Called with (images checked, images to check).
        on_progress: Called with (images done, images in all).

    Raises:
        UserError: Unknown name or option, or `dest` holds something.
        SourceError: The source is not as published; every problem.
    """
    dest, source, options = Path(dest), Path(source), options or PrepareOptions()
    converter = find_converter(name, options)
    if not source.is_dir():
        raise UserError(f"{source} must be the folder of the data set as published. Got no such folder. Check SOURCE.")
    require_replaceable(dest, source, overwrite=overwrite)
    plan = converter.plan(source, options)
    problems = [*plan.problems, *_wrong_ids(plan.images), *_shared_masks(plan.images)]
    with building_folder(dest) as building, _workers(workers or usable_cores(), len(plan.images)) as apply:
        resume_or_clear(building, _signature_of(plan))
        waiting = [image for image in plan.images if not _mask_file(building, image).is_file()]
        looks = apply(partial(_look, plan.read, plan.index_classes is not None), waiting)
        take = partial(_take, problems, IndexColours(plan.index_classes or {}))
        _report(take, looks, 0, len(waiting), on_check)
        if problems:
            discard_unless_begun(building)
            raise SourceError(source, problems, plan.remarks)
        n_done, written = len(plan.images) - len(waiting), apply(partial(_write_pair, plan.read, building), waiting)
        _report(lambda _nothing: None, written, n_done, len(plan.images), on_progress)
        _write_text(building / "index.csv", _index(plan.images, building))
        info, changed = _with_changes(plan, building)
        _write_text(building / "dataset.yaml", yaml.safe_dump(describe(info), sort_keys=False, allow_unicode=True))
        PreparedDataset.open(building)
        publish(building, dest)
    dataset = PreparedDataset.open(dest)
    sites = similar_names_remark((entry.extra.get("site", "") for entry in dataset.entries), "sites")
    return Prepared(dataset, (*plan.remarks, *changed, *dataset.remarks, *sites))


def find_converter(name: str, options: PrepareOptions) -> Converter:
    """Return a converter, after checking that it understands the options given.

    Raises:
        UserError: It is unknown, or does not understand one.
    """
    if name not in REGISTRY:
        raise UserError(f"Unknown data set '{name}'.{nearest(name, REGISTRY)} For any other layout use 'folder'.")
    converter = REGISTRY[name]
    for field in fields(options):
        if getattr(options, field.name) is not None and field.name not in converter.options:
            option = "--" + field.name.replace("_", "-")
            raise UserError(f"{option} does not apply to '{name}'. Leave it out, or use the converter 'folder'.")
    return converter


def describe(info: DatasetInfo) -> dict[str, object]:
    """Return the content of `dataset.yaml`."""
    classes = [{"id": class_.id, "name": class_.name, "colour": class_.colour} for class_ in info.classes]
    content: dict[str, object] = {field.name: getattr(info, field.name) for field in fields(info)}
    content["classes"] = classes
    if info.nearest_colours is None:
        del content["nearest_colours"]
    else:
        content["nearest_colours"] = asdict(info.nearest_colours)
    return content


def _wrong_ids(images: Sequence[SourceImage]) -> Iterator[Problem]:
    seen: dict[str, SourceImage] = {}
    for image in images:
        if not is_plain_stem(image.image_id):
            line = f"{image.image}: an image id must be a plain file stem. Got '{image.image_id}'. Rename it."
            yield Problem("image ids that are no plain names", line)
        other = seen.setdefault(image.image_id.casefold(), image)
        if other is image:
            continue
        again = f"'{image.image_id}' again, after {other.image}"
        if other.image_id != image.image_id:
            again = f"'{image.image_id}' and '{other.image_id}', one file where case is ignored, of {other.image}"
        line = f"{image.image}: image ids must differ. Got {again}. Rename one, or put more of the path into the id."
        yield Problem("image ids used twice", line)


def _shared_masks(images: Sequence[SourceImage]) -> Iterator[Problem]:
    """Find images that were given one mask: all but one of them would have the labels of another image."""
    first: dict[tuple[str, int], SourceImage] = {}
    for image in images:
        other = first.setdefault((os.path.abspath(image.mask), image.row), image)  # noqa: PTH100 - links stay links
        if other is not image:
            line = (
                f"{image.mask} must be the mask of one image. Got {other.image} and {image.image}. Correct what names "
                "the mask, or give each image its own, which may be a link."
            )
            yield Problem("masks of several images", line)


def _signature_of(plan: Plan) -> str:
    """Return a hash of everything that the prepared data set depends on."""
    files = sorted({path for image in plan.images for path in (image.image, image.mask)})
    stats = [path.stat() for path in files]
    return canonical_hash(
        {
            "info": describe(plan.info),
            "images": [
                [
                    image.image_id,
                    image.group_id,
                    image.split,
                    image.row,
                    str(image.image),
                    str(image.mask),
                    dict(image.extra),
                ]
                for image in plan.images
            ],
            "files": [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in zip(files, stats, strict=True)],
            "read": repr(plan.read.keywords if isinstance(plan.read, partial) else plan.read.__qualname__),
        }
    )


@contextmanager
def _workers(number: int, n_images: int) -> Iterator[Apply]:
    """Give a map over images, in order, by this process or by several."""
    if number == 1 or n_images < 2:
        yield map
        return
    with worker_pool(min(number, n_images)) as pool:
        yield pool.map


def _report(
    take: Callable[[Any], object], results: Iterable[Any], n_done: int, total: int, on_progress: OnProgress | None
) -> None:
    """Take results one by one and tell how many there are."""
    report = on_progress or (lambda _n_done, _total: None)
    if total:
        report(n_done, total)
    for number, result in enumerate(results, start=n_done + 1):
        take(result)
        report(number, total)


@dataclass(frozen=True)
class _Look:
    """What one pair is like.

    Args:
        mask: File with the labels.
        problem: What is wrong, if anything.
        palette: Of a mask that is read by its indices.
    """

    mask: Path
    problem: Problem | None = None
    palette: Palette | None = None


def _look(read: Callable[[SourceImage], Pixels], by_index: bool, source: SourceImage) -> _Look:
    """Read one pair."""
    kind = "pairs that cannot be read"
    try:
        pixels = read(source)
        kind = "masks of another size or orientation than their image"
        _require_frame(source, pixels)
    except UnknownLabelsError as error:
        return _Look(source.mask, Problem("masks with unknown labels", str(error)))
    except UserError as error:
        return _Look(source.mask, Problem(kind, str(error)))
    return _Look(source.mask, palette=read_palette(source.mask) if by_index else None)


def _take(problems: list[Problem], colours: IndexColours, look: _Look) -> None:
    """Add what is wrong with a pair, by itself or beside those before it."""
    if look.problem is not None:
        problems.append(look.problem)
    difference = colours.difference(look.mask, look.palette)
    if difference:
        fix = "Masks are read by index: save them in one palette or in grey, or let the labels of a layout be colours."
        problems.append(Problem("masks with other palettes", f"{difference} {fix}"))


def _require_frame(source: SourceImage, pixels: Pixels) -> None:
    (height, width), (rows, columns) = pixels.image.shape[:2], pixels.mask.shape
    require_same_frame(source.image, (height, width), source.mask, (rows, columns))


def _write_pair(read: Callable[[SourceImage], Pixels], building: Path, source: SourceImage) -> None:
    """Write one image, then its instances, then its mask: a mask on disk means that all of them are."""
    pixels = read(source)
    _require_frame(source, pixels)
    if _keeps_bytes(source.image):
        destination = building / "images" / f"{source.image_id}{source.image.suffix.lower()}"
        content = source.image.read_bytes()
        write_atomically(destination, lambda file: file.write(content))
    else:
        _write_png(building / "images" / f"{source.image_id}.png", pixels.image)
    if pixels.instances is not None:
        _write_png(building / "instances" / f"{source.image_id}.png", _narrowed(pixels.instances, source.mask))
    if pixels.change is not None:
        write_json(building / CHANGES / f"{source.image_id}.json", asdict(pixels.change))
    _write_png(_mask_file(building, source), pixels.mask)


def _with_changes(plan: Plan, building: Path) -> tuple[DatasetInfo, tuple[str, ...]]:
    """Return the description with the sum of what was changed in the masks, and a remark about it."""
    if plan.tolerance is None:
        return plan.info, ()
    changes = [
        Change(**json.loads((building / CHANGES / f"{image.image_id}.json").read_text(encoding="utf-8")))
        for image in plan.images
    ]
    changed = sum(change.changed_pixels for change in changes)
    totals = NearestColours(
        tolerance=round(plan.tolerance, 3),
        largest_distance=round(max(change.largest_distance for change in changes), 3),
        changed_pixels=changed,
        changed_share=round(changed / sum(change.pixels for change in changes), 6),
    )
    masks = sum(change.changed_pixels > 0 for change in changes)
    remark = (
        f"nearest colours: {100 * totals.changed_share:.2g} % of the pixels, in {masks} of {len(changes)} masks, had "
        f"none of the labels' colours and took the nearest; the farthest was at {totals.largest_distance:.0f} of a "
        f"tolerance of {totals.tolerance:.0f}. dataset.yaml records this."
    )
    return replace(plan.info, nearest_colours=totals), (remark,)


def _keeps_bytes(path: Path) -> bool:
    """Return whether a file can be taken over as it is: a prepared image must be upright 8-bit RGB and nothing more."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    with open_picture(path) as picture:
        return picture.facts.is_plain_rgb


def _narrowed(instances: np.ndarray, path: Path) -> np.ndarray:
    if instances.min() < 0 or instances.max() > np.iinfo(np.uint16).max:
        raise UserError(f"{path} must number instances from 0 to 65535. Got {instances.min()}..{instances.max()}.")
    return instances.astype(np.uint16)


def _write_png(path: Path, array: np.ndarray) -> None:
    picture = Image.fromarray(array)
    write_atomically(path, lambda file: picture.save(file, format="PNG", compress_level=_PNG_COMPRESSION))


def _mask_file(building: Path, source: SourceImage) -> Path:
    return building / "masks" / f"{source.image_id}.png"


def _index(images: Sequence[SourceImage], building: Path) -> str:
    text = io.StringIO()
    extra = list(images[0].extra)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *extra])
    for image in images:
        with open_picture(_mask_file(building, image)) as mask:
            size = mask.facts.height_px, mask.facts.width_px
        row = [image.image_id, image.group_id, image.split, *size]
        writer.writerow([*row, *(image.extra[name] for name in extra)])
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
