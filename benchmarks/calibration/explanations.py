"""Checks of `explain` as a whole, in the worlds that its tests must survive: what it says there is wrong."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from analysis.explain import Explained, explain
from analysis.verdicts import Topic, Verdict, Word
from benchmarks.calibration.check import Check
from benchmarks.calibration.worlds import World, draw

STUDIES = 600  # a rate of 5 % is then known to +-.9 points
_PLAN = {"permutations": 499, "resamples": 2}
_FREQUENCY, _DIFFICULTY = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)
_DECAY: dict[str, Any] = {"start": 1.0, "kept": 0.4, "class_noise": 0.1, "seed_noise": 0.1}
Claim = Callable[[Explained], bool]


def checks() -> Iterator[Check]:
    """Yield every check of explanations."""
    names: dict[str, Any] = {"same_names": True, "name_share": 0.8, "class_noise": 1.0}
    worlds = {
        "effects of 5 names in 5 data sets": World((5,) * 5, **names),
        "effects of 5 names in 3 data sets": World((5,) * 3, **names),
        "effects of 12 names in 3 data sets": World((12,) * 3, **names),
        "8, 8 and 10 names, 8 of them shared": World((8, 8, 10), **names),
        "3 families, ICC .6, given, K = 12": World((12,), families=3, family_share=0.6, class_noise=1.0),
    }
    for setting, world in worlds.items():
        yield _claim("headline supported", setting, world, headline)
        yield _claim("any association supported", setting, world, any_of(Topic.ASSOCIATION))
        yield _claim("any slope of the mixed model supported", setting, world, any_of(Topic.MIXED_MODEL))
    for k in (12, 8):
        setting, world = f"K = {k}, a log-prior start decays, nothing is learned", World((k,), **_DECAY)
        yield _claim("headline supported", setting, world, headline)
        yield _claim("any association supported", setting, world, any_of(Topic.ASSOCIATION))
        yield _claim("headline says neither inertia nor decay", setting, world, learns)
    several = World((12,), **_DECAY, starts=("prior", "cold", "inverted"))
    yield _claim("headline supported", "K = 12, three starts decay, nothing is learned", several, headline)
    for sizes in ((12,), (10, 10), (5, 5, 6)):
        world = World(sizes, slopes=_DIFFICULTY, correlation=0.7, reliability=0.6)
        setting = f"K = {' + '.join(map(str, sizes))}, only difficulty acts, correlation .7, its reliability .6"
        yield _claim("headline names frequency", setting, world, says("frequency"), 0.08)
    for correlation in (0.6, 0.8, 0.98):
        world = World((10, 10), slopes=_FREQUENCY, correlation=correlation)
        setting = f"K = 10 + 10, only frequency acts, measures correlate {correlation:g}"
        yield _claim("headline names difficulty", setting, world, says("difficulty"))
        if correlation > 0.9:
            yield _claim("headline says something else than not separable", setting, world, separates)
    for k in (6, 12):
        world = World((k,), class_noise=0.0, fold_noise=1.0, folds=5, seeds=3)
        yield _claim(
            "reliable over training sets", f"K = {k}, 5 folds x 3 seeds, nothing reproducible", world, reliable
        )
    pooled = World((5, 5, 5), class_noise=1.0, noisy=(1, 2), scales=(10.0, 1.0, 1.0), seed_noise=0.3, seeds=3)
    yield _shown(
        "reliable over all data sets", "K = 5 + 5 + 5, two of noise, the third of 10 times the scale", pooled, reliable
    )
    unknown = World((12,), families=3, family_share=0.6, class_noise=1.0, families_given=False)
    setting = "3 families, ICC .6, not given, K = 12"
    yield _shown("any association supported", setting, unknown, any_of(Topic.ASSOCIATION))


def headline(explained: Explained) -> bool:
    """Say whether the headline claims that something is followed."""
    return _headline(explained).word == Word.SUPPORTED


def separates(explained: Explained) -> bool:
    """Say whether the headline does not find that rare and hard cannot be told apart."""
    return _headline(explained).word != Word.NOT_SEPARABLE


def learns(explained: Explained) -> bool:
    """Say whether the headline does not name the start."""
    return _headline(explained).word not in (Word.INERTIA, Word.DECAY)


def says(name: str) -> Claim:
    """Return whether the headline names what is followed."""
    return lambda explained: name in _headline(explained).numbers["follows"].split("+")


def any_of(topic: Topic) -> Claim:
    """Return whether any verdict on a topic is supported."""
    return lambda explained: any(
        verdict.topic == topic and verdict.word == Word.SUPPORTED for verdict in explained.verdicts
    )


def reliable(explained: Explained) -> bool:
    """Say whether runs are said to agree, over what decides about correlations."""
    return any(
        verdict.topic == Topic.RELIABILITY and not verdict.aspect and verdict.word == Word.RELIABLE
        for verdict in explained.verdicts
    )


def _headline(explained: Explained) -> Verdict:
    return next(verdict for verdict in explained.verdicts if verdict.topic == Topic.EXPLANATION)


@lru_cache(maxsize=STUDIES)  # claims on one world look at the same studies
def _explained(world: World, seed: int) -> Explained:
    return explain(*draw(world, np.random.default_rng(seed)), _PLAN | {"seed": seed})


def _rate(world: World, claim: Claim) -> Callable[[np.random.Generator], bool]:
    return lambda rng: claim(_explained(world, int(rng.integers(2**31))))


def _claim(procedure: str, setting: str, world: World, claim: Claim, most: float = 0.05) -> Check:
    return Check(procedure, setting, "level", _rate(world, claim), expected=most, stream=setting, most=STUDIES)


def _shown(procedure: str, setting: str, world: World, claim: Claim) -> Check:
    return Check(procedure, setting, "shown", _rate(world, claim), stream=setting, most=STUDIES)
