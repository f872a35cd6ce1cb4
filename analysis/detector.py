"""A detector of perturbed images: the mean curvature of level sets along shared directions.

The level set of the logit gap through an image bends one way at natural images and the other way at
images that were moved just across the boundary (Fawzi, Moosavi-Dezfooli, Frossard and Soatto, CVPR
2018): beyond it the classes have changed places, and with them the sign. Which sign is whose is
learned from data here, never assumed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from analysis.fooling import NO_SPREAD
from analysis.intervals import RESAMPLES, Interval, percentile_interval, wilson_interval
from boundary.anchors import REGION, anchors_at_images
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.nearest import nearest_boundary_points
from boundary.sections import VALUES, curvatures

Scores: TypeAlias = "np.ma.MaskedArray[tuple[int], np.dtype[np.float64]]"

_BLOCK = 100
"""Resamples that are in memory together."""


def curvature_scores(
    classifier: Classifier,
    images: Tensor,
    directions: NDArray[np.float64],
    scale: float,
    *,
    estimator: str = VALUES,
    surface: str = REGION,
    batch_size: int = 64,
) -> Scores:
    """Return the mean curvature of the level set through each image, over given directions.

    The gap is that of the image's own predicted class to its second.

    Args:
        classifier: Whose level sets they are.
        images: Shape (N, C, H, W), in or out of bounds.
        directions: Of any length; their tangent parts are taken as unit vectors, shape (R, D).
        scale: s, input units.
        estimator: ``values``, ``gradients``, or ``section``, whose censored ends are bounds.
        surface: ``pair`` or ``region``.
        batch_size: Images in one pass.

    Returns:
        Shape (N,), 1 / input units, positive where the level set bends towards the predicted class;
        masked where the gradient of the gap is zero or not finite, so that there is no normal.

    Raises:
        InputError: If the directions are not finite, of shape (R, D), R at least 1, or an option is
            out of range.
    """
    numbers = images.shape[1:].numel()
    if directions.ndim != 2 or not len(directions) or directions.shape[1] != numbers:
        raise InputError(
            f"`directions` should have shape (R, {numbers}), R at least 1. "
            f"Found {directions.shape}."
        )
    if not np.isfinite(directions).all():
        raise InputError("`directions` should be finite. Found NaN or infinity.")
    vectors = torch.from_numpy(directions).to(images).view(-1, *images.shape[1:])
    scores: Scores = np.ma.masked_array(np.zeros(len(images)), mask=True)
    for start, part in _batches(images, batch_size):
        anchors, usable = anchors_at_images(classifier, part)
        if not len(anchors):
            continue
        (found,) = curvatures(
            classifier, anchors, vectors, scale, estimators=[estimator], surfaces=[surface]
        )
        places = start + np.flatnonzero(usable.cpu().numpy())
        scores[places] = found.curvature.double().mean(1).cpu().numpy()
    return scores


def minimal_perturbations(
    classifier: Classifier,
    images: Tensor,
    *,
    overshoot: float = 0.02,
    max_gradients: int = 20,
    batch_size: int = 64,
) -> tuple[Tensor, Tensor]:
    """Return images moved to their nearest boundary points and a little beyond.

    Args:
        classifier: Whose boundary they cross.
        images: Shape (N, C, H, W), inside the classifier's bounds.
        overshoot: How far beyond the boundary point, as a share of the margin.
        max_gradients: As in `nearest_boundary_points`.
        batch_size: Images of one search.

    Returns:
        The moved images, (N, C, H, W), which may leave the bounds, and which of them have another
        predicted class there, (N,) bool. An image whose search failed stays where it is.

    Raises:
        InputError: If the images cannot be used, or an option is out of range.
    """
    if not 0 < overshoot < float("inf"):
        raise InputError(f"`overshoot` should be positive and finite. Found {overshoot}.")
    classifier.check(images)
    moved, crossed = torch.empty_like(images), []
    for start, part in _batches(images, batch_size):
        found = nearest_boundary_points(classifier, part, max_gradients=max_gradients)
        beyond = part + (1 + overshoot) * (found.point - part)
        moved[start : start + len(part)] = beyond
        crossed.append(found.on_boundary & (classifier.predict(beyond) != found.source))
    return moved, torch.cat(crossed)


@dataclass(frozen=True)
class SignAccuracy:
    """Balanced accuracy of the plain sign rule on images that its orientation was not learned on.

    Oriented scores above 0 are called perturbed, all others clean. Clean and perturbed images are
    as many, so the share of correct calls is the mean of both shares.
    """

    orientation: int
    """1 if positive scores are called perturbed, -1 if negative ones are."""
    correct: int
    judged: int
    """Clean and perturbed images together."""

    @property
    def accuracy(self) -> float:
        """Share of correct calls; 0.5 is chance."""
        return self.correct / self.judged

    @property
    def interval(self) -> Interval:
        """Wilson's, as if a clean image and its perturbed version were called independently."""
        return wilson_interval(self.correct, self.judged)


