"""Golden values of boundaries and regions, on a batch that is large enough to have some; by brute force over pixels."""

import math

import numpy as np
from oracle import complete_case

TARGET = np.array(
    [
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 1, 1],
            [0, 0, 0, 0, 0, 1, 1],
            [2, 2, 0, 0, 0, 0, 0],
            [2, 2, 0, 0, 0, 0, 2],
        ],
        [
            [0, 0, 0, 1, 1, 1, 1],
            [0, 0, 0, 1, 1, 1, 1],
            [0, 0, 0, 1, 1, 1, 1],
            [0, 0, 0, 1, 1, 0, 1],
            [0, 0, 0, 1, 1, 1, 1],
            [0, 0, 0, 1, 1, 1, 1],
        ],
    ]
)
VALID = np.ones(TARGET.shape, dtype=bool)
# pixels as near to one component of a class as to another, and some more
for unlabelled in ((0, 4, 2), (0, 2, 4), (1, 0, 5), (0, 3, 5), (1, 2, 2)):
    VALID[unlabelled] = False
LOGITS = np.random.default_rng(42).normal(0, 1.5, (2, 3, 6, 7)).round(3)
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
PIXELS = [tuple(map(int, place)) for place in np.argwhere(VALID)]
BATCH = {"logits": LOGITS.tolist(), "target": TARGET.tolist(), "valid": VALID.tolist()}
SMOOTH = 1e-5

CROSS_ENTROPY = float(np.mean([-math.log(P[b, TARGET[b, i, j], i, j]) for b, i, j in PIXELS]))


def of_image(b: int, c: int | None = None) -> list[tuple[int, int]]:
    """Labelled pixels of an image, or those of a class in it."""
    return [(i, j) for image, i, j in PIXELS if image == b and (c is None or TARGET[b, i, j] == c)]


def dice_loss() -> float:
    losses = []
    for c in range(3):
        overlap = sum(P[b, c, i, j] for b, i, j in PIXELS if TARGET[b, i, j] == c)
        size = sum(P[b, c, i, j] + (TARGET[b, i, j] == c) for b, i, j in PIXELS)
        losses.append(1 - (2 * overlap + SMOOTH) / (size + SMOOTH))
    return float(np.mean(losses))


BASE = {"cross_entropy": CROSS_ENTROPY, "dice": dice_loss()}


def large(method: str, options: dict, parts: dict, oracle: str = "numpy", **extra: object) -> dict:
    return complete_case(method, options, oracle, parts, None, tensors="large", **extra)


def cases() -> list[dict]:
    return [*_boundary(), *_contour(), *_instances(), *_rmi(), *_rankseg()]


def _boundary() -> list[dict]:
    total = 0.0
    for b, i, j in PIXELS:
        for c in range(3):
            inside, others = of_image(b, c), [q for q in of_image(b) if q not in of_image(b, c)]
            if not inside:
                continue
            if TARGET[b, i, j] == c:
                distance = 1 - min(math.dist((i, j), q) for q in others)
            else:
                distance = min(math.dist((i, j), q) for q in inside)
            total += (P[b, c, i, j] - (TARGET[b, i, j] == c)) * distance
    term = total / (3 * len(PIXELS))
    return [  # the stage has 10 steps
        large("boundary_loss", {}, BASE | {"boundary": 0.1 * 0.1 * term}),
        large("boundary_loss", {}, BASE | {"boundary": 0.1 * 0.3 * term}, "numpy; third step", steps=3),
        large("boundary_loss", {}, BASE | {"boundary": 0.1 * term}, "numpy; step 12 of 10", steps=12),
        large("boundary_loss", {"schedule": "constant", "weight": 0.5}, BASE | {"boundary": 0.5 * term}),
    ]


def _contour() -> list[dict]:
    def parts(weight: float, width: int, dice_weight: float) -> dict:
        def near(b: int, i: int, j: int) -> bool:
            return any(
                max(abs(i - r), abs(j - s)) <= width and TARGET[b, r, s] != TARGET[b, i, j] for r, s in of_image(b)
            )

        edge = {place: near(*place) for place in PIXELS}
        terms = [-math.log(P[b, TARGET[b, i, j], i, j]) for b, i, j in PIXELS]
        weighted = [(1 + weight * edge[place]) * term for place, term in zip(PIXELS, terms, strict=True)]
        dice = []
        for at_contour in (True, False):
            overlap = size = 0.0
            for b, i, j in PIXELS:
                for c in range(3):
                    own = TARGET[b, i, j] == c
                    if (own and edge[b, i, j]) == at_contour:
                        overlap += own * P[b, c, i, j]
                        size += own + P[b, c, i, j]
            dice.append(1 - (2 * overlap + 1e-3) / (size + 1e-3))
        return {
            "contour_cross_entropy": float(np.mean(weighted) + np.mean(terms)),
            "separable_dice": dice_weight * sum(dice),
        }

    return [
        large("contour_weighted", {}, parts(2.0, 1, 1.0)),
        large("contour_weighted", {"contour_weight": 5.0, "width_px": 2, "dice_weight": 0.5}, parts(5.0, 2, 0.5)),
    ]


def _components(b: int, c: int) -> list[set[tuple[int, int]]]:
    """Flood fill over all eight neighbours."""
    left, found = set(of_image(b, c)), []
    while left:
        front, member = [left.pop()], set()
        while front:
            i, j = front.pop()
            member.add((i, j))
            for q in [q for q in left if max(abs(i - q[0]), abs(j - q[1])) == 1]:
                left.remove(q)
                front.append(q)
        found.append(member)
    return found


