"""Worlds of `ib.explain`: what runs learned of classes, where it is known what they followed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

import imbalance_bench as ib
from analysis.verdicts import Topic, Word
from benchmarks.held_back.claim import Claim, World

PLAN = {"permutations": 499, "resamples": 2}
RARE = 0.06  # most that a claim about nothing may be made
Scale = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]
SCALES: dict[str, Scale] = {  # how a measure sees what it measures, and the derivative of that
    "border_stain_overlap": (special.expit, lambda z: special.expit(z) * special.expit(-z)),
    "shape_dispersion": (lambda z: np.exp(0.4 * z), lambda z: 0.4 * np.exp(0.4 * z)),
    "nearest_rival_overlap": (special.ndtr, lambda z: np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)),
}


@dataclass(frozen=True)
class Run:
    """What one run learned: (K,) values, where it started from, and its place in the design."""

    value: np.ndarray
    seed: int
    start: np.ndarray | None = None
    fold: int = 0
    start_name: str = ""
    method: str = "dfa"
    quantity: str = "bias"


@dataclass(frozen=True)
class Classes:
    """The classes of one data set.

    Args:
        data_set: Its name.
        names: K names.
        rarity: (K,) logarithm of the share, up to a constant.
        hardness: (K, 3) true boundary ambiguity, dispersion of shape and overlap, standard units.
        error: Standard deviation of the errors of these.
        families: K families; empty: none are given.
    """

    data_set: str
    names: Sequence[str]
    rarity: np.ndarray
    hardness: np.ndarray
    error: float = 0.0
    families: Sequence[str] = ()

    def quantities(self, runs: Sequence[Run]) -> pd.DataFrame:
        """Return the rows of the first table."""
        parts = []
        for run in runs:
            told = {"data_set": self.data_set, "method": run.method, "quantity": run.quantity, "fold": run.fold}
            told |= {"seed": run.seed, "start_name": run.start_name, "class": list(self.names), "value": run.value}
            told |= {} if run.start is None else {"start": run.start}
            told |= {"family": list(self.families)} if self.families else {}
            parts.append(pd.DataFrame(told))
        return pd.concat(parts, ignore_index=True)

    def measures(self, rng: np.random.Generator) -> pd.DataFrame:
        """Return the rows of the second table, measured with errors whose size is known."""
        share = np.exp(self.rarity - special.logsumexp(self.rarity))
        rows = {"data_set": self.data_set, "class": list(self.names)}
        parts = [pd.DataFrame(rows | {"measure": "pixel_share", "value": share})]
        for column, (measure, (scale, slope)) in enumerate(SCALES.items()):
            seen = self.hardness[:, column] + self.error * rng.normal(size=len(self.names))
            said = slope(seen) * self.error if self.error else np.nan
            parts.append(pd.DataFrame(rows | {"measure": measure, "value": scale(seen), "standard_error": said}))
        return pd.concat(parts, ignore_index=True)


Drawn = tuple[Classes, Sequence[Run]]


def judged(
    draw: Callable[[np.random.Generator], Sequence[Drawn]],
    rng: np.random.Generator,
    seed: int,
    *,
    hypotheses: Sequence[str] = (),
    known: Sequence[str] = (),
) -> Any:
    """Draw a study and explain it; `known` measures alone, if any are named."""
    drawn = draw(rng)
    quantities = pd.concat([classes.quantities(runs) for classes, runs in drawn], ignore_index=True)
    measures = pd.concat([classes.measures(rng) for classes, _ in drawn], ignore_index=True)
    measures = measures[measures["measure"].isin(known)] if known else measures
    return ib.explain(quantities, measures, PLAN | {"seed": seed, "hypotheses": list(hypotheses)})


def laplace(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return Laplace deviates of variance 1."""
    return rng.laplace(scale=np.sqrt(0.5), size=shape)


def seeds_of(learned: np.ndarray, n: int, noise: float, rng: np.random.Generator, **told: Any) -> list[Run]:
    """Return runs that learned the same but for their noise."""
    return [Run(learned + noise * laplace(rng, len(learned)), seed, **told) for seed in range(n)]


