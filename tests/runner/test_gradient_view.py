"""The gradient view: what it says of methods whose gradient is known, and its file and terminal forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from analysis.plots.gradients import draw_gradients, factor_text
from imbalance_bench.cli.main import main
from imbalance_bench.gradient_view import CLASSES, class_gradients, fixed_batch, gradient_table
from methods import REGISTRY

CHOSEN = ("cross_entropy", "inverse_frequency", "focal", "cdb", "dfa")


@pytest.fixture(scope="module")
def gradients() -> pd.DataFrame:
    return gradient_table({name: REGISTRY[name] for name in CHOSEN})


def test_the_base_is_the_unit_and_methods_without_a_loss_are_left_out(gradients: pd.DataFrame):
    assert list(gradients["method"].unique()) == list(CHOSEN[:-1])
    base = gradients[gradients["method"] == "cross_entropy"]
    assert base["relative_share"].to_numpy() == pytest.approx(np.ones(len(CLASSES)))
    assert base["relative_total"].to_numpy() == pytest.approx(np.ones(len(CLASSES)))
    assert gradients.groupby("method")["share"].sum().to_numpy() == pytest.approx(np.ones(4))


def test_rarity_and_difficulty_look_different(gradients: pd.DataFrame):
    factor = gradients.set_index(["method", "class"])["relative_share"]
    for kind in ("easy", "hard"):
        assert factor["inverse_frequency", f"rare, {kind}"] > 2 > 1 > factor["inverse_frequency", f"common, {kind}"]
    for share in ("common", "less common", "rare"):
        for method in ("focal", "cdb"):
            assert factor[method, f"{share}, hard"] > factor[method, f"{share}, easy"]


def test_the_batch_is_what_it_says():
    batch = fixed_batch()
    shares = [(batch.target == c).double().mean().item() for c in range(len(CLASSES))]
    assert shares == pytest.approx([viewed.share for viewed in CLASSES], abs=2e-3)
    dice = batch.feedback.dice
    assert (dice[0::2] > dice[1::2] + 0.1).all()
    assert (fixed_batch().logits == batch.logits).all()


def test_gradients_are_summed_over_the_pixels_of_each_class():
    batch = fixed_batch()
    probability = batch.logits.double().softmax(1)
    truth = torch.nn.functional.one_hot(batch.target, len(CLASSES)).movedim(-1, 1)
    norm = (probability - truth).norm(dim=1) / truth[:, 0].numel()  # of cross-entropy averaged over the pixels
    expected = [norm[batch.target == c].sum().item() for c in range(len(CLASSES))]
    config = REGISTRY["label_marginal_l1"].model_validate({"weight": 0.0})  # cross-entropy alone
    assert class_gradients(config, batch) == pytest.approx(np.array(expected), rel=1e-5)


def test_the_figure_holds_every_number(gradients: pd.DataFrame):
    figure = draw_gradients(gradients)
    written = [text.get_text() for text in figure.axes[0].texts]
    for value in gradients["relative_share"]:
        assert factor_text(value) in written
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(CHOSEN[:-1])


def test_the_command_prints_the_table_and_writes_files(tmp_path: Path):
    out = tmp_path / "gradients.csv"
    done = CliRunner().invoke(main, ["methods", "focal", "--gradients", "--out", str(out)], terminal_width=200)
    assert done.exit_code == 0, done.output
    assert "focal" in done.output
    assert set(pd.read_csv(out)["method"]) == {"cross_entropy", "focal"}
    for words, message in (
        (["dfa", "--gradients"], "leaves the loss alone"),
        (["focal", "--gradients", "--out", "x.txt"], "Change the suffix"),
        (["--out", "x.csv"], "--out goes with --gradients"),
    ):
        refused = CliRunner().invoke(main, ["methods", *words])
        assert refused.exit_code == 2
        assert message in refused.output
