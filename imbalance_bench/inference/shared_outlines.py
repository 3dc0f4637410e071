"""Outlines of a mask of any size: traced block by block, and put together where areas reach over several blocks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from imbalance_bench.inference.ids_file import IdsFile
from imbalance_bench.inference.outline_runs import Place
from imbalance_bench.inference.outlines import Area, Chain, closed, connected, trace_block

BLOCK_PX = 2048
_Block = tuple[int, int]  # row and column of a block


def trace_in_blocks(
    ids: IdsFile,
    scratch: Path,
    *,
    block_px: int = BLOCK_PX,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[Area]:
    """Trace every area of a mask as `trace_areas` does, in another order.

    Memory: some blocks, one number for each pixel of their borders and each piece of a shared outline, and one shared
    area at a time; the vertices of shared outlines wait in a file.

    Args:
        ids: H x W.
        scratch: A folder for that file.
        block_px: Edge of the blocks.
        on_progress: Called with blocks done and blocks in all, each of which is read twice.

    Yields:
        The areas that lie in one block, block by block, then the others in the order of the blocks they begin in.
    """
    grid = _Grid(ids, block_px)
    blocks = [(row, column) for row in range(grid.rows) for column in range(grid.columns)]
    borders = _Borders(grid)
    for n_done, block in enumerate(blocks, 1):
        borders.add(block)
        on_progress(n_done, 2 * len(blocks))
    borders.join()
    with _Pieces(scratch / "outlines") as pieces:
        for n_done, block in enumerate(blocks, 1):
            mask, labels = borders.labels(block)
            areas, chains = trace_block(mask, labels, grid.place(block), borders.n_shared)
            pieces.add(chains)
            yield from areas
            on_progress(len(blocks) + n_done, 2 * len(blocks))
        yield from pieces.areas(borders.classes)


@dataclass(frozen=True)
class _Grid:
    """The blocks of a mask."""

    ids: IdsFile
    block_px: int

    @property
    def rows(self) -> int:
        return -(-self.ids.height_px // self.block_px)

    @property
    def columns(self) -> int:
        return -(-self.ids.width_px // self.block_px)

    def place(self, block: _Block) -> Place:
        return Place(block[0] * self.block_px, block[1] * self.block_px, self.ids.height_px, self.ids.width_px)

    def read(self, block: _Block) -> np.ndarray:
        place = self.place(block)
        height = min(self.block_px, self.ids.height_px - place.top)
        return self.ids.read(place.top, place.left, height, min(self.block_px, self.ids.width_px - place.left))

    def has(self, block: _Block) -> bool:
        return 0 <= block[0] < self.rows and 0 <= block[1] < self.columns


_SIDES = {(-1, 0): np.s_[0, :], (1, 0): np.s_[-1, :], (0, -1): np.s_[:, 0], (0, 1): np.s_[:, -1]}  # seen from a block


class _Borders:
    """Areas at the borders between blocks, numbered through the whole mask."""

    def __init__(self, grid: _Grid) -> None:
        self._grid = grid
        self._names: dict[_Block, tuple[np.ndarray, int]] = {}  # labels at its borders, number of the first of them
        self._sides: dict[_Block, dict[_Block, np.ndarray]] = {}  # block -> side -> numbers of the areas there
        self._class_parts: list[np.ndarray] = []
        self._count = 1  # 0 is no area
        self._shared = np.zeros(1, dtype=np.int64)  # number -> number of the whole area, from 1
        self.classes = np.zeros(1, dtype=np.uint8)
        self.n_shared = 0

    def add(self, block: _Block) -> None:
        """Number the areas of a block that touch its neighbours."""
        mask = self._grid.read(block)
        labels = connected(mask)
        inner = {s: w for s, w in _SIDES.items() if self._grid.has((block[0] + s[0], block[1] + s[1]))}
        touching = np.concatenate([np.zeros(1, labels.dtype), *(labels[where] for where in inner.values())])
        classes = np.concatenate([np.zeros(1, mask.dtype), *(mask[where] for where in inner.values())])
        names, first = np.unique(touching, return_index=True)
        names, first = names[1:], first[1:]
        self._names[block] = names, self._count
        self._class_parts.append(classes[first])
        numbers = np.zeros(int(labels.max()) + 1, dtype=np.int32)
        numbers[names] = np.arange(self._count, self._count + len(names))
        self._sides[block] = {side: numbers[labels[where]] for side, where in inner.items()}
        self._count += len(names)

    def join(self) -> None:
        """Find out which of them are one area."""
        classes = np.concatenate([np.zeros(1, np.uint8), *self._class_parts])
        pairs = []
        for (row, column), sides in self._sides.items():
            for step in ((1, 0), (0, 1)):
                if step in sides:
                    other = self._sides[row + step[0], column + step[1]][-step[0], -step[1]]
                    pairs.append(np.stack([sides[step], other]))
        first, second = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int32)
        same = (first > 0) & (second > 0) & (classes[first] == classes[second])
        links = coo_matrix((np.ones(same.sum(), bool), (first[same], second[same])), shape=(self._count, self._count))
        n_components, components = connected_components(links, directed=False)
        self._shared = np.asarray(components, dtype=np.int64)  # number 0 is linked to nothing and comes first
        self.n_shared = n_components - 1
        self.classes = np.zeros(n_components, dtype=np.uint8)
        self.classes[self._shared] = classes

    def labels(self, block: _Block) -> tuple[np.ndarray, np.ndarray]:
        """Return a block's class ids, and its labels within one pixel of what surrounds it; shared ones come first."""
        mask = self._grid.read(block)
        own = connected(mask)
        names, first = self._names[block]
        lookup = np.arange(int(own.max()) + 1, dtype=np.int64) + self.n_shared
        lookup[0] = 0
        lookup[names] = self._shared[first : first + len(names)]
        labels = np.pad(lookup[own], 1)
        for down, right in _SIDES:
            side = self._sides.get((block[0] + down, block[1] + right), {}).get((-down, -right))
            if side is not None:
                padding = (_padding(down), np.s_[1:-1]) if down else (np.s_[1:-1], _padding(right))
                labels[padding] = self._shared[side]
        for down in (-1, 1):
            for right in (-1, 1):
                side = self._sides.get((block[0] + down, block[1] + right), {}).get((-down, 0))
                if side is not None:
                    labels[_padding(down), _padding(right)] = self._shared[side[0 if right > 0 else -1]]
        return mask, labels


