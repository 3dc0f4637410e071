"""The reader of every kind of file that people give, and good files of the kind."""

import io
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import scipy.io
import tifffile
import torch
from PIL import Image
from safetensors.torch import save as safetensors_of

from analysis.compare_scores import compare
from analysis.explain import explain
from benchmarks.faults.small_study import SmallStudy
from imbalance_bench.bundle import export_bundle, import_bundle
from imbalance_bench.cli.explanation import NUMBERS as EXPLANATION_NUMBERS
from imbalance_bench.cli.result_view import NUMBERS as SCORE_NUMBERS
from imbalance_bench.config import load_study
from imbalance_bench.csv_cells import read_frame
from imbalance_bench.csv_files import read_csv
from imbalance_bench.data.audit.images import read_split_file
from imbalance_bench.data.converters import consep, folder, pannuke
from imbalance_bench.data.converters.description import read_description
from imbalance_bench.data.converters.pixel_files import LabelTable
from imbalance_bench.data.converters.source import PrepareOptions, SourceImage
from imbalance_bench.data.dataset_file import read_dataset_info
from imbalance_bench.data.pictures.reading import read_class_ids, read_colours, read_labels
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.region_image import open_region_image
from imbalance_bench.data.splits import Splits
from imbalance_bench.errors import UserError
from imbalance_bench.foreign.labels import LabelMap
from imbalance_bench.foreign.masks import read_classes, read_probabilities
from imbalance_bench.foreign.section import load_foreign
from imbalance_bench.models.encoder_weights import load_encoder_weights
from imbalance_bench.models.official_checkpoint import read_official
from imbalance_bench.progress_log import read_progress
from imbalance_bench.record_documents import DatasetDocument, PlanDocument, read_document
from imbalance_bench.table_files import read_table
from imbalance_bench.table_schemas import TABLES
from imbalance_bench.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from imbalance_bench.yaml_files import read_yaml

Reader = Callable[[Path], object]

WINDOW_PX = 512  # pictures are read in windows: what a file says of its size must not decide how much is read
LABELS = LabelMap(LabelTable({0: 0, 1: 1, 2: 2}), ())
LAYOUT = b"""name: made
image: images/(?P<name>.+)[.]png
mask: masks/{name}.png
classes: [{name: a, labels: [0]}, {name: b, labels: [1], colour: "#ff0000"}]
mpp_um: 0.5
"""
FOREIGN = b"""name: made
dataset: {path: d}
labels: {a: [0], b: [1]}
analysis: {control: one}
methods: [{label: one, predictions: "p/{image_id}.png"}, {label: two, predictions: "q/{seed}/{image_id}.png"}]
"""
SCORES = b"method,image,class,seed,value\n" + b"".join(
    f"{method},{image},{name},0,{0.5 + 0.03 * image + 0.1 * (method == 'b') + 0.05 * (name == 'y')}\n".encode()
    for method in "ab"
    for image in range(6)
    for name in "xy"
)
QUANTITIES = b"data_set,method,class,value,seed\n" + b"".join(
    f"d,m,{name},{0.1 * number + 0.01 * seed},{seed}\n".encode()
    for seed in range(2)
    for number, name in enumerate("vwxyz")
)


def readers_of(small: SmallStudy, workplace: Path) -> dict[str, tuple[Reader, list[bytes]]]:
    """Reader of each kind of file, and good files of the kind."""
    run = small.study / "runs" / small.run_id
    bundle = workplace / "good.zip"
    export_bundle(small.study, bundle)
    module = torch.nn.Linear(3, 2)
    weights = workplace / "good.pt"
    torch.save(module.state_dict(), weights)
    table, label = _copy_with(small, workplace), "index.csv"
    readers: dict[str, tuple[Reader, list[bytes]]] = {
        "study file .yaml": (load_study, [small.file.read_bytes()]),
        "YAML .yaml": (read_yaml, [b"a: [1, {b: &x c}, *x]\n# c\nd: '01'\n", small.file.read_bytes()]),
        "dataset.yaml": (read_dataset_info, [(small.data / "dataset.yaml").read_bytes()]),
        "CSV .csv": (lambda path: read_csv(path).whole(), [b"a,b\n1,'=2'\n\"x\ny\",3\n"]),
        label: (lambda path: _prepared(table, path), [(small.data / "index.csv").read_bytes()]),
        "splits.json": (Splits.load, [(small.study / "splits.json").read_bytes()]),
        "plan.json": (lambda path: read_document(path, PlanDocument), [(small.study / "plan.json").read_bytes()]),
        "dataset.json": (
            lambda path: read_document(path, DatasetDocument),
            [(small.study / "dataset.json").read_bytes()],
        ),
        "bundle .zip": (lambda path: _import(path, workplace), [bundle.read_bytes()]),
        "weights .pt": (lambda path: load_encoder_weights(module, path), [weights.read_bytes()]),
        "weights .safetensors": (
            lambda path: load_encoder_weights(module, path),
            [safetensors_of(module.state_dict())],
        ),
        "picture .png": (_picture, [small.image.read_bytes()]),
        "picture .jpg": (_picture, [_encoded("JPEG")]),
        "picture .tif": (_picture, [_tiff()]),
        "slide .svs": (_picture, [_tiff()]),
        "mask .png": (_every_mask, [next((small.data / "masks").glob("*.png")).read_bytes(), _encoded("PNG")]),
        "foreign mask .tif": (lambda path: read_classes(path, LABELS, "xy"), [_tiff(), _tiff(np.float32)]),
        "foreign mask .nii": (lambda path: read_classes(path, LABELS, "xy"), [_nifti(workplace)]),
        "foreign probabilities .npz": (
            lambda path: read_probabilities(path, LABELS, 3, (4, 5)),
            [_archive(np.full((3, 4, 5), 1 / 3, np.float32))],
        ),
        "foreign file .yaml": (load_foreign, [FOREIGN]),
        "layout .yaml": (
            lambda path: read_description(folder.FolderDescription, PrepareOptions(config=path), "folder"),
            [LAYOUT],
        ),
        "fold table .csv": (read_split_file, [b"img_id,fold,group_id\na,-1,x\nb,0,y\nc,1,z\n"]),
        "CoNSeP labels .mat": (
            lambda path: consep.read_image(SourceImage("a", "a", small.image, path)),
            [_matlab(compressed=True), _matlab(compressed=False)],
        ),
        "PanNuke arrays .npy": (
            lambda path: pannuke.read_row(SourceImage("a", "a", _pannuke_images(workplace), path)),
            [_array(np.zeros((2, 8, 8, 6), np.uint8))],
        ),
        "checkpoint of a run .pt": (lambda path: _checkpoint(path, workplace), [_checkpoint_bytes(workplace)]),
        "official checkpoint .ckpt": (read_official, [_official()]),
        "progress.jsonl": (read_progress, [(run / "progress.jsonl").read_bytes()]),
        "scores .csv": (lambda path: compare(read_frame(path, SCORE_NUMBERS)), [SCORES]),
        "quantities .csv": (lambda path: explain(read_frame(path, EXPLANATION_NUMBERS), _measures()), [QUANTITIES]),
    }
    readers |= {
        f"{name}.parquet": (lambda path, name=name: read_table(path, name), [(run / f"{name}.parquet").read_bytes()])
        for name in TABLES
        if (run / f"{name}.parquet").exists()
    }
    _require_read(readers, workplace)
    return readers


