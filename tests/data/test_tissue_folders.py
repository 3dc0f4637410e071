"""The two folders that other tests use are what they claim to be, and go through the converter `folder`."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from skimage.measure import label

from imbalance_bench.cli.main import main
from imbalance_bench.data.integrity import check_folder
from tests.data.tissue_folders import SKIN, TissueFolder, write_layered_skin, write_prostate_like


def prepare_by_command(folder: TissueFolder, dest: Path) -> str:
    words = ["data", "prepare", "folder", str(folder.source), str(dest), "--config", str(folder.layout)]
    result = CliRunner().invoke(main, [*words, "--workers", "1"])
    assert result.exit_code == 0, result.output
    return result.output


def test_prostate_like_folder_is_prepared_and_checked(tmp_path: Path) -> None:
    output = prepare_by_command(write_prostate_like(tmp_path / "source"), tmp_path / "out")
    assert "5 images, groups unknown" in output
    assert "nearest colours: 5.2 % of the pixels, in 5 of 5 masks" in output
    dataset, report = check_folder(tmp_path / "out")
    assert report.sound, report.problems
    assert report.remarks == ()
    assert dataset.info.mpp_um is None
    assert [each.colour for each in dataset.info.classes] == ["#00ff00", "#ff0000", "#0000ff", "#ffffff"]
    assert (report.pixels > 0).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_layered_skin_is_prepared_and_no_layer_is_whole(grouped: bool, tmp_path: Path) -> None:
    folder = write_layered_skin(tmp_path / "source", grouped=grouped)
    output = prepare_by_command(folder, tmp_path / "out")
    assert ("26 images, 1 groups" if grouped else "26 images, groups unknown") in output
    dataset, report = check_folder(tmp_path / "out")
    assert report.sound, report.problems
    assert len(dataset.entries) == 26
    for name, truth in folder.truth.items():
        mask = dataset.read_mask(name)
        np.testing.assert_array_equal(mask, truth)
        for class_id in range(len(SKIN)):
            pieces = np.asarray(label(mask == class_id, connectivity=1))
            edge = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
            assert set(np.unique(pieces)) - {0} <= set(edge)
            assert (mask[:, 0] == class_id).any()
            assert (mask[:, -1] == class_id).any()
