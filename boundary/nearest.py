"""Nearest boundary points: for each image the closest point where the decision changes.

The problem is min |x' - x| subject to g(x') >= 0, with g the largest logit gap over the other
classes. Structural reliability knows it as the search for the design point. The walk here is the
step of Hasofer-Lind and Rackwitz-Fiessler made safe:

1. Gradients of the leading classes at the image choose the class whose linearised boundary is
   nearest, and with it the first direction u (as DeepFool does).
2. On the ray x + rho u, Newton steps inside a bracket find where the boundary is met; a ray that
   hardly climbs and has met nothing is bent by a step of DeepFool from its end.
3. There the unit gradient n is taken. The distance to the boundary along a ray is stationary where
   u = n, so the next ray turns towards n: all the way first, half as far after a turn that came no
   nearer (a ReLU network has kinks, where n jumps), further again after one that did.
4. The nearest crossing seen is refined with forward passes alone, and the normal taken on it.

References: Hasofer and Lind 1974; Rackwitz and Fiessler 1978; Moosavi-Dezfooli et al., DeepFool,
CVPR 2016; for the two conditions of a minimum, SuperDeepFool, NeurIPS 2024.
"""

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.gradients import (
    GapGradient,
    class_gap_gradients,
    leading_class,
    leading_gap_gradient,
    logit_gap,
)
from boundary.secant import BracketedSecant, bisect, narrow_bracket


class Status(IntEnum):
    """How the search for one nearest boundary point ended."""

    ALIGNED = 0
    """On the boundary, and the displacement is parallel to the normal: a smooth minimum."""
    FOUND = 1
    """On the boundary, the nearest point seen, but not aligned: a kink, or the steps ran out."""
    ZERO_GRADIENT = 2
    """No class can be reached: every logit gap has a zero gradient at the image."""
    NOT_FINITE = 3
    """The classifier returned NaN or infinity on the way."""
    NOT_FOUND = 4
    """No boundary was met within the allowed distance."""

    @property
    def on_boundary(self) -> bool:
        """Whether the point lies on the boundary and has a normal."""
        return self in {Status.ALIGNED, Status.FOUND}


@dataclass(frozen=True, eq=False)
class BoundaryPoints:
    """Nearest boundary points of N images; a point that failed stays, flagged by its status.

    Where ``on_boundary`` is false, ``point`` is the image, ``normal`` is zero, ``margin`` and
    ``residual`` are infinite and ``alignment`` is zero: nothing is ever NaN.
    """

    point: Tensor
    """(N, C, H, W), on the boundary."""
    normal: Tensor
    """(N, C, H, W), unit gradient of the logit gap at ``point``, out of the source region."""
    margin: Tensor
    """(N,), Euclidean distance from the image to ``point``, input units."""
    residual: Tensor
    """(N,), |gap| / |grad gap| at ``point``: how far off the boundary, input units."""
    alignment: Tensor
    """(N,), cosine between the displacement and the normal; 1 at a smooth minimum."""
    source: Tensor
    """(N,) int64, predicted class of the image."""
    target: Tensor
    """(N,) int64, class on the other side of the boundary."""
    status: Tensor
    """(N,) int64, values of `Status`."""
    forward_passes: Tensor
    """(N,) int64, forward passes spent on the image."""
    backward_passes: Tensor
    """(N,) int64, backward passes spent on the image."""

    def __len__(self) -> int:
        return len(self.margin)

    @property
    def on_boundary(self) -> Tensor:
        """(N,) bool: the point is on the boundary and its normal can be used."""
        return self.status <= Status.FOUND