def recurring(n_sets: int, rng: np.random.Generator) -> list[Drawn]:
    """Five names in every data set; what a name is like has nothing to do with what is learned of it."""
    names = ["tumour", "stroma", "necrosis", "immune", "fat"]
    rarity, hardness, learned = laplace(rng, 5), laplace(rng, 5, 3), laplace(rng, 5)
    drawn = []
    for number in range(n_sets):
        near = [each + 0.4 * laplace(rng, *each.shape) for each in (rarity, hardness, learned)]
        drawn.append((Classes(f"set {number}", names, near[0], near[1]), seeds_of(near[2], 3, 0.4, rng)))
    return drawn


def decaying(k: int, starts: Sequence[float], bend: float, rng: np.random.Generator) -> list[Drawn]:
    """A start at the logarithm of the share is partly lost, by another part in every run; nothing is learned.

    Args:
        k: Classes.
        starts: Factor on the start, one name each.
        bend: 0: what is left is a share of the start; more: large starts lose more than small ones.
        rng: Of everything.
    """
    rarity = 1.2 * laplace(rng, k)
    rarity -= rarity.mean()
    runs = []
    for factor in starts:
        for seed in range(4):
            start = factor * rarity
            left = rng.uniform(0.35, 0.55) * (np.tanh(bend * start) / bend if bend else start)
            name = {1.0: "prior", 0.0: "cold", -1.0: "inverted"}[factor] if len(starts) > 1 else ""
            runs.append(Run(left + 0.1 * laplace(rng, k), seed, start=start, start_name=name))
    return [(Classes("set", [f"c{c}" for c in range(k)], rarity, laplace(rng, k, 3)), runs)]


def followed(
    sizes: Sequence[int], what: str, correlation: float, reliability: float, rng: np.random.Generator
) -> list[Drawn]:
    """Either rarity or boundary ambiguity is followed; the two go with each other."""
    drawn = []
    for number, k in enumerate(sizes):
        rarity = rng.normal(size=k)
        hardness = laplace(rng, k, 3)
        hardness[:, 0] = correlation * rarity + np.sqrt(1 - correlation**2) * rng.normal(size=k)
        learned = (rarity if what == "frequency" else hardness[:, 0]) + 0.3 * laplace(rng, k)
        classes = Classes(
            f"set {number}", [f"{number}/{c}" for c in range(k)], rarity, hardness, np.sqrt(1 / reliability - 1)
        )
        drawn.append((classes, seeds_of(learned, 4, 0.3, rng)))
    return drawn


def related(given: bool, rng: np.random.Generator) -> list[Drawn]:
    """Twelve classes of three families of six, four and two; families share .6 of all variances."""
    family = np.repeat([0, 1, 2], [6, 4, 2])
    shared, own = rng.normal(size=(3, 5))[family], laplace(rng, 12, 5)
    effects = np.sqrt(0.6) * shared + np.sqrt(0.4) * own
    names = [f"c{c}" for c in range(12)]
    families = [f"f{each}" for each in family] if given else ()
    return [
        (Classes("set", names, effects[:, 0], effects[:, 1:4], families=families), seeds_of(effects[:, 4], 3, 0.4, rng))
    ]


def taught_by_folds(k: int, rng: np.random.Generator) -> list[Drawn]:
    """Every training set teaches something else, and all its seeds the same."""
    runs = [
        Run(taught + 0.3 * laplace(rng, k), seed, fold=fold)
        for fold, taught in enumerate(laplace(rng, 5, k))
        for seed in range(3)
    ]
    return [(Classes("set", [f"c{c}" for c in range(k)], laplace(rng, k), laplace(rng, k, 3)), runs)]


def rescaled(rng: np.random.Generator) -> list[Drawn]:
    """Three data sets: two learn nothing, and the third has ten times their scale."""
    drawn = []
    for number, scale in enumerate((1.0, 10.0, 1.0)):
        learned = scale * laplace(rng, 5) if scale > 1 else np.zeros(5)
        classes = Classes(f"set {number}", [f"{number}/{c}" for c in range(5)], laplace(rng, 5), laplace(rng, 5, 3))
        drawn.append((classes, seeds_of(learned, 3, 0.3 * scale, rng)))
    return drawn


