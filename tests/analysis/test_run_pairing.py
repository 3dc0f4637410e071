"""Runs that were not trained under identical conditions are not compared."""

from typing import Any

import pandas as pd
import pytest

from analysis.study.pairing import require_pairs
from analysis.study.runs import RunData
from imbalance_bench.errors import UserError


def run(name: str, *, seed=0, fold=0, architecture="class_query", images=("a", "b"), own_sampler=False, **digests: Any):
    held = {"initial_weights": "w" * 64, "batches": "b" * 64, "splits": "s" * 64, "data": "d" * 64} | digests
    pairing = {key: held[key] for key in ("initial_weights", "batches")} | {"own_sampler": own_sampler}
    manifest = {"pairing": pairing, "hashes": {key: held[key] for key in ("splits", "data")}}
    counts = pd.DataFrame({"image_id": images, "split": "test"})
    return RunData(f"id_{name}", name, name, architecture, fold, seed, manifest, counts, pd.DataFrame())


@pytest.mark.parametrize(
    ("digest", "named"),
    [
        ("initial_weights", "digest of initial weights"),
        ("batches", "digest of batches"),
        ("splits", "digest of splits"),
        ("data", "digest of data"),
    ],
)
def test_refuses_and_names_both_runs_and_the_digest(digest, named):
    changed: dict[str, Any] = {digest: "f" * 64}
    with pytest.raises(UserError, match=named) as caught:
        require_pairs([run("ce"), run("focal"), run("dfa", **changed)], "test")
    message = str(caught.value)
    assert "id_ce" in message
    assert "id_dfa" in message
    assert "ffffffffffff" in message
    assert "\n" not in message
    assert caught.value.exit_code == 1


def test_refuses_a_missing_digest_and_other_images():
    with pytest.raises(UserError, match="initial weights"):
        require_pairs([run("ce", initial_weights=None), run("dfa", initial_weights=None)], "test")
    with pytest.raises(UserError, match="test images"):
        require_pairs([run("ce"), run("dfa", images=("a", "c"))], "test")


def test_accepts_what_may_differ():
    require_pairs([run("ce"), run("dfa")], "test")
    require_pairs([run("ce"), run("dfa", seed=1, initial_weights="x", batches="y")], "test")
    require_pairs([run("ce"), run("dfa", fold=1, splits="x", initial_weights="x", images=("z",))], "test")
    require_pairs([run("ce"), run("dfa", architecture="unet", initial_weights="x")], "test")


def test_a_method_with_its_own_sampler_may_have_other_batches_only():
    sampler = run("crt", batches="c" * 64, own_sampler=True)
    require_pairs([sampler, run("ce"), run("dfa")], "test")
    with pytest.raises(UserError, match="initial weights"):
        require_pairs([run("ce"), run("crt", initial_weights="x", own_sampler=True)], "test")
    with pytest.raises(UserError, match="batches"):
        require_pairs([sampler, run("ce"), run("dfa", batches="c" * 64)], "test")


def test_seeds_of_a_model_on_encoders_that_were_resolved_differently_are_not_averaged():
    runs = [run("ce"), run("ce2", seed=1, initial_weights="x")]
    for each, mean in zip(runs, (0.5, 0.25), strict=True):
        each.manifest["encoders"] = [{"name": "resnet18", "mean": [mean] * 3}]
    with pytest.raises(UserError, match="their encoders differ"):
        require_pairs(runs, "test")
    del runs[1].manifest["encoders"]  # an older record does not say
    require_pairs(runs, "test")