def _padding(step: int) -> int:
    """Return the row or column of the padding on that side."""
    return 0 if step < 0 else -1


@dataclass
class _Pieces:
    """Pieces of shared outlines; vertices lie in a file, (n, 2) int32 one after the other. A context manager."""

    path: Path
    _facts: list[np.ndarray] = field(default_factory=list)  # per block (n, 4): owner, start, following, vertices
    _areas: list[np.ndarray] = field(default_factory=list)

    def __enter__(self) -> "_Pieces":
        self._file = self.path.open("w+b")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def add(self, chains: Sequence[Chain]) -> None:
        """Put the pieces of one block aside."""
        if not chains:
            return
        facts = [(chain.owner, chain.start, chain.following, len(chain.vertices)) for chain in chains]
        self._facts.append(np.array(facts, dtype=np.int64))
        self._areas.append(np.array([chain.doubled_area for chain in chains]))
        self._file.write(np.concatenate([chain.vertices for chain in chains]).astype(np.int32).tobytes())

    def areas(self, classes: np.ndarray) -> Iterator[Area]:
        """Put the pieces together and yield the areas that they outline, one at a time."""
        if not self._facts:
            return
        owners, starts, following, lengths = np.concatenate(self._facts).T
        offsets = np.cumsum(lengths) - lengths
        rings = _cycles(starts, following)
        parts = np.concatenate(self._areas)
        outer = np.array([parts[ring].sum() > 0 for ring in rings])
        by_owner = owners[[ring[0] for ring in rings]]
        order = np.argsort(by_owner, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(by_owner[order])) + 1):
            (exterior,) = (self._ring(rings[k], offsets, lengths) for k in group[outer[group]])
            holes = [self._ring(rings[k], offsets, lengths) for k in group[~outer[group]]]
            holes.sort(key=lambda ring: (ring[0, 1], ring[0, 0]))
            yield Area(int(classes[by_owner[group[0]]]), exterior, tuple(holes))

    def _ring(self, pieces: np.ndarray, offsets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read a ring, without the vertices at which its pieces only go on, from its topmost, leftmost step east."""
        parts = []
        for piece in pieces:
            self._file.seek(int(offsets[piece]) * 8)
            parts.append(np.frombuffer(self._file.read(int(lengths[piece]) * 8), np.int32).reshape(-1, 2))
        vertices = np.concatenate(parts).astype(np.int64)
        ahead, behind = np.roll(vertices, -1, 0) - vertices, vertices - np.roll(vertices, 1, 0)
        corners = (ahead * behind).sum(1) == 0
        vertices, ahead = vertices[corners], ahead[corners]
        east = np.flatnonzero(ahead[:, 0] > 0)
        first = east[np.lexsort((vertices[east, 0], vertices[east, 1]))[0]]
        return closed(np.roll(vertices, -first, 0))


def _cycles(starts: np.ndarray, following: np.ndarray) -> list[np.ndarray]:
    """Return the pieces of each ring in the order of walking."""
    order = np.argsort(starts)
    successor = order[np.searchsorted(starts[order], following)].tolist()
    seen = bytearray(len(successor))
    rings = []
    for start in range(len(successor)):
        if seen[start]:
            continue
        ring, piece = [], start
        while not seen[piece]:
            seen[piece] = 1
            ring.append(piece)
            piece = successor[piece]
        rings.append(np.array(ring))
    return rings
