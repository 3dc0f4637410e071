"""Worlds that the calibration does not share: they are what they say, and a rate is judged as it should be.

`python -m benchmarks.held_back` prints what is said in them; here each is drawn, and a few are judged.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import special

import imbalance_bench as ib
from benchmarks.held_back import classes, scores
from benchmarks.held_back.__main__ import all_worlds, counted, section
from benchmarks.held_back.claim import Claim, World
from benchmarks.page_section import section_of, with_section

WORLDS = {world.name: world for world in all_worlds()}


def test_every_world_of_the_table_is_there_and_more():
    names = " | ".join(WORLDS)
    for told in (
        *("same 5 names in 5", "same 5 names in 3", "a log-prior start decays", "only difficulty acts"),
        *("only frequency acts, correlation 0.98", "families of 6", "nothing reproducible", "10 x the scale"),
        *("lognormal scale", "6 times the spread", "t(2.5)", "tied to their size"),
    ):
        assert told in names
    assert sum(world.own for world in WORLDS.values()) >= 3
    assert len(WORLDS) == len(all_worlds())


@pytest.mark.parametrize("name", WORLDS)
def test_each_world_is_judged_without_a_warning(name):
    found = WORLDS[name].judged(np.random.default_rng(3), 1)
    assert all(claim.said(found) in (True, False) for claim in WORLDS[name].claims)


@pytest.mark.parametrize(
    ("hits", "claim", "outcome"),
    [
        (5, {"most": 0.06}, "holds"),
        (8, {"most": 0.06}, "within chance"),
        (20, {"most": 0.06}, "FAILS"),
        (96, {"least": 0.92}, "holds"),
        (90, {"least": 0.92}, "within chance"),
        (80, {"least": 0.92}, "FAILS"),
        (80, {}, "shown"),
    ],
)
def test_a_rate_fails_where_it_is_beyond_its_limit_for_certain(hits, claim, outcome):
    assert Claim("c", bool, **claim).outcome(hits, 100) == outcome


def test_names_are_shared_and_effects_are_the_names():
    drawn = classes.recurring(4, np.random.default_rng(0))
    assert {part.names[0] for part, _ in drawn} == {"tumour"}
    rng = np.random.default_rng(1)
    pairs = np.concatenate([[part.rarity for part, _ in classes.recurring(2, rng)] for _ in range(300)], axis=1)
    assert np.corrcoef(pairs)[0, 1] == pytest.approx(1 / 1.16, abs=0.05)


def test_measures_have_the_reliability_that_is_asked_for():
    (part, _), *_ = classes.followed((20_000,), "difficulty", 0.7, 0.6, np.random.default_rng(0))
    bent = part.measures(np.random.default_rng(1)).query("measure == 'nearest_rival_overlap'")["value"]
    seen = special.ndtri(bent.to_numpy())
    assert np.corrcoef(seen, part.hardness[:, 2])[0, 1] ** 2 == pytest.approx(0.6, abs=0.02)
    assert np.corrcoef(part.rarity, part.hardness[:, 0])[0, 1] == pytest.approx(0.7, abs=0.02)


def test_differences_are_null_and_spread_as_they_say():
    rng = np.random.default_rng(0)
    for name, spread in scores.SPREADS.items():
        drawn = spread(200_000, rng)
        assert abs(np.median(drawn)) < 0.02, name
        assert abs(np.mean(drawn > 0) - 0.5) < 0.01, name


def test_what_is_found_where_something_is():
    """The claims can be true: strong effects are named."""
    draw = classes.followed((12, 12), "frequency", 0.0, 1.0, np.random.default_rng(2))
    quantities = pd.concat([part.quantities(runs) for part, runs in draw])
    measures = pd.concat([part.measures(np.random.default_rng(3)) for part, _ in draw])
    assert classes.any_headline(ib.explain(quantities, measures, {"permutations": 499, "resamples": 2}))
    table = scores.of_spread("Student's t(2.5)", 14, 1, np.random.default_rng(0))
    table.loc[table["method"] == "m1", "value"] += 100
    assert scores.decided(False, ib.compare(table))


def test_rows_are_counted_alike_and_the_section_is_replaced():
    world = World("w", lambda rng, _seed: rng.random(), (Claim("below a half", lambda u: u < 0.5, most=0.9),))
    assert counted(world, 50, 0) == counted(world, 50, 0) != counted(world, 50, 1)
    text = section(counted(world, 50, 0), "python -m x")
    page = with_section("# Page\n\n## A\n\na\n", "Independent generators", text)
    again = with_section(page + "\n## B\n\nb\n", "Independent generators", text.replace("python -m x", "python -m y"))
    assert section_of(again, "Independent generators").count("python -m y") == 1
    assert "python -m x" not in again
    assert again.index("## A") < again.index("## Independent") < again.index("## B")
    assert with_section("# Page\n", "Independent generators", "") == "# Page\n"