def nearest_boundary_points(
    classifier: Classifier,
    images: Tensor,
    *,
    targets: Tensor | None = None,
    candidates: int = 10,
    max_steps: int = 30,
    residual_tol: float = 1e-4,
    alignment_tol: float = 0.999,
    max_margin: float | None = None,
) -> BoundaryPoints:
    """Return, for each image, the nearest point found on the boundary of its source region.

    Points are not confined to the bounds of the inputs: the geometry is that of the classifier.

    Args:
        classifier: In eval mode; its device and dtype are used.
        images: Shape (N, C, H, W), inside the classifier's bounds.
        targets: Other class of each image, shape (N,). Then only that class counts: the point is
            the nearest of the surface where its logit equals the source's. None: any class.
        candidates: How many classes, by logit, have their gradient taken at the image to choose
            the first direction. Later steps consider every class.
        max_steps: Bound on the steps, one forward and one backward pass each.
        residual_tol: The largest residual, as a share of the margin; beside it, rounding of the
            image's numbers is allowed for.
        alignment_tol: Alignment at which the search stops and the status is ``ALIGNED``.
        max_margin: Distance beyond which the search gives up, input units; by default the diagonal
            of the input box, which no image lies beyond.

    Returns:
        One point an image, in the order of the images.

    Raises:
        InputError: If the images or the classifier cannot be used (see `Classifier.check`), or an
            option is out of range.
    """
    classifier.check(images)
    if images.dtype not in {torch.float32, torch.float64}:
        raise InputError(
            "`images` should be float32 or float64, and the classifier with them: points cannot be "
            f"put on the boundary in {images.dtype}. Use `module.float()`."
        )
    _check_options(candidates, max_steps, residual_tol, alignment_tol, max_margin)
    low, high = classifier.bounds
    reach = (high - low) * images[0].numel() ** 0.5 if max_margin is None else max_margin
    search = _Search(classifier, images.detach(), targets, reach, alignment_tol)
    search.aim_at_nearest_plane(candidates)
    for _ in range(max_steps):
        active = search.active.nonzero().squeeze(1)
        if len(active) == 0:
            break
        search.step(active)
    search.refine(residual_tol)
    return search.result(residual_tol)


def no_points(images: Tensor) -> BoundaryPoints:
    """Return the boundary points of no images, given as an empty tensor (0, C, H, W)."""
    number, whole = images.new_zeros(0), images.new_zeros(0, dtype=torch.int64)
    return BoundaryPoints(images, images, *[number] * 3, *[whole] * 5)


def _check_options(
    candidates: int,
    max_steps: int,
    residual_tol: float,
    alignment_tol: float,
    max_margin: float | None,
) -> None:
    for name, value in (("candidates", candidates), ("max_steps", max_steps)):
        if value < 1:
            raise InputError(f"`{name}` should be at least 1. Found {value}.")
    for name, share in (("residual_tol", residual_tol), ("alignment_tol", alignment_tol)):
        if not 0 < share < 1:
            raise InputError(f"`{name}` should lie between 0 and 1. Found {share}.")
    if max_margin is not None and not max_margin > 0:
        raise InputError(f"`max_margin` should be positive. Found {max_margin}.")


_RAY_TOLERANCE = 0.3
"""A ray has met the boundary when its next Newton step is at most this share of its length; its
end is corrected by that step. Measured on a ResNet: 0.03 and 0.1 spend more for the same margin."""

_SMALLEST_CLIMB = 0.3
"""Cosine between ray and gradient below which a ray that has met no boundary is bent."""

_RAY_TRIES = 5
"""Steps on one ray before it is given up for a smaller turn."""

_LARGEST_CORRECTION = 0.1
"""A best crossing corrected by more than this share is checked when a turn from it fails."""

_LARGER_TURN, _SMALLER_TURN = 1.5, 0.5
"""Change of the turn after a ray that came nearer, and after one that did not."""

_SMALLEST_TURN = 1 / 32
"""A turn smaller than this ends the search: the best point sits in a kink."""

_MAX_REFINEMENTS = 40


