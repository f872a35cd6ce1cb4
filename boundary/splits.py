"""Images shared out for what they are used for, equal ones on one side."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boundary.errors import InputError
from boundary.image_source import ImageSource

CHOOSING = 5
"""One of so many collected images chooses dimensions, the others make subspaces."""

_AT_ONCE = 16
"""Images that are read together."""

Groups = list[list[int]]
"""Rows of equal images together."""


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a source, int64, in random order; images of equal pixels are in one part."""

    collecting: NDArray[np.int64]
    """Of the images whose boundary points make and choose."""
    choosing: NDArray[np.int64]
    """The last fifth of them, which chooses dimensions and nothing else."""
    evaluating: NDArray[np.int64]
    """Of other images, which judge."""
    equal: tuple[str, ...]
    """Ids of the images, among those that were to be shared out, that equal another."""
    chosen: int
    """How many were to be shared out; equal ones may be left out."""

    @property
    def making(self) -> NDArray[np.int64]:
        """Of the collected images that make subspaces: those that do not choose."""
        return self.collecting[~np.isin(self.collecting, self.choosing)]


def split_images(
    source: ImageSource, *, collect: int, evaluate: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return disjoint random rows of a source: some to collect normals at, some to evaluate on.

    The first are the head and the second the tail of one seeded permutation: asking for more of
    either keeps those already there. Of images with equal pixels, which are looked for among these,
    all are on one side, the first that has room for them, or are left out.

    Args:
        source: At least ``collect + evaluate`` images; so many are read.
        collect: How many of the first, at least 1.
        evaluate: How many of the second, at least 0.
        seed: Of the permutation.

    Returns:
        Rows, shapes (collect,) and (evaluate,), int64, in random order; fewer where equal images
        are left out.

    Raises:
        InputError: If there are too few images, or too few that differ.
    """
    made = share_out(source, collect=collect, evaluate=evaluate, seed=seed)
    return made.collecting, made.evaluating


def share_out(source: ImageSource, *, collect: int, evaluate: int, seed: int) -> Split:
    """Return the rows that `split_images` returns, and which of them choose dimensions.

    Args:
        source: As there.
        collect: As there.
        evaluate: As there.
        seed: As there.

    Raises:
        InputError: If there are too few images, or too few that differ.
    """
    if collect < 1 or evaluate < 0:
        raise InputError(
            "`collect` should be at least 1 and `evaluate` at least 0. "
            f"Found {collect} and {evaluate}."
        )
    if collect + evaluate > len(source):
        raise InputError(
            f"{source.spec} should hold at least {collect + evaluate} images, {collect} to collect "
            f"normals at and {evaluate} others to evaluate on. Found {len(source)}; lower "
            "`collect`, `evaluate` or both."
        )
    order = np.random.default_rng(seed).permutation(len(source)).astype(np.int64)
    groups = _equal_images(source, np.r_[order[:collect], order[len(order) - evaluate :]])
    collecting, others = _filled(groups, collect)
    evaluating, _ = _filled(others, evaluate)
    if not collecting or (evaluate and not evaluating):
        raise InputError(
            f"the images of {source.spec} should differ enough to be split. Found that the "
            f"{collect + evaluate} chosen are {len(groups)} different ones, and that equal images "
            "cannot be on both sides; bring others, or choose more."
        )
    choosing = _choosing(collecting)
    equal = [group for group in groups if len(group) > 1]
    place = {row: rank for rank, row in enumerate(order.tolist())}
    return Split(
        collecting=_rows(collecting, place),
        choosing=_rows(choosing, place),
        evaluating=_rows(evaluating, place),
        equal=tuple(source.ids[row] for row in _rows(equal, place)),
        chosen=collect + evaluate,
    )


def _equal_images(source: ImageSource, rows: NDArray[np.int64]) -> Groups:
    """Return rows in groups of equal pixels, by their first; an unreadable image is by itself."""
    groups: dict[object, list[int]] = {}
    for start in range(0, len(rows), _AT_ONCE):
        chosen = rows[start : start + _AT_ONCE].tolist()
        batch = source.read(chosen)
        read = dict(zip(batch.positions.tolist(), batch.images.numpy(), strict=True))
        for row in chosen:
            key = hashlib.sha256(read[row].tobytes()).digest() if row in read else row
            groups.setdefault(key, []).append(row)
    return list(groups.values())


def _filled(groups: Groups, room: int) -> tuple[Groups, Groups]:
    """Return the groups, in turn, that there is room for, and the others."""
    fit, others = [], []
    for group in groups:
        if len(group) <= room:
            fit.append(group)
            room -= len(group)
        else:
            others.append(group)
    return fit, others


def _choosing(groups: Groups) -> Groups:
    """Return the last groups, a fifth of their images and at least one, but never all."""
    if len(groups) < 2:
        return []
    share = max(1, round(sum(map(len, groups)) / CHOOSING))
    fit, _ = _filled(groups[::-1], share)
    return fit or [min(reversed(groups), key=len)]


def _rows(groups: Sequence[Sequence[int]], place: dict[int, int]) -> NDArray[np.int64]:
    """Return the rows of groups in their order of a permutation."""
    rows = sorted((row for group in groups for row in group), key=place.__getitem__)
    return np.array(rows, dtype=np.int64)
