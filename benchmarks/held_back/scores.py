"""Worlds of `ib.compare`: scores of slides whose true difference is known."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

import imbalance_bench as ib
from analysis.schema.names import MACRO
from analysis.verdicts import Topic, Word
from benchmarks.held_back.claim import Claim, World

RARE = 0.06
SIMULATED_TRUTH = 1_000_000  # slides
Spread = Callable[[int, np.random.Generator], np.ndarray]

SPREADS: dict[str, Spread] = {  # differences of slides, all with mean 0
    "symmetric, lognormal scale": lambda n, rng: rng.choice([-1, 1], n) * rng.lognormal(0, 1, n) * rng.gamma(2, 1, n),
    "half of the slides with 6 times the spread": lambda n, rng: rng.normal(size=n) * rng.choice([1, 6], n),
    "Student's t(2.5)": lambda n, rng: rng.standard_t(2.5, n),
}


def tidy(values: np.ndarray, classes: tuple[str, ...], present: np.ndarray | None = None) -> pd.DataFrame:
    """Return (M, S, U, K) values as the table that `ib.compare` takes; NaN where the class is absent.

    Args:
        values: Of M methods, S seeds, U slides, K classes.
        classes: K names.
        present: (U, K) bool.
    """
    m, s, u, k = (index.ravel() for index in np.indices(values.shape))
    columns = {"method": [f"m{each}" for each in m], "seed": s, "group": [f"slide {each}" for each in u]}
    columns |= {"class": [classes[each] for each in k], "value": values.ravel()}
    frame = pd.DataFrame(columns)
    return frame if present is None else frame.assign(present=present[u, k])


def judged(draw: Callable[[np.random.Generator], pd.DataFrame], rng: np.random.Generator, seed: int) -> Any:
    """Draw a table and compare its methods."""
    return ib.compare(draw(rng), {"seed": seed, "permutations": 99})


def of_spread(name: str, slides: int, seeds: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two methods; slides differ between them as in SPREADS, seeds by a little."""
    base = rng.normal(size=slides)
    both = np.stack([np.tile(base, (seeds, 1)), np.tile(base + SPREADS[name](slides, rng), (seeds, 1))])
    noise = 0.2 * rng.standard_t(8, size=(2, seeds, 1)) if seeds > 1 else 0.0
    return tidy((both + noise)[..., None], ("all",))


def sized(slides: int, rng: np.random.Generator) -> pd.DataFrame:
    """One method; the larger a slide, the better its Dice, and the rare class is in 40 % of the slides."""
    above, below = sized_counts(slides, rng)
    frame = tidy(np.zeros((1, 1, slides, 2)), ("common", "rare")).drop(columns="value")
    return frame.assign(numerator=above.ravel(), denominator=below.ravel())