class _Search:
    """The state of N searches; each step works on the images that are still at it.

    One row an image. ``best_*`` belongs to the nearest crossing seen; ``ray`` and ``length`` to
    the ray being tried, ``lower`` and ``upper`` bracket its crossing; ``turn`` is the share of the
    way from the best ray to the best normal at which the next ray is aimed; ``checking`` marks the
    images whose best ray is being tried again.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: Tensor,
        targets: Tensor | None,
        reach: float,
        alignment_tol: float,
    ) -> None:
        self.classifier, self.images = classifier, images
        self.reach, self.alignment_tol = reach, alignment_tol
        with torch.no_grad():
            self.logits = classifier(images)
        self.source = self.logits.argmax(1)
        self.allowed = None if targets is None else _only(targets, self.source, self.logits)
        self.target = leading_class(self.logits, self.source, self.allowed)
        self.forward_passes = torch.ones_like(self.source)
        self.backward_passes = torch.zeros_like(self.source)
        self.status = torch.full_like(self.source, Status.NOT_FOUND)
        self.active = torch.ones_like(self.source, dtype=torch.bool)
        self.tries = torch.zeros_like(self.source)

        pixels = images.flatten(1)
        self.ray = torch.zeros_like(pixels)
        self.best_ray, self.best_normal = torch.zeros_like(pixels), torch.zeros_like(pixels)
        self.length = pixels.new_zeros(len(pixels))
        self.lower, self.upper = self.length.clone(), self.length + torch.inf
        self.best_length, self.best_slope = self.length + torch.inf, self.length + 1.0
        self.best_correction = torch.zeros_like(self.length)
        self.checking = torch.zeros_like(self.active)
        self.turn = torch.ones_like(self.length)

    def aim_at_nearest_plane(self, candidates: int) -> None:
        """Aim the first ray at the class whose linearised boundary is nearest."""
        if self.allowed is None:
            others = self.logits.scatter(1, self.source[:, None], -torch.inf)
            count = min(candidates, others.shape[1] - 1)
            targets = others.topk(count, dim=1).indices
        else:
            targets = self.target[:, None]
        gaps, gradients = class_gap_gradients(self.classifier, self.images, self.source, targets)
        self.forward_passes += 1
        self.backward_passes += targets.shape[1]

        norms = gradients.flatten(2).norm(dim=2)
        finite = self.logits.isfinite().all(1) & norms.isfinite().all(1)
        planes = torch.where(norms > 0, -gaps / norms, torch.inf)
        distance, nearest = planes.nan_to_num(nan=torch.inf, posinf=torch.inf).min(1)
        rows = torch.arange(len(nearest), device=nearest.device)
        self.target = targets[rows, nearest]
        self.ray = _unit(gradients[rows, nearest].flatten(1))
        self.length = distance.clamp(max=self.reach)
        self.status[distance.isinf()] = Status.ZERO_GRADIENT
        self.status[~finite] = Status.NOT_FINITE
        self.active = finite & distance.isfinite()

    def step(self, rows: Tensor) -> None:
        """Evaluate the end of each ray; then move along it, or accept it and turn."""
        found = self._gap_gradient(rows)
        gradient = found.gradient.flatten(1)
        length, slope = self.length[rows], (gradient * self.ray[rows]).sum(1)
        newton = length - found.gap / slope
        narrow_bracket(self.lower, self.upper, rows, length, found.gap)

        finite = found.gap.isfinite() & gradient.isfinite().all(1)
        met = finite & (slope > 0) & ((newton - length).abs() <= _RAY_TOLERANCE * length)
        # A ray that has met nothing yet, and hardly climbs, is left for the way that does.
        norms = gradient.norm(dim=1)
        unmet = self.best_length[rows].isinf() & self.upper[rows].isinf()
        bent = finite & ~met & unmet & (slope < _SMALLEST_CLIMB * norms) & (norms > 0)
        along = finite & ~met & ~bent

        self.status[rows[~finite]] = Status.NOT_FINITE
        self.active[rows[~finite]] = False
        self._keep_if_nearer(
            rows[met], newton[met], slope[met], GapGradient(*(part[met] for part in found))
        )
        self._bend(rows[bent], gradient[bent], -found.gap[bent] / norms[bent])
        self._move_along(rows[along], torch.where(slope > 0, newton, torch.nan)[along])

    def refine(self, residual_tol: float) -> None:
        """Put each best point on the boundary, along its ray, by forward passes alone."""
        unmet = self.best_length.isinf() & self.upper.isfinite()
        self.best_ray[unmet], self.best_length[unmet] = self.ray[unmet], self.upper[unmet]
        rows = self.best_length.isfinite().nonzero().squeeze(1)
        self.ray = self.best_ray
        root = BracketedSecant(self.best_length[rows], self.best_slope[rows])
        for _ in range(_MAX_REFINEMENTS):
            # The last step has the length of the residual, and a secant step cuts it further.
            unsettled = root.unsettled(residual_tol)
            if len(unsettled) == 0:
                break
            root.update(unsettled, self._gap(rows[unsettled], root.length[unsettled]))
        self.best_length[rows] = root.length

    def result(self, residual_tol: float) -> BoundaryPoints:
        """Return the best points with the normals taken there, each judged by its normal."""
        point, normal = self.images.clone(), torch.zeros_like(self.images)
        margin, residual = (torch.full_like(self.length, torch.inf) for _ in range(2))
        alignment = torch.zeros_like(self.length)

        rows = (self.best_length <= self.reach).nonzero().squeeze(1)
        if len(rows):
            self.length = self.best_length
            found = self._gap_gradient(rows)
            norms = found.gradient.flatten(1).norm(dim=1)
            off = found.gap.abs() / norms
            # A point cannot be nearer to the boundary than rounding lets it be written down.
            rounding = torch.finfo(off.dtype).eps * self.images[rows].flatten(1).norm(dim=1)
            on = off <= residual_tol * self.length[rows] + rounding
            rows, units = rows[on], _unit(found.gradient.flatten(1)[on])
            point[rows] = self._points(rows, self.length[rows])
            normal[rows] = units.view_as(point[rows])
            margin[rows], residual[rows] = self.length[rows], off[on]
            alignment[rows] = (units * self.ray[rows]).sum(1)
            self.target[rows] = found.target[on]
            self.status[rows] = torch.where(
                alignment[rows] >= self.alignment_tol, int(Status.ALIGNED), int(Status.FOUND)
            )
        return BoundaryPoints(
            point=point,
            normal=normal,
            margin=margin,
            residual=residual,
            alignment=alignment,
            source=self.source,
            target=self.target,
            status=self.status,
            forward_passes=self.forward_passes,
            backward_passes=self.backward_passes,
        )

    def _points(self, rows: Tensor, length: Tensor) -> Tensor:
        images = self.images[rows]
        return images + (length[:, None] * self.ray[rows]).view_as(images)

    def _gap_gradient(self, rows: Tensor) -> GapGradient:
        self.forward_passes[rows] += 1
        self.backward_passes[rows] += 1
        points = self._points(rows, self.length[rows])
        return leading_gap_gradient(self.classifier, points, self.source[rows], self._allowed(rows))

    @torch.no_grad()
    def _gap(self, rows: Tensor, length: Tensor) -> Tensor:
        self.forward_passes[rows] += 1
        logits = self.classifier(self._points(rows, length))
        leader = leading_class(logits, self.source[rows], self._allowed(rows))
        return logit_gap(logits, self.source[rows], leader)

    def _allowed(self, rows: Tensor) -> Tensor | None:
        return None if self.allowed is None else self.allowed[rows]

    def _bend(self, rows: Tensor, gradient: Tensor, step: Tensor) -> None:
        """Step from the end of the ray to the boundary linearised there, as DeepFool does."""
        end = self.length[rows, None] * self.ray[rows] + step[:, None] * _unit(gradient)
        self.length[rows], self.ray[rows] = end.norm(dim=1), _unit(end)
        self.lower[rows] = 0.0
        self._give_up_beyond_reach(rows)

    def _move_along(self, rows: Tensor, newton: Tensor) -> None:
        """Take the Newton step on the ray, or halve its bracket where the step leaves it."""
        lower, upper, length = self.lower[rows], self.upper[rows], self.length[rows]
        usable = (newton > lower) & (newton < upper) & (newton < 4 * length)
        self.length[rows] = torch.where(usable, newton, bisect(lower, upper, length))
        self.tries[rows] += 1
        self._give_up_beyond_reach(rows)
        failed = (self.length[rows] > self.reach) | (self.tries[rows] >= _RAY_TRIES)
        failed &= self.best_length[rows].isfinite()
        self.turn[rows[failed]] *= _SMALLER_TURN
        self._aim_from_best(rows[failed])

    def _give_up_beyond_reach(self, rows: Tensor) -> None:
        lost = (self.length[rows] > self.reach) & self.best_length[rows].isinf()
        self.active[rows[lost]] = False

    def _keep_if_nearer(
        self, rows: Tensor, length: Tensor, slope: Tensor, found: GapGradient
    ) -> None:
        """Keep each crossing that is the nearest yet, and aim the next ray from the best one."""
        nearer = (length < self.best_length[rows]) | self.checking[rows]
        kept = rows[nearer]
        self.best_correction[kept] = (length / self.length[rows] - 1).abs()[nearer]
        self.best_length[kept], self.best_slope[kept] = length[nearer], slope[nearer]
        self.best_ray[kept] = self.ray[kept]
        self.best_normal[kept] = _unit(found.gradient.flatten(1)[nearer])
        self.target[kept] = found.target[nearer]
        factor = torch.where(nearer, _LARGER_TURN, _SMALLER_TURN)
        factor[self.checking[rows]] = 1.0
        self.turn[rows] = (factor * self.turn[rows]).clamp(max=1.0)
        self.checking[rows] = False
        self._aim_from_best(rows)
        self._check_best(rows[~nearer & (self.best_correction[rows] > _LARGEST_CORRECTION)])

    def _check_best(self, rows: Tensor) -> None:
        """Try the best ray again: a large correction may have promised too near a crossing."""
        self.checking[rows] = True
        self.ray[rows], self.length[rows] = self.best_ray[rows], self.best_length[rows]

    def _aim_from_best(self, rows: Tensor) -> None:
        """Turn the next ray from the best one towards the normal there, up to its tangent plane."""
        ray, normal, turn = self.best_ray[rows], self.best_normal[rows], self.turn[rows]
        alignment = (ray * normal).sum(1)
        self.active[rows] = (alignment < self.alignment_tol) & (turn >= _SMALLEST_TURN)
        self.ray[rows] = _unit(torch.lerp(ray, normal, turn[:, None]))
        self.length[rows] = self.best_length[rows] * alignment / (self.ray[rows] * normal).sum(1)
        self.lower[rows], self.upper[rows] = 0.0, torch.inf
        self.tries[rows] = 0


def _only(targets: Tensor, source: Tensor, logits: Tensor) -> Tensor:
    classes = logits.shape[1]
    if targets.shape != source.shape or not bool(((targets >= 0) & (targets < classes)).all()):
        raise InputError(
            f"`targets` should hold one class below {classes} an image, shape "
            f"{tuple(source.shape)}. Found shape {tuple(targets.shape)}, values "
            f"{targets.flatten()[:5].tolist()}, ...."
        )
    if bool((targets == source).any()):
        row = int((targets == source).nonzero()[0])
        raise InputError(
            f"`targets` should differ from the classifier's prediction. Found class "
            f"{int(source[row])} as both for image {row}."
        )
    return torch.zeros_like(logits, dtype=torch.bool).scatter(1, targets[:, None], value=True)


def _unit(vectors: Tensor) -> Tensor:
    norms = vectors.norm(dim=1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, 1.0)