@dataclass(frozen=True, eq=False)
class Detector:
    """Scores of N images, each clean and perturbed, and how well they tell one from the other.

    Every number is over the pairs of which both were scored.
    """

    family: str
    """What perturbed the images."""
    scale: float
    """s of the scores, input units."""
    clean: NDArray[np.float64]
    """(N,), 1 / input units; 0 where not scored."""
    perturbed: NDArray[np.float64]
    """(N,), of the same images in the same order."""
    scored: NDArray[np.bool_]
    """(N,), whether both have a score."""
    seed: int
    """Of the resampling, and of the halves of `accuracy_by_sign`."""

    @classmethod
    def of(
        cls, family: str, clean: ArrayLike, perturbed: ArrayLike, scale: float, *, seed: int = 0
    ) -> "Detector":
        """Return the detector of scores, such as `curvature_scores` gives.

        Args:
            family: What perturbed the images.
            clean: Shape (N,), masked where not scored.
            perturbed: Of the same images in the same order, shape (N,).
            scale: s of the scores, input units.
            seed: Of the resampling and of the halves.

        Raises:
            InputError: If they do not pair up, are not finite, or fewer than 2 pairs were scored.
        """
        one = np.ma.masked_array(clean, dtype=np.float64)
        other = np.ma.masked_array(perturbed, dtype=np.float64)
        if one.shape != other.shape or one.ndim != 1:
            raise InputError(
                "`clean` and `perturbed` should hold scores of the same images, shape (N,). Found "
                f"shapes {one.shape} and {other.shape}."
            )
        scored = ~(np.ma.getmaskarray(one) | np.ma.getmaskarray(other))
        if scored.sum() < 2:
            raise InputError(
                "`clean` and `perturbed` should hold at least 2 pairs of scores. Found "
                f"{int(scored.sum())} in {len(one)} images."
            )
        pairs = [np.where(scored, scores.filled(0.0), 0.0) for scores in (one, other)]
        if not np.isfinite(pairs).all():
            raise InputError(
                "`clean` and `perturbed` should be finite. Found NaN or infinity; mask what was "
                "not scored."
            )
        return cls(family, scale, pairs[0], pairs[1], scored, seed)

    @property
    def count(self) -> int:
        """n, pairs of which both were scored."""
        return int(self.scored.sum())

    @property
    def auc(self) -> float:
        """Share of pairs, a perturbed and any clean image, of which the perturbed scores higher.

        Ties count half (Mann and Whitney): 0.5 is chance, above it perturbed images score higher,
        below it clean ones do. Nothing is learned.
        """
        return float(_areas(*self._pairs, np.ones((1, self.count), dtype=np.int64))[0])

    @property
    def auc_interval(self) -> Interval:
        """95 %; resamples images, a clean one and its own perturbed version together.

        Where resampling shows no spread, since the scores are separated or all tied, it is Wilson's
        of n independent comparisons.
        """
        generator, even = np.random.default_rng(self.seed), np.full(self.count, 1 / self.count)
        areas = np.concatenate(
            [
                _areas(*self._pairs, generator.multinomial(self.count, even, size=_BLOCK))
                for _ in range(RESAMPLES // _BLOCK)
            ]
        )
        if np.ptp(areas) < NO_SPREAD:
            return wilson_interval(round(self.auc * self.count), self.count)
        return percentile_interval(areas)

    @property
    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positive rates, ascending, as the threshold falls from above all scores.

        An image is called perturbed at or above the threshold; one point for each distinct score.
        """
        clean, perturbed = (np.sort(scores) for scores in self._pairs)
        thresholds = np.unique([clean, perturbed])[::-1]
        below = (np.searchsorted(scores, thresholds) for scores in (clean, perturbed))
        false, true = (np.append(0.0, 1 - places / self.count) for places in below)
        return false, true

    @property
    def accuracy_by_sign(self) -> SignAccuracy:
        """Of the sign alone: orientation from a random half of the images, judged on the other."""
        places = np.random.default_rng(self.seed).permutation(self.count)
        learning, judged = places[: self.count // 2], places[self.count // 2 :]
        as_it_is = self._correct(learning, 1) >= self._correct(learning, -1)
        orientation = 1 if as_it_is else -1
        return SignAccuracy(orientation, self._correct(judged, orientation), 2 * len(judged))

    @property
    def _pairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.clean[self.scored], self.perturbed[self.scored]

    def _correct(self, places: NDArray[np.intp], orientation: int) -> int:
        clean, perturbed = (orientation * scores[places] for scores in self._pairs)
        return int((clean <= 0).sum() + (perturbed > 0).sum())


def _areas(
    clean: NDArray[np.float64], perturbed: NDArray[np.float64], times: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the area under the curve of each resample, (B,).

    Args:
        clean: Shape (n,).
        perturbed: Shape (n,).
        times: How often each pair is in a resample, n in all, shape (B, n).
    """
    order = clean.argsort()
    below, upto = (np.searchsorted(clean[order], perturbed, side) for side in ("left", "right"))
    clean_up_to = np.pad(times[:, order].cumsum(1), ((0, 0), (1, 0)))
    twice = (times * (clean_up_to[:, below] + clean_up_to[:, upto])).sum(1)
    return np.asarray(twice / (2 * len(clean) ** 2))


def _batches(images: Tensor, batch_size: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(images), batch_size):
        yield start, images[start : start + batch_size]
