"""Normals by source class and by pair of classes: their own spectra, and what their means explain.

A normal from class s towards class t and one from t towards s belong to the same pair, the second
with its sign turned, for both cross the same piece of boundary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from analysis.dimension import dimensions
from analysis.gram import BLOCK_NUMBERS, HERE, Matrix, Where, blocks, rows_of
from analysis.halves import split_in_halves
from analysis.intervals import Estimate, Interval, reach_of_halves
from analysis.spectrum import singular_spectrum
from boundary.errors import InputError

MOST_GROUPS, FEWEST_NORMALS = 20, 10
"""Groups with their own spectra, the largest ones, and the normals that one needs for that."""

_VALUES, _DIRECTIONS = 10, 3

_MOST_MEANS = 200
"""Pairs, the largest ones, whose means span what `ClassMeans.explained` is about."""


@dataclass(frozen=True, eq=False)
class Groups:
    """A partition of normals."""

    by: str
    """``all``, ``source`` or ``pair``."""
    classes: NDArray[np.int64]
    """(groups, 2): the class and -1, or the two classes of a pair, the smaller first."""
    members: NDArray[np.int64]
    """(n,), group of each normal."""
    signs: NDArray[np.float64]
    """(n,), -1 for a normal from the larger class of a pair towards the smaller, else 1."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(groups,), normals in each."""
        return np.bincount(self.members, minlength=len(self.classes))


@dataclass(frozen=True, eq=False)
class GroupSpectra:
    """The spectra of the largest groups, largest first."""

    by: str
    """``source`` or ``pair``."""
    classes: NDArray[np.int64]
    """(groups, 2), as in `Groups`."""
    counts: NDArray[np.int64]
    """(groups,), n of each."""
    energy: NDArray[np.float64]
    """(groups, 10), squared singular value over n of the leading directions; 0 where there are
    fewer."""
    participation_ratio: NDArray[np.float64]
    """(groups,)."""
    mean_cosine: NDArray[np.float64]
    """(groups,), mean product of two different normals of the group; 0 for random directions."""
    directions: NDArray[np.float64]
    """(groups, 3, D), leading right singular vectors, zero where the normals span fewer."""
    left_out: int
    """Normals of groups that are too small, or beyond the largest."""


@dataclass(frozen=True, eq=False)
class ClassMeans:
    """What the means of classes and pairs of classes explain."""

    energy: NDArray[np.float64]
    """(3,), share of the normals' energy in their mean, the means by source, and by pair: the mean
    product of two different normals of a group, without bias (0 for random directions)."""
    energy_of_halves: NDArray[np.float64]
    """(3, halves), the same in random halves."""
    explained: NDArray[np.float64]
    """(splits, R), share of the first 1, 2, ... R singular directions of one half that lies in the
    span of the pair means of the other half."""
    rank: NDArray[np.int64]
    """(splits,), dimension of that span; over D, it is the share of random directions."""
    rival: NDArray[np.float64]
    """(splits, R), the same share in as many leading singular directions of the other half."""

    @property
    def shares(self) -> tuple[Estimate, ...]:
        """Of the energy, in the mean of all, of each class and of each pair; from halves."""
        return tuple(
            Estimate(float(share), Interval(share - reach, share + reach))
            for share, reach in zip(
                self.energy, map(reach_of_halves, self.energy_of_halves), strict=True
            )
        )


def group_by_class(by: str, source: NDArray[np.int64], target: NDArray[np.int64]) -> Groups:
    """Return normals grouped by their source class, by pair, or all together.

    Args:
        by: ``all``, ``source`` or ``pair``.
        source: (n,), class of each image.
        target: (n,), class on the other side of the boundary.

    Raises:
        InputError: If the kind is none of these.
    """
    signs = np.ones(len(source))
    if by == "all":
        keys = np.full((len(source), 2), -1)
    elif by == "source":
        keys = np.stack([source, np.full_like(source, -1)], axis=1)
    elif by == "pair":
        keys = np.sort(np.stack([source, target], axis=1), axis=1)
        signs[source > target] = -1
    else:
        raise InputError(f"`by` should be all, source or pair. Found `{by}`.")
    classes, members = np.unique(keys, axis=0, return_inverse=True)
    return Groups(by, classes.astype(np.int64), members.ravel().astype(np.int64), signs)


def group_spectra(normals: Matrix, groups: Groups, where: Where = HERE) -> GroupSpectra:
    """Return the spectra of the largest groups.

    Args:
        normals: Unit rows, (n, D).
        groups: Of them.
        where: On which device, by which processes.
    """
    counts = groups.counts
    order = np.argsort(-counts, kind="stable")[:MOST_GROUPS]
    chosen = order[counts[order] >= FEWEST_NORMALS]
    energy = np.zeros((len(chosen), _VALUES))
    ratio = np.zeros(len(chosen))
    directions = np.zeros((len(chosen), _DIRECTIONS, normals.shape[1]))
    for place, group in enumerate(chosen):
        rows = rows_of(normals, np.flatnonzero(groups.members == group))
        kept = min(_DIRECTIONS, *rows.shape)
        found = singular_spectrum(rows, directions=kept, where=where)
        squares = found.singular_values**2
        energy[place, : len(squares[:_VALUES])] = squares[:_VALUES] / found.count
        ratio[place] = dimensions(found.singular_values).participation_ratio
        directions[place, : len(found.directions)] = found.directions
    return GroupSpectra(
        by=groups.by,
        classes=groups.classes[chosen],
        counts=counts[chosen],
        energy=energy,
        participation_ratio=ratio,
        mean_cosine=mean_cosines(normals, [groups], where)[0][chosen],
        directions=directions,
        left_out=int(counts.sum() - counts[chosen].sum()),
    )


