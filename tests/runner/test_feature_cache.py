"""Cached features are what the encoder gives for the same view, and crops of them lie where the labels lie."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imbalance_bench.config import AugmentationSection
from imbalance_bench.data.augmentation import ELEMENTS, draw_views, jitter, turn, turn_array
from imbalance_bench.data.store_journal import read_journal
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.models.segmenter import build_segmenter
from imbalance_bench.planning import prepare_study
from imbalance_bench.training import feature_cache, material
from imbalance_bench.training.batches import Batch
from imbalance_bench.training.feature_cache import drawn_view
from imbalance_bench.training.material import open_material
from tests.small_study import small_config

CPU = torch.device("cpu")


def test_a_cached_view_is_the_encoded_view(tmp_path: Path, dataset: Path) -> None:
    config = small_config(dataset, training={"augmentation": {"cached_views": 6}})
    study = prepare_study(config, tmp_path / "s", lambda *_: None)
    data = open_material(study, tmp_path / "cache", CPU)
    segmenter = build_segmenter(config.model, n_classes=len(study.taxonomy.names), seed=0).eval()
    assert data.cache is not None
    for view in (0, 5):
        image = torch.from_numpy(np.array(data.tiles.images[1])).permute(2, 0, 1)[None]
        drawn = drawn_view(data.tiles, 1, view, config)
        prepared = turn(jitter(image, drawn) if view else image.float(), view % ELEMENTS)
        with torch.inference_mode():
            expected = segmenter.encode(prepared)
        rows, zero = np.array([1]), np.array([0])
        found = data.cache.read(rows, np.array([view]), zero, zero, 64)
        for level, (a, b) in enumerate(zip(expected, found, strict=True)):
            assert torch.allclose(a, b, atol=1e-2, rtol=1e-3), level


@pytest.mark.parametrize(
    ("model", "grid_px"),
    [
        ({}, 32),
        ({"architecture": "deeplabv3plus"}, 32),  # whose coarsest features have stride 16
        ({"encoder": "tu-test_vit"}, 32),
        ({"encoder": "tu-test_vit", "encoder_kwargs": {"patch_size": 14}, "pyramid_channels": 8}, 14),
    ],
)
def test_crops_begin_where_every_level_has_a_whole_pixel(
    tmp_path: Path, dataset: Path, model: dict[str, object], grid_px: int
) -> None:
    sizes = {"dataset": {"tile_px": 224, "stride_px": 224}, "training": {"crop_px": 224}} if grid_px == 14 else {}
    methods = ["cross_entropy"]
    study = prepare_study(small_config(dataset, model=model, methods=methods, **sizes), tmp_path / "s", lambda *_: None)
    assert open_material(study, tmp_path / "cache", CPU).grid_px == grid_px


def test_views_differ_and_view_zero_is_the_tile(tmp_path: Path, dataset: Path) -> None:
    config = small_config(dataset)
    study = prepare_study(config, tmp_path / "s", lambda *_: None)
    tiles = open_material(study, tmp_path / "cache", CPU).tiles
    plain = drawn_view(tiles, 0, 0, config)
    assert plain.element[0] == 0
    assert (plain.stain_scale == 1).all()
    assert (plain.stain_shift == 0).all()
    assert (plain.colour == 1).all()
    assert not np.array_equal(drawn_view(tiles, 0, 1, config).stain_scale, drawn_view(tiles, 1, 1, config).stain_scale)


@pytest.mark.parametrize("cached_views", [8, 0])
def test_labels_are_turned_and_cut_like_the_images(tmp_path: Path, dataset: Path, cached_views: int) -> None:
    """Where the unturned mask is looked up through coordinates, the labels of a crop must agree."""
    config = small_config(dataset, training={"augmentation": {"cached_views": cached_views}})
    study = prepare_study(config, tmp_path / "s", lambda *_: None)
    data = open_material(study, tmp_path / "cache", CPU)
    rng = np.random.default_rng(0)
    views = draw_views(rng, 8, dihedral=True, stain_strength=0.0, colour_strength=0.0)
    elements = np.arange(8)
    views.element[:] = elements
    batch = Batch(np.zeros(8, np.int64), elements, np.full(8, 32), np.zeros(8, np.int64), views)
    target, valid = data.training_labels(batch)
    mask = data.tiles.masks[0]
    for number, element in enumerate(elements):
        whole = turn(torch.from_numpy(np.array(mask)), int(element))
        assert np.array_equal(whole.numpy(), turn_array(mask, int(element)))
        crop = whole[32:64, 0:32]
        assert torch.equal(valid[number], crop != 255)
        assert torch.equal(target[number][valid[number]], crop[crop != 255].long())


def test_all_eight_turns_differ_and_jitter_of_nothing_changes_nothing() -> None:
    square = torch.arange(9.0).reshape(3, 3)
    assert len({tuple(turn(square, e).flatten().tolist()) for e in range(ELEMENTS)}) == ELEMENTS
    rng = np.random.default_rng(0)
    images = torch.randint(5, 250, (2, 3, 8, 8))
    still = draw_views(rng, 2, dihedral=False, stain_strength=0.0, colour_strength=0.0)
    images[0, :, 0, 0] = 0
    assert torch.equal(jitter(images, still), images.float())
    stained = draw_views(rng, 2, dihedral=False, stain_strength=0.3, colour_strength=0.0)
    unit = draw_views(rng, 2, dihedral=False, stain_strength=0.0, colour_strength=0.2)
    one_by_one = jitter(jitter(images, stained), unit)
    both = replace(stained, colour=unit.colour)
    assert torch.allclose(jitter(images, both), one_by_one, atol=1e-3)
    assert (jitter(images, unit) - images).abs().mean() > 1
    assert not jitter(images, unit)[0, :, 0, 0].isnan().any()
    moved = draw_views(rng, 2, dihedral=False, stain_strength=0.3, colour_strength=0.2)
    changed = jitter(images, moved)
    assert (changed - images).abs().mean() > 1
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_hue_turns_the_colour_circle_and_nothing_is_drawn_for_it_unless_asked() -> None:
    plain, turned = (
        draw_views(
            np.random.default_rng(0), 3, dihedral=True, stain_strength=0.1, colour_strength=0.1, hue_strength=hue
        )
        for hue in (0.0, 0.25)
    )
    assert plain.hue is None
    assert turned.hue is not None
    assert len(turned.arrays) == len(plain.arrays) + 1  # the digest of older batches stays
    assert all(np.array_equal(one, other) for one, other in zip(plain.arrays, turned.arrays[:-1], strict=True))
    assert np.abs(turned.hue).max() <= 0.25
    still = draw_views(np.random.default_rng(0), 2, dihedral=False, stain_strength=0.0, colour_strength=0.0)
    third = replace(still, hue=np.array([1 / 3, 0.0], np.float32))
    red = torch.tensor([200.0, 40.0, 40.0]).view(1, 3, 1, 1).expand(2, 3, 2, 2)
    green, same = jitter(red, third)[:, :, 0, 0]
    assert green.tolist() == pytest.approx([40, 200, 40], abs=1.5)
    assert same.tolist() == pytest.approx([200, 40, 40], abs=1.5)


def test_chunks_are_encoded_side_by_side_by_as_many_threads_as_a_run_has(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    encode = feature_cache._encode

    def spy(*arguments: Any) -> list[np.ndarray]:
        used.append(torch.get_num_threads())
        return encode(*arguments)

    monkeypatch.setattr(feature_cache, "_encode", spy)
    augmentation = {"augmentation": {"cached_views": 5, "stain_strength": 0.0}}
    config = small_config(dataset, training=augmentation, methods=["cross_entropy"], compute={"threads": 1})
    torch.set_num_threads(2)  # as a process begins
    for workers in (1, 3):
        cache = tmp_path / f"cache_{workers}"
        execute_study(config, tmp_path / f"study_{workers}", Execution(cache, engine="serial", workers=workers))
    stores = [sorted((tmp_path / f"cache_{workers}").glob("features-*/*.npy")) for workers in (1, 3)]
    assert [path.read_bytes() for path in stores[0]] == [path.read_bytes() for path in stores[1]]
    assert set(used) == {1}
    assert len(used) > 2


def test_a_gpu_waits_for_the_disk_less_often_and_leaves_the_same_bytes(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert material.stored_at_once(torch.device("cuda", 0)) > feature_cache._CHUNK
    config = small_config(dataset, training={"augmentation": {"cached_views": 6}})
    study = prepare_study(config, tmp_path / "s", lambda *_: None)
    found = []
    for name, at_once in (("cpu", 1), ("gpu", 64)):
        monkeypatch.setattr(material, "stored_at_once", lambda _, at_once=at_once: at_once)
        data = open_material(study, tmp_path / name, CPU)
        assert data.cache is not None
        folder = data.cache.folders[0]
        arrays = [path.read_bytes() for path in sorted(folder.glob("*.npy"))]
        found.append((len(read_journal(folder / "journal")[0]), arrays))
    (often, plain), (seldom, gathered) = found
    assert often > seldom == 1
    assert plain == gathered


def test_a_cache_of_before_strength_zero_was_left_out_is_not_read() -> None:
    def format_of(**options: Any) -> int:
        return feature_cache._format(AugmentationSection(**{"cached_views": 2, **options}))

    assert format_of() == 1  # what was jittered then and now is the same
    assert format_of(stain_strength=0.0) == format_of(colour_strength=0.0) == 2
    assert format_of(colour_strength=0.0, hue_strength=0.1) == 1
    assert format_of(stain_strength=0.0, cached_views=1) == 1