def _instances() -> list[dict]:
    def term(*, cells: bool) -> float:
        of_class = []
        for c in range(3):
            of_images = []
            for b in range(2):
                found = _components(b, c)
                losses = []
                for member in found:
                    surroundings = []
                    for i, j in of_image(b):
                        others = [other for other in found if other is not member]
                        if cells:
                            distance = min(math.dist((i, j), q) for q in member)
                            rival = min((math.dist((i, j), q) for other in others for q in other), default=math.inf)
                            if distance == rival:
                                raise ValueError(f"{(b, i, j)} is as near to two components of class {c}.")
                            inside = distance < rival
                        else:
                            inside = not any((i, j) in other for other in others)
                        if inside:
                            surroundings.append((i, j))
                    overlap = sum(P[b, c, i, j] for i, j in member)
                    size = sum(P[b, c, i, j] for i, j in surroundings) + len(member)
                    losses.append(1 - (2 * overlap + SMOOTH) / (size + SMOOTH))
                if losses:
                    of_images.append(np.mean(losses))
            of_class.append(np.mean(of_images))
        return float(np.mean(of_class))

    return [
        large("blob_loss", {}, BASE | {"blob": 0.5 * term(cells=False)}),
        large("blob_loss", {"weight": 2.0}, BASE | {"blob": 2 * term(cells=False)}),
        large("cc_loss", {}, BASE | {"connected_components": 0.5 * term(cells=True)}),
        large("cc_loss", {"weight": 2.0}, BASE | {"connected_components": 2 * term(cells=True)}),
    ]


def _rmi() -> list[dict]:
    def pooled(values: np.ndarray, edge: int) -> np.ndarray:
        if edge == 1:
            return values
        pad = edge // 2
        padded = np.pad(values, pad, constant_values=-np.inf)
        rows, columns = ((length + 2 * pad - edge) // edge + 1 for length in values.shape)
        return np.array(
            [
                [padded[edge * i : edge * i + edge, edge * j : edge * j + edge].max() for j in range(columns)]
                for i in range(rows)
            ]
        )

    def points(values: np.ndarray, radius: int) -> np.ndarray:
        rows, columns = values.shape[0] - radius + 1, values.shape[1] - radius + 1
        found = np.array(
            [values[i : i + radius, j : j + radius].ravel() for i in range(rows) for j in range(columns)]
        ).T
        return found - found.mean(1, keepdims=True)

    def left(y: np.ndarray, p: np.ndarray) -> float:
        ridge = 5e-4 * np.eye(len(y))
        posterior = y @ y.T - (y @ p.T) @ np.linalg.inv(p @ p.T + ridge) @ (y @ p.T).T
        return 0.5 * np.linalg.slogdet(posterior + ridge)[1]

    def term(radius: int, pool: int) -> float:
        total = 0.0
        for b in range(2):
            for c in range(3):
                truth = pooled((TARGET[b] == c) * VALID[b] * 1.0, pool)
                predicted = pooled(P[b, c] * VALID[b], pool)
                y, p = points(truth, radius), points(predicted, radius)
                total += (left(y, p) - left(y, y)) / radius**2
        return total / 2

    name, weight = "region_mutual_information", {"cross_entropy": CROSS_ENTROPY}
    return [
        large("rmi", {}, weight | {name: 0.0}, "numpy; no whole square of 3 after pooling to 2 x 3"),
        large("rmi", {"radius": 2}, weight | {name: term(2, 3)}),
        large("rmi", {"radius": 2, "pool_px": 1, "weight": 0.5}, weight | {name: 0.5 * term(2, 1)}),
        large(
            "rmi", {"pool_px": 1, "cross_entropy_weight": 0.5}, {"cross_entropy": 0.5 * CROSS_ENTROPY, name: term(3, 1)}
        ),
    ]


def _rankseg() -> list[dict]:
    def score(metric: str, found: float, expected: float, taken: int) -> float:
        return 2 * found / (expected + taken + 1) if metric == "dice" else found / (expected - found + taken)

    def decide(p: np.ndarray, metric: str, pruning: float) -> list[int]:
        """Labels of one map; p is (3, n)."""
        expected, claimed = p.sum(1), np.zeros(p.shape, dtype=bool)
        active = p.max(1) > pruning
        for c in np.flatnonzero(active):
            order = sorted(range(p.shape[1]), key=lambda i: -p[c, i])
            scores = [score(metric, p[c, order[:t]].sum(), expected[c], t) for t in range(1, len(order) + 1)]
            claimed[c, order[: int(np.argmax(scores)) + 1]] = True
        alone = claimed & (claimed.sum(0) == 1)
        labels = []
        for i in range(p.shape[1]):
            if claimed[:, i].sum() == 1:
                labels.append(int(claimed[:, i].argmax()))
                continue
            gains = []
            for c in range(3):
                found, taken = p[c, alone[c]].sum(), int(alone[c].sum())
                if metric == "dice":
                    with_it = 2 * (found + p[c, i]) / (taken + 1 + expected[c] + 1)
                    gain = with_it - 2 * found / (taken + expected[c] + 1)
                else:
                    union = taken + expected[c] - found
                    gain = (found + p[c, i]) / (union + 1 - p[c, i]) - found / union
                gains.append(gain if active[c] else -math.inf)
            labels.append(int(np.argmax(gains)) if active.any() else int(p[:, i].argmax()))
        return labels

    rows = []
    for options, metric, pruning in (
        ({}, "dice", 0.5),
        ({"metric": "iou", "pruning": 0.0}, "iou", 0.0),
        ({"pruning": 0.92}, "dice", 0.92),
        ({"pruning": 0.999}, "dice", 0.999),
    ):
        maps = [decide(p.reshape(3, -1), metric, pruning) for p in P]
        decided = np.array(maps).reshape(TARGET.shape).tolist()
        rows.append(large("rankseg", options, BASE, decided=decided))
    return rows