def mean_cosines(
    normals: Matrix, partitions: Sequence[Groups], where: Where = HERE
) -> list[NDArray[np.float64]]:
    """Return the mean product of two different normals of each group, of several partitions.

    All are found in one pass over the normals. Of a group with fewer than two normals it is 0.

    Args:
        normals: Unit rows, (n, D).
        partitions: Of some or all rows; a row whose sign is 0 is in none.
        where: By which processes.
    """
    sums = [_summing(groups) for groups in partitions]
    together = scipy.sparse.vstack(sums, format="csr")
    squares = np.zeros(together.shape[0])
    step = max(1, BLOCK_NUMBERS // len(squares))
    for _, block in blocks(normals, by_rows=False, ranks=where.ranks):
        for start in range(0, block.shape[1], step):
            sums_here = np.asarray(together @ block[:, start : start + step])
            squares += np.einsum("ij,ij->i", sums_here, sums_here)
    where.ranks.sum_array(squares)
    counts = np.asarray(abs(together).sum(1)).ravel()
    cosines = np.where(counts > 1, squares - counts, 0) / np.maximum(counts * (counts - 1), 1)
    return np.split(cosines, np.cumsum([part.shape[0] for part in sums])[:-1])


def class_means(
    normals: Matrix,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    *,
    directions: int,
    splits: int = 4,
    seed: int = 0,
    where: Where = HERE,
) -> ClassMeans:
    """Return what the means of classes and pairs explain of the normals and of S_f.

    Args:
        normals: Unit rows, (n, D), at least 2.
        source: (n,), class of each image.
        target: (n,), class on the other side of the boundary.
        directions: R, at most half of n, and D.
        splits: How many times to split in two.
        seed: Of the splits.
        where: On which device, by which processes.
    """
    pairs = split_in_halves(normals.shape[0], splits, seed)
    levels = [group_by_class(by, source, target) for by in ("all", "source", "pair")]
    sides = [side for pair in pairs for side in pair]
    partitions = [_within(groups, side) for groups in levels for side in (None, *sides)]
    energies = [
        float((cosines * _used(groups)).sum() / max(_used(groups).sum(), 1))
        for groups, cosines in zip(
            partitions, mean_cosines(normals, partitions, where), strict=True
        )
    ]
    energy = np.reshape(energies, (len(levels), 1 + len(sides)))
    explained, rival, rank = [], [], []
    for one, other in pairs:
        span = _span_of_means(normals, _within(levels[-1], one), where)
        kept = min(max(directions, len(span)), len(one), normals.shape[1])
        leading, judged = (
            singular_spectrum(rows_of(normals, side), directions=number, where=where).directions
            for side, number in ((one, kept), (other, directions))
        )
        explained.append(_share(span, judged, directions))
        rival.append(_share(leading[: len(span)], judged, directions))
        rank.append(len(span))
    return ClassMeans(
        energy=energy[:, 0],
        energy_of_halves=energy[:, 1:],
        explained=np.stack(explained),
        rank=np.array(rank),
        rival=np.stack(rival),
    )


def _within(groups: Groups, places: NDArray[np.intp] | None) -> Groups:
    """Return the groups with the rows at some places alone."""
    if places is None:
        return groups
    inside = np.zeros(len(groups.members))
    inside[places] = 1
    return Groups(groups.by, groups.classes, groups.members, groups.signs * inside)


def _used(groups: Groups) -> NDArray[np.float64]:
    """Return how many rows of each group have a sign."""
    weights = np.abs(groups.signs)
    return np.asarray(
        np.bincount(groups.members, weights, minlength=len(groups.classes)), np.float64
    )


def _summing(groups: Groups) -> scipy.sparse.csr_array:
    """Return the sparse matrix, (groups, n), whose product with the normals is sums by group."""
    count = len(groups.members)
    places = (groups.members, np.arange(count))
    return scipy.sparse.csr_array((groups.signs, places), shape=(len(groups.classes), count))


def _span_of_means(normals: Matrix, groups: Groups, where: Where) -> NDArray[np.float64]:
    """Return an orthonormal basis of the means of the largest groups, (rank, D)."""
    counts = _used(groups)
    chosen = np.argsort(-counts, kind="stable")[:_MOST_MEANS]
    summing = _summing(groups)[chosen[counts[chosen] > 1]]
    sums = np.zeros((summing.shape[0], normals.shape[1]))
    for part, block in blocks(normals, by_rows=False, ranks=where.ranks):
        sums[:, part] = np.asarray(summing @ block)
    where.ranks.sum_array(sums)
    _, sizes, basis = np.linalg.svd(sums, full_matrices=False)
    return np.asarray(basis[sizes > 1e-6 * sizes.max(initial=0)])


def _share(
    span: NDArray[np.float64], judged: NDArray[np.float64], directions: int
) -> NDArray[np.float64]:
    """Return the mean share of the first 1, 2, ... directions that lies in a span."""
    inside = ((judged @ span.T) ** 2).sum(1)
    shares = np.cumsum(inside) / np.arange(1, len(inside) + 1)
    # Where fewer directions were kept than asked for, the others are not there to be explained.
    return np.pad(shares, (0, directions - len(shares)), mode="edge")