def sized_counts(slides: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return numerators and denominators of Dice, (slides, 2); SD of log area 1.5."""
    log_area = 1.5 * rng.normal(size=slides)
    quality = 1 / (1 + np.exp(-(np.array([1.2, 0.0]) + 0.5 * log_area[:, None] + 0.4 * rng.normal(size=(slides, 2)))))
    area = np.exp(9 + log_area)[:, None] * np.array([1.0, 0.1]) * rng.lognormal(0, 0.3, (slides, 2))
    area[:, 1] *= rng.random(slides) < 0.4
    area[0, 1] = max(area[0, 1], 1.0)
    return quality * area, area


def exchangeable_ceiling(slides: int, rng: np.random.Generator) -> pd.DataFrame:
    """Four equal methods near the ceiling: Dice to two digits, many slides tied at 1, a few that fail altogether."""
    hard = rng.beta(0.7, 12, size=slides)
    dice = 1 - np.clip(hard + rng.exponential(0.01, size=(4, 3, slides)), 0, 1)
    dice = np.where(rng.random((4, 1, slides)) < 0.02, 0.0, dice)
    return tidy(np.round(dice, 2)[..., None], ("all",))


def unequal_ceiling(slides: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two methods of mean .95: one nearly always there, the other mostly better and sometimes much worse."""
    steady = 0.95 + 0.01 * rng.normal(size=slides)
    fails = 1 - rng.beta(0.5, 9.5, size=slides)
    return tidy(np.stack([steady, fails])[:, None, :, None], ("all",))


def patchy(slides: int, rng: np.random.Generator) -> pd.DataFrame:
    """Four equal methods, five classes of which most slides lack most; absent where it is present costs everything."""
    present = rng.random((slides, 5)) < np.array([1.0, 0.8, 0.5, 0.25, 0.15])
    present[0] = True
    level = special.logit(np.array([0.9, 0.8, 0.7, 0.5, 0.4]))
    slide = rng.normal(size=(slides, 5))
    dice = special.expit(level + slide + 0.6 * rng.normal(size=(4, 3, slides, 5)) + 0.1 * rng.normal(size=(4, 3, 1, 5)))
    dice = np.where(rng.random(dice.shape) < np.array([0, 0, 0.05, 0.15, 0.3]), 0.0, dice)
    return tidy(np.where(present, dice, np.nan), ("a", "b", "c", "d", "e"), present)


def scanners(slides: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two equal methods; a seed suits the slides of one scanner and not those of the other."""
    of_scanner = rng.integers(0, 2, size=slides)
    suits = rng.normal(size=(2, 3, 2))[..., of_scanner]
    return tidy((rng.normal(size=slides) + 0.5 * suits + 0.5 * rng.normal(size=(2, 3, slides)))[..., None], ("all",))


def one_giant(slides: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two equal methods, counts; one slide holds four fifths of all pixels and is unlike the others."""
    area = np.r_[4.0 * slides, rng.lognormal(0, 0.3, slides - 1)]
    quality = special.expit(1.0 + np.r_[1.5, 0.5 * rng.normal(size=slides - 1)] + 0.3 * rng.normal(size=(2, 3, slides)))
    frame = tidy(quality[..., None], ("all",)).drop(columns="value")
    return frame.assign(numerator=(quality * area).ravel(), denominator=np.broadcast_to(area, quality.shape).ravel())


def siblings(slides: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two equal methods; four slides of each patient resemble one another, and the table does not say so."""
    patient = np.repeat(rng.normal(size=(2, 1, -(-slides // 4))), 4, axis=2)[..., :slides]
    return tidy((patient + 0.5 * rng.normal(size=(2, 3, slides)))[..., None], ("all",))


def decided(classes: bool, found: Any) -> bool:
    """Say whether any method is called better or worse, on macro or on any class; each is a family of its own."""
    return any(
        each.topic == Topic.COMPARISON
        and each.word in (Word.BETTER, Word.WORSE)
        and (each.class_name != MACRO) == classes
        for each in found.verdicts
    )


def _holds_zero(found: Any) -> bool:
    row = found.tables["comparisons"].query("`class` == @MACRO").iloc[0]
    return bool(row["low"] <= 0 <= row["high"])


def _holds(name: str, truth: float, or_said: bool, found: Any) -> bool:
    scores = found.tables["scores"]
    row = scores[(scores["aggregation"] == "pooled") & (scores["class"] == name)].iloc[0]
    said = or_said and any(each.topic == Topic.DATA for each in found.verdicts)
    return said or not (row["low"] > truth or row["high"] < truth)


DECIDED = Claim("any method better or worse", partial(decided, False), most=RARE)
OF_CLASSES = Claim("any method better or worse on any class", partial(decided, True), most=RARE)


def worlds() -> Iterator[World]:
    """Yield every world of comparisons."""
    for name, least in zip(SPREADS, (0.93, 0.92, 0.92), strict=True):
        for slides in (14, 40):
            for seeds in (1, 3):
                yield World(
                    f"{slides} slides, {seeds} seed{'s' * (seeds > 1)}, {name}",
                    partial(judged, partial(of_spread, name, slides, seeds)),
                    (Claim("the interval holds the truth", _holds_zero, least=least),),
                )
    above, below = sized_counts(SIMULATED_TRUTH, np.random.default_rng(0))
    rare = float(above[:, 1].sum() / below[:, 1].sum())
    both = (float(above[:, 0].sum() / below[:, 0].sum()) + rare) / 2
    for slides in (14, 40):
        claims = tuple(
            Claim(f"{name}: {what}", partial(_holds, name, truth, or_said), least=least)
            for name, truth in (("macro", both), ("rare", rare))
            for what, or_said, least in (
                ("the interval holds it", False, None),
                ("it does, or a verdict names the slides", True, 0.92),
            )
        )
        yield World(f"{slides} slides, pooled Dice tied to their size", partial(judged, partial(sized, slides)), claims)
    yield from _own()


def _own() -> Iterator[World]:
    for slides in (14, 40):
        for title, draw in (
            ("4 equal methods at the ceiling, ties, failures", exchangeable_ceiling),
            ("4 equal methods, 5 classes that most slides lack", patchy),
            ("seeds suit one of two scanners", scanners),
            ("one slide holds four fifths of all pixels", one_giant),
        ):
            claims = (DECIDED, OF_CLASSES) if draw is patchy else (DECIDED,)
            yield World(f"{slides} slides, {title}", partial(judged, partial(draw, slides)), claims, own=True)
        for title, draw in (
            ("equal means, one method fails now and then", unequal_ceiling),
            ("four slides of a patient, not said", siblings),
        ):
            shown = (Claim(DECIDED.name, DECIDED.said),)
            yield World(f"{slides} slides, {title}", partial(judged, partial(draw, slides)), shown, own=True)