def noisy_rare(sizes: Sequence[int], rng: np.random.Generator) -> list[Drawn]:
    """Nothing is followed, but of rare classes anything may be learned: their spread grows as share^(-1/2)."""
    drawn = []
    for number, k in enumerate(sizes):
        rarity = 1.2 * rng.normal(size=k)
        spread = np.exp(-rarity / 2)
        hardness = rng.normal(size=(k, 3)) - 0.5 * rarity[:, None]
        learned = spread * rng.normal(size=k)
        runs = [Run(learned + 0.3 * spread * rng.normal(size=k), seed) for seed in range(4)]
        drawn.append((Classes(f"set {number}", [f"{number}/{c}" for c in range(k)], rarity, hardness), runs))
    return drawn


def tied(rng: np.random.Generator) -> list[Drawn]:
    """Few distinct values: everything is rounded, so that most classes are tied with another."""
    rarity, hardness = np.round(rng.normal(size=9)), np.round(rng.normal(size=(9, 3)))
    learned = np.round(rng.normal(size=9))
    runs = [Run(np.round(learned + 0.3 * rng.normal(size=9), 0), seed) for seed in range(3)]
    return [(Classes("set", [f"c{c}" for c in range(9)], rarity, hardness), runs)]


def crowd(k: int, rng: np.random.Generator) -> list[Drawn]:
    """Four methods of two quantities each, all of which learn much the same of a class, which follows nothing."""
    shared, runs = laplace(rng, k), []
    for method in range(4):
        own = 0.8 * shared + 0.6 * laplace(rng, k)
        for quantity in ("learned", "effective_offset"):
            learned = own + 0.4 * laplace(rng, k)
            runs += seeds_of(learned, 3, 0.3, rng, method=f"dfa {method}", quantity=quantity)
    return [(Classes("set", [f"c{c}" for c in range(k)], laplace(rng, k), laplace(rng, k, 3)), runs)]


def absent(rng: np.random.Generator) -> list[Drawn]:
    """Rare classes are missing from some folds, and what is learned there is another training set's."""
    rarity = rng.normal(size=10)
    learned, runs = laplace(rng, 10), []
    for fold in range(4):
        own = learned + 0.5 * laplace(rng, 10)
        own[rng.random(10) < special.expit(-2 * rarity - 2)] = np.nan
        runs += [Run(own + 0.3 * laplace(rng, 10), seed, fold=fold) for seed in range(3)]
    return [(Classes("set", [f"c{c}" for c in range(10)], rarity, laplace(rng, 10, 3)), runs)]


def any_headline(found: Any) -> bool:
    """Say whether any headline claims that something is followed."""
    return any(each.topic == Topic.EXPLANATION and each.word == Word.SUPPORTED for each in found.verdicts)


def _any(topic: Topic, found: Any) -> bool:
    return any(each.topic == topic and each.word == Word.SUPPORTED for each in found.verdicts)


def _names(what: str, found: Any) -> bool:
    return any(
        each.topic == Topic.EXPLANATION and what in each.numbers["follows"].split("+") for each in found.verdicts
    )


def _reliable(found: Any) -> bool:
    return any(
        each.topic == Topic.RELIABILITY and not each.aspect and each.word == Word.RELIABLE for each in found.verdicts
    )


def _learns(found: Any) -> bool:
    return any(
        each.topic == Topic.EXPLANATION and each.word not in (Word.INERTIA, Word.DECAY) for each in found.verdicts
    )


def _inseparable(found: Any) -> bool:
    return any(each.topic == Topic.EXPLANATION and each.word == Word.NOT_SEPARABLE for each in found.verdicts)


HEADLINE = Claim("headline supported", any_headline, most=RARE)
ASSOCIATION = Claim("any association supported", partial(_any, Topic.ASSOCIATION), most=RARE)
SLOPE = Claim("any slope of the mixed model supported", partial(_any, Topic.MIXED_MODEL), most=RARE)
NULL = (HEADLINE, ASSOCIATION, SLOPE)


