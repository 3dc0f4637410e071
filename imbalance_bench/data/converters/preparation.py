"""Turning a plan into a prepared data set: in several processes, resumable, and visible only when complete."""

import csv
import fcntl
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from imbalance_bench.data.converters import REGISTRY
from imbalance_bench.data.converters.pixel_files import require_same_size
from imbalance_bench.data.converters.source import Converter, Pixels, Plan, PrepareOptions, SourceImage
from imbalance_bench.data.dataset_file import DatasetInfo, is_plain_name
from imbalance_bench.data.pictures import open_picture
from imbalance_bench.data.prepared import COLUMNS, IMAGE_SUFFIXES, PreparedDataset, usable_cores
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.manifest import canonical_hash, write_atomically, write_json

_SIGNATURE = "preparation.json"
_LOCK = "lock"
_PNG_COMPRESSION = 4

OnProgress = Callable[[int, int], None]


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
    on_progress: OnProgress | None = None,
) -> Prepared:
    """Convert a published data set.

    Images are written beside `dest`, in a hidden folder that becomes `dest` at the end. After an interruption the same
    call goes on there; where the source or the options have changed since, it begins again.

    Args:
        name: A key of the registry.
        source: Folder as published.
        dest: A folder that does not exist, or is empty.
        options: See `PrepareOptions`.
        workers: Processes; None takes every usable core.
        on_progress: Called with (images done, images in all).

    Raises:
        UserError: Unknown name or option, `dest` holds something, or the source is not as published.
    """
    dest, options = Path(dest), options or PrepareOptions()
    converter = find_converter(name, options)
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UserError(f"{dest} must be a new or empty folder. Got one that holds something. Choose another DEST.")
    if not Path(source).is_dir():
        raise UserError(f"{source} must be the folder of the data set as published. Got no such folder. Check SOURCE.")
    plan = converter.plan(Path(source), options)
    _check_ids(plan.images)
    building = dest.parent / f".{dest.name}.preparing"
    building.mkdir(parents=True, exist_ok=True)
    with _only_writer(building):
        _resume_or_clear(building, plan)
        _write_images(plan, building, workers or usable_cores(), on_progress or (lambda _done, _total: None))
        _write_text(building / "index.csv", _index(plan.images, building))
        _write_text(building / "dataset.yaml", yaml.safe_dump(describe(plan.info), sort_keys=False, allow_unicode=True))
        PreparedDataset.open(building)
        for name_of_ours in (_SIGNATURE, _LOCK):
            (building / name_of_ours).unlink()
        if dest.exists():
            dest.rmdir()
        building.rename(dest)
    return Prepared(PreparedDataset.open(dest), plan.remarks)


def find_converter(name: str, options: PrepareOptions) -> Converter:
    """Return a converter, after checking that it understands the options given.

    Raises:
        UserError: It is unknown, or does not understand one.
    """
    if name not in REGISTRY:
        raise UserError(f"Unknown data set '{name}'.{nearest(name, REGISTRY)} For any other layout use 'folder'.")
    converter = REGISTRY[name]
    for each in fields(options):
        if getattr(options, each.name) is not None and each.name not in converter.options:
            option = "--" + each.name.replace("_", "-")
            raise UserError(f"{option} means nothing to '{name}'. Leave it out, or use the converter 'folder'.")
    return converter


def describe(info: DatasetInfo) -> dict[str, object]:
    """Return the content of `dataset.yaml`."""
    classes = [{"id": each.id, "name": each.name, "colour": each.colour} for each in info.classes]
    plain = {each.name: getattr(info, each.name) for each in fields(info)}
    return {**plain, "classes": classes}


def _check_ids(images: Sequence[SourceImage]) -> None:
    seen: dict[str, SourceImage] = {}
    for image in images:
        if not is_plain_name(image.image_id):
            raise UserError(f"{image.image}: an image id must be a plain file stem. Got '{image.image_id}'. Rename it.")
        if image.image_id in seen:
            raise UserError(
                f"{image.image}: image ids must differ. Got '{image.image_id}' again, after "
                f"{seen[image.image_id].image}. Rename one, or put more of the path into the id."
            )
        seen[image.image_id] = image


@contextmanager
def _only_writer(building: Path) -> Iterator[None]:
    with (building / _LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{building} is being written by another process. Wait for it, or choose another DEST."
            ) from None
        yield


def _resume_or_clear(building: Path, plan: Plan) -> None:
    """Keep what an interrupted preparation of exactly this source left, and nothing else."""
    files = sorted({path for image in plan.images for path in (image.image, image.mask)})
    stats = [path.stat() for path in files]
    signature = canonical_hash(
        {
            "info": describe(plan.info),
            "images": [
                [each.image_id, each.group_id, each.split, each.row, str(each.image), str(each.mask), dict(each.extra)]
                for each in plan.images
            ],
            "files": [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in zip(files, stats, strict=True)],
            "read": repr(plan.read.keywords if isinstance(plan.read, partial) else plan.read.__qualname__),
        }
    )
    path = building / _SIGNATURE
    if not path.is_file() or signature not in path.read_text(encoding="utf-8"):
        for old in building.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old.name != _LOCK:
                old.unlink()
    for torn in building.glob("*/.*"):  # half a file, from a writer that was killed
        torn.unlink()
    for folder in ("images", "masks"):
        (building / folder).mkdir(exist_ok=True)
    write_json(path, {"signature": signature})


def _write_images(plan: Plan, building: Path, workers: int, on_progress: OnProgress) -> None:
    waiting = [image for image in plan.images if not _mask_file(building, image).is_file()]
    done, total = len(plan.images) - len(waiting), len(plan.images)
    on_progress(done, total)
    write = partial(_write_pair, plan.read, building)
    if workers == 1 or len(waiting) < 2:
        for number, image in enumerate(waiting, start=1):
            write(image)
            on_progress(done + number, total)
        return
    with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=get_context("spawn")) as pool:
        for number, _ in enumerate(pool.map(write, waiting), start=1):
            on_progress(done + number, total)


def _write_pair(read: Callable[[SourceImage], Pixels], building: Path, source: SourceImage) -> None:
    """Write one image, then its instances, then its mask: a mask on disk means that all of them are."""
    pixels = read(source)
    require_same_size(pixels.image, source.image, pixels.mask, source.mask)
    if _keeps_bytes(source.image):
        destination = building / "images" / f"{source.image_id}{source.image.suffix.lower()}"
        content = source.image.read_bytes()
        write_atomically(destination, lambda file: file.write(content))
    else:
        _write_png(building / "images" / f"{source.image_id}.png", pixels.image)
    if pixels.instances is not None:
        _write_png(building / "instances" / f"{source.image_id}.png", _narrowed(pixels.instances, source.mask))
    _write_png(_mask_file(building, source), pixels.mask)


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