def _require_read(readers: Mapping[str, tuple[Reader, list[bytes]]], workplace: Path) -> None:
    """Every good file must be read: a reader that refuses everything cannot be found at fault."""
    for name, (reader, examples) in readers.items():
        path = workplace / f"example{suffix_of(name)}"
        for example in examples:
            path.write_bytes(example)
            reader(path)


def suffix_of(name: str) -> str:
    """Return how a file of a reader must end: the name of the reader ends likewise."""
    return f".{name.rpartition('.')[2]}"


def _copy_with(small: SmallStudy, workplace: Path) -> Path:
    copy = workplace / "prepared"
    if not copy.exists():
        shutil.copytree(small.data, copy)
    return copy


def _prepared(folder: Path, index: Path) -> None:
    shutil.copyfile(index, folder / "index.csv")
    PreparedDataset.open(folder)


def _import(path: Path, workplace: Path) -> None:
    target = workplace / "imported"
    shutil.rmtree(target, ignore_errors=True)
    import_bundle(path, target)


def _picture(path: Path) -> None:
    with open_region_image(path, mpp_um=None, given_um=0.5) as image:
        height, width = min(WINDOW_PX, image.height_px), min(WINDOW_PX, image.width_px)
        image.read(0, 0, height, width)
        image.read(image.height_px - height, image.width_px - width, height, width)


def _encoded(form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(48 * 40 * 3, dtype=np.uint32).reshape(48, 40, 3).astype(np.uint8)).save(file, form)
    return file.getvalue()


def _tiff(kind: type = np.uint8) -> bytes:
    file = io.BytesIO()
    if kind is np.uint8:
        tifffile.imwrite(file, np.zeros((64, 64, 3), kind), tile=(16, 16), photometric="rgb")
    else:
        tifffile.imwrite(file, np.zeros((64, 64), kind))
    return file.getvalue()


def _every_mask(path: Path) -> None:
    refusals = []
    for read in (read_labels, read_colours, read_class_ids):
        try:
            read(path)
        except UserError as error:
            refusals.append(error)
    if len(refusals) == 3:
        raise refusals[0]


def _measures() -> pd.DataFrame:
    rows = [("d", name, "share", float(number), "frequency") for number, name in enumerate("vwxyz")]
    return pd.DataFrame(rows, columns=["data_set", "class", "measure", "value", "construct"])


def _array(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _pannuke_images(workplace: Path) -> Path:
    path = workplace / "images.npy"
    if not path.exists():
        np.save(path, np.zeros((2, 8, 8, 3), np.uint8))
    return path


def _archive(probabilities: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, probabilities=probabilities)
    return file.getvalue()


def _matlab(compressed: bool) -> bytes:
    file, types = io.BytesIO(), np.zeros((64, 64) if compressed else (8, 8), np.uint8)
    scipy.io.savemat(file, {"type_map": types, "inst_map": types.astype(np.int32)}, do_compression=compressed)
    return file.getvalue()


def _nifti(workplace: Path) -> bytes:
    path = workplace / "good.nii"
    nibabel.Nifti1Image(np.zeros((5, 4, 1), np.uint8), np.eye(4)).to_filename(path)
    return path.read_bytes()


def _official() -> bytes:
    file = io.BytesIO()
    names = ("model.fusion_neck.0.weight", "model.model.mask_decoder.mask_tokens.weight")
    torch.save({"state_dict": {name: torch.zeros(3, 2) for name in names}}, file)
    return file.getvalue()


def _checkpoint_bytes(workplace: Path) -> bytes:
    run = workplace / "run"
    run.mkdir(exist_ok=True)
    save_checkpoint(run, {"step": 3, "model": torch.nn.Linear(3, 2).state_dict()})
    return (run / CHECKPOINT).read_bytes()


def _checkpoint(path: Path, workplace: Path) -> None:
    run = workplace / "run"
    shutil.copyfile(path, run / CHECKPOINT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load_checkpoint(run, torch.device("cpu"))