def worlds() -> Iterator[World]:
    """Yield every world of explanations."""
    for n_sets in (5, 3):
        yield World(f"the same 5 names in {n_sets} data sets", partial(judged, partial(recurring, n_sets)), NULL)
    for k in (12, 8):
        drawn = partial(decaying, k, (1.0,), 0.0)
        said = (HEADLINE, ASSOCIATION, Claim("headline is neither inertia nor decay", _learns, most=RARE))
        yield World(f"K = {k}, a log-prior start decays", partial(judged, drawn), said)
    for sizes in ((12,), (9, 11), (5, 5, 6)):
        drawn = partial(followed, sizes, "difficulty", 0.7, 0.6)
        claim = Claim("headline names frequency", partial(_names, "frequency"), most=0.08)
        yield World(
            f"K = {_listed(sizes)}, only difficulty acts, correlation .7, reliability .6",
            partial(judged, drawn),
            (claim,),
        )
    for correlation in (0.6, 0.8, 0.98):
        drawn = partial(followed, (9, 11), "frequency", correlation, 1.0)
        claims = [Claim("headline names difficulty", partial(_names, "difficulty"), most=RARE)]
        if correlation > 0.9:
            claims.append(Claim("headline is not separable", _inseparable, least=0.9))
        yield World(
            f"K = 9 + 11, only frequency acts, correlation {correlation:g}", partial(judged, drawn), tuple(claims)
        )
    yield World("families of 6, 4 and 2 classes, given", partial(judged, partial(related, True)), NULL)
    for k in (6, 12):
        claim = Claim("reliable over training sets", _reliable, most=RARE)
        yield World(
            f"K = {k}, 5 folds x 3 seeds, nothing reproducible", partial(judged, partial(taught_by_folds, k)), (claim,)
        )
    yield World("three data sets, two of noise, one of 10 x the scale", partial(judged, rescaled), (
        Claim("reliable over all data sets", _reliable), HEADLINE))  # fmt: skip
    yield from _own()


def _own() -> Iterator[World]:
    yield World(
        "K = 12, prior and cold starts, a decay that bends",
        partial(judged, partial(decaying, 12, (1.0, 0.0), 1.0)), (HEADLINE, ASSOCIATION), own=True,
    )  # fmt: skip
    yield World(
        "K = 12, prior, cold and inverted starts, a decay that bends",
        partial(judged, partial(decaying, 12, (1.0, 0.0, -1.0), 1.0)), (HEADLINE, ASSOCIATION), own=True,
    )  # fmt: skip
    for sizes in ((12,), (6, 7, 7)):
        yield World(
            f"K = {_listed(sizes)}, what is learned of rare classes is noisier",
            partial(judged, partial(noisy_rare, sizes)), NULL, own=True,
        )  # fmt: skip
    yield World("K = 9, nearly everything tied", partial(judged, tied), NULL, own=True)
    several = (HEADLINE, *(Claim(each.name, each.said) for each in (ASSOCIATION, SLOPE)))  # a family per method
    yield World(
        "K = 10, four methods of two quantities that agree", partial(judged, partial(crowd, 10)), several, own=True
    )
    hypothesis = partial(judged, partial(crowd, 8), hypotheses=("frequency",), known=("pixel_share",))
    yield World("K = 8, four methods, one primary hypothesis, frequency alone known", hypothesis, (HEADLINE,), own=True)
    known = partial(judged, partial(crowd, 12), hypotheses=("frequency",))
    yield World("K = 12, four methods, one primary hypothesis, all measures known", known, (HEADLINE,), own=True)
    yield World("K = 10, rare classes missing from some of 4 folds", partial(judged, absent), NULL, own=True)
    unknown = (Claim("headline supported", any_headline), Claim(ASSOCIATION.name, ASSOCIATION.said))
    yield World(
        "families of 6, 4 and 2 classes, not given", partial(judged, partial(related, False)), unknown, own=True
    )


def _listed(sizes: Sequence[int]) -> str:
    return " + ".join(map(str, sizes))
