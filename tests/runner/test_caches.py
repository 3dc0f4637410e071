"""Stores of a cache folder: listed, chosen for deletion, and a budget that picks the number of views."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.config import parse_study
from imbalance_bench.data.array_store import ArrayStore
from imbalance_bench.data.caches import USES, caches, chosen, note_use
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json
from imbalance_bench.training.cache_size import GIB, cache_sizes, within_budget
from tests.analysis.synthetic import write_synthetic_study


def make_store(folder: Path, *, days: float = 0, rows: int = 4) -> None:
    """Write a finished store, last used so many days ago."""
    ArrayStore.open_or_fill(
        folder,
        arrays={"images": ((64, 64), np.uint8)},
        rows=rows,
        fill=lambda wanted: {"images": np.ones((len(wanted), 64, 64), np.uint8)},
        chunk=2,
        description={"dataset": "d", "content_hash": "a" * 64, "tile_px": 64},
    )
    then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    for path in folder.iterdir():
        os.utime(path, (then, then))


def test_use_of_a_store_is_remembered_and_decides_its_age(tmp_path: Path) -> None:
    make_store(tmp_path / "tiles-a", days=9)
    make_store(tmp_path / "tiles-b", days=9)
    note_use(tmp_path / "tiles-b", tmp_path / "study")
    old = chosen(caches(tmp_path), older_than_days=5, down_to_gib=None, orphaned=False)
    assert [each.folder.name for each in old] == ["tiles-a"]


def test_only_what_studies_have_left_is_orphaned(tmp_path: Path) -> None:
    for name in ("tiles-unknown", "tiles-used", "tiles-left"):
        make_store(tmp_path / name)
    (tmp_path / "here").mkdir()
    write_json(tmp_path / "here" / "plan.json", {})
    note_use(tmp_path / "tiles-used", tmp_path / "here")
    note_use(tmp_path / "tiles-used", tmp_path / "gone")
    note_use(tmp_path / "tiles-left", tmp_path / "gone")
    assert [each.folder.name for each in caches(tmp_path) if each.is_orphaned] == ["tiles-left"]


def test_least_recently_used_stores_go_until_the_rest_fits(tmp_path: Path) -> None:
    for name, days in (("tiles-new", 1), ("tiles-old", 3), ("tiles-older", 5)):
        make_store(tmp_path / name, days=days)
    found = caches(tmp_path)
    kept = found[0].bytes * 1.5 / GIB
    going = chosen(found, older_than_days=None, down_to_gib=kept, orphaned=False)
    assert {each.folder.name for each in going} == {"tiles-old", "tiles-older"}


def test_clean_deletes_with_yes_alone_and_never_other_folders(tmp_path: Path) -> None:
    make_store(tmp_path / "tiles-a", days=9)
    (tmp_path / "mine").mkdir()
    arguments = ["cache", "clean", "--older-than", "2", "--cache", str(tmp_path)]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0
    assert "can go" in told.output
    assert (tmp_path / "tiles-a").is_dir()
    assert "deleted 1 of 1" in CliRunner().invoke(main, [*arguments, "--yes"]).output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_clean_asks_which_stores(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["cache", "clean", "--cache", str(tmp_path)])
    assert told.exit_code == 2
    assert "--older-than" in told.output


def test_damaged_note_of_use_is_no_obstacle(tmp_path: Path) -> None:
    make_store(tmp_path / "tiles-a")
    (tmp_path / "tiles-a" / USES).write_text("{")
    assert caches(tmp_path)[0].used == {}
    note_use(tmp_path / "tiles-a", tmp_path)
    assert list(caches(tmp_path)[0].used) == [str(tmp_path)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    root = tmp_path_factory.mktemp("data")
    write_synthetic_study(root, methods=["cross_entropy"], seeds=1, n_images=2)
    return PreparedDataset.open(root / "dataset")


def study(dataset: PreparedDataset, **compute: float):
    content = {
        "name": "s",
        "dataset": {"path": str(dataset.root), "tile_px": 96, "stride_px": 96},
        "model": {"encoder": "resnet18", "encoder_weights": "none", "channels": 64, "heads": 4},
        "training": {"crop_px": 32, "augmentation": {"cached_views": 4}},
        "compute": compute,
        "methods": ["cross_entropy"],
    }
    return parse_study(content, source="s.yaml")


def test_budget_lowers_the_number_of_views_and_says_so(dataset: PreparedDataset) -> None:
    sizes = cache_sizes(study(dataset), dataset)
    fixed, view = sum(each.fixed_bytes for each in sizes), sum(each.view_bytes for each in sizes)
    assert within_budget(study(dataset, cache_gib=(fixed + 3 * view) / GIB))[1] == ""
    lowered, line = within_budget(study(dataset, cache_gib=(fixed + 2.9 * view) / GIB))
    assert lowered.training.augmentation.cached_views == 3
    assert "3 of 4 cached views" in line
    with pytest.raises(UserError, match="every tile once"):
        within_budget(study(dataset, cache_gib=0.99 * fixed / GIB))


def test_told_size_is_the_size_on_disk(dataset: PreparedDataset, tmp_path: Path) -> None:
    import torch

    from imbalance_bench.planning import prepare_study
    from imbalance_bench.training.material import open_material

    planned = prepare_study(study(dataset), tmp_path / "study", lambda *_: None)
    material = open_material(planned, tmp_path / "cache", torch.device("cpu"))
    trained = sum(tile.image_id in planned.splits.folds[0].train for tile in material.tiles.tiles)
    told = cache_sizes(planned.config, dataset, trained)
    found = {path.name.split("-")[0]: path for path in (tmp_path / "cache").iterdir()}
    for size, kind in zip(told, ("tiles", "features"), strict=True):
        arrays = [np.load(path, mmap_mode="r") for path in found[kind].glob("*.npy")]
        assert size.bytes == sum(array.nbytes for array in arrays)
