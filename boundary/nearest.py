"""Nearest boundary points: for each image the closest point where the decision changes.

The problem is min |x' - x| subject to g(x') >= 0, with g the largest logit gap over the other
classes: sequential quadratic programming with one constraint, known to structural reliability as
the search for the design point. The parts, in the order of their work:

1. `candidates`: which class's linearised boundary is nearest gives the first ray.
2. `walk`: crossings of the boundary, each nearer than the last, found with gradients.
3. Here: the nearest crossing is put on the boundary with forward passes, the normal is taken on it,
   and the point is judged.

docs/nearest-boundary-points.md explains the method and gives its sources.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from boundary.candidates import STARTS, NearestPlanes, nearest_planes
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.gaps import GapFunctions
from boundary.gradients import KeptGraph
from boundary.memory import halving
from boundary.points import BoundaryPoints, Status
from boundary.refinement import judge, put_on_boundary
from boundary.space import SearchSpace
from boundary.walk import Walk, race

FEWEST_GRADIENTS = 3
"""One to choose a ray, one to meet the boundary, one for the normal."""

_GRADIENTS_PER_START = 25
"""Gradients for which one class more is started towards, where several are nearly as near."""

_FARTHEST_RAY = 100.0
"""Length of a ray, in reaches, at which a confined search gives up: what is cut to the limits of
the search may be much shorter than the ray."""


def nearest_boundary_points(
    classifier: Classifier,
    images: Tensor,
    *,
    targets: Tensor | None = None,
    candidates: int = 10,
    max_gradients: int = 40,
    residual_tol: float = 1e-4,
    alignment_tol: float = 0.999,
    early_bfloat16: bool = False,
    in_bounds: bool = False,
    max_margin: float | None = None,
    max_change: float | None = None,
    subspace: Tensor | None = None,
) -> BoundaryPoints:
    """Return, for each image, the nearest point found on the boundary of its source region.

    The search uses no random numbers, and an image's result does not depend on its neighbours in
    the batch beyond rounding. Where memory runs out, the batch is halved.

    Args:
        classifier: In eval mode; its device and dtype are used.
        images: Shape (N, C, H, W), inside the classifier's bounds.
        targets: Other classes that count for each image, shape (N,) or (N, T); -1 for none. The
            point is the nearest of the surface where the largest of their logits equals the
            source's, also where another class is larger. None: every class counts.
        candidates: Classes, by logit, whose linearised boundary is looked at to choose the first
            ray. Gradients are taken of those alone that may be nearest.
        max_gradients: The most backward passes spent on an image, at least 3. A walk settles
            as they run out, so that more of them find nearer points.
        residual_tol: The largest residual, as a share of the margin; beside it, rounding of the
            image's numbers is allowed for.
        alignment_tol: Alignment at which a walk ends and the status is ``ALIGNED``.
        early_bfloat16: Take the first gradients of the walk in bfloat16, where torch may; the
            crossings met by then are evaluated again. It saves little on a CPU, and costs quality.
        in_bounds: Confine points to the classifier's bounds. By default they are free: the
            geometry is that of the classifier.
        max_margin: Distance beyond which the search gives up, input units; by default the diagonal
            of the input box, which no image lies beyond.
        max_change: Confine each number of a point to this distance from the image's: an l-infinity
            ball.
        subspace: Confine displacements to the span of these orthonormal rows, shape (R, D).

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
    _check_options(candidates, max_gradients, residual_tol, alignment_tol, max_margin, max_change)
    low, high = classifier.bounds
    diagonal = (high - low) * images[0].numel() ** 0.5
    search = _Search(
        classifier,
        candidates=candidates,
        max_gradients=max_gradients,
        residual_tol=residual_tol,
        alignment_tol=alignment_tol,
        early=torch.bfloat16 if early_bfloat16 else None,
        in_bounds=in_bounds,
        max_margin=diagonal if max_margin is None else max_margin,
        max_change=max_change,
        basis=None if subspace is None else _checked_basis(subspace, images, in_bounds, max_change),
    )
    return search.points(images.detach(), targets)


@dataclass(frozen=True, eq=False)
class _Search:
    """The options of one call, checked."""

    classifier: Classifier
    candidates: int
    max_gradients: int
    residual_tol: float
    alignment_tol: float
    early: torch.dtype | None
    in_bounds: bool
    max_margin: float
    max_change: float | None
    basis: Tensor | None

    def points(self, images: Tensor, targets: Tensor | None) -> BoundaryPoints:
        """Return one point an image.

        Args:
            images: Shape (N, C, H, W).
            targets: As in `nearest_boundary_points`.
        """

        def of(rows: slice) -> BoundaryPoints:
            return self._points(images[rows], None if targets is None else targets[rows])

        return halving(of, len(images), BoundaryPoints.joined)

    def _points(self, images: Tensor, targets: Tensor | None) -> BoundaryPoints:
        space = self._space(images)
        graph = KeptGraph(self.classifier, images)
        source = graph.logits.argmax(1)
        allowed = None if targets is None else _allowed(targets, source, graph.logits)
        gaps = GapFunctions(self.classifier, space, source, allowed)
        gaps.forward_passes += 1
        most = min(self.candidates, self.max_gradients - 2, graph.logits.shape[1] - 1)
        planes = nearest_planes(gaps, graph, most)
        del graph  # the memory of a whole pass
        reach = self.max_margin * (_FARTHEST_RAY if space.confined else 1.0)
        begin = partial(
            Walk,
            gaps,
            planes,
            reach=reach,
            most_gradients=self.max_gradients,
            alignment_tol=self.alignment_tol,
            early=self.early,
        )
        starts = min(STARTS, most, 1 + round(self.max_gradients / _GRADIENTS_PER_START))
        walk = race([begin(place=place) for place in range(starts)])
        while not walk.ended:
            walk.step()
        return self._judged(gaps, planes, walk, reach)

    def _judged(
        self, gaps: GapFunctions, planes: NearestPlanes, walk: Walk, reach: float
    ) -> BoundaryPoints:
        images, none = gaps.space.images, torch.full_like(planes.distance[:, 0], torch.inf)
        point, normal = images.clone(), torch.zeros_like(images)
        margin, residual, alignment = none.clone(), none.clone(), torch.zeros_like(none)
        reachable = planes.distance[:, 0].isfinite()
        target = planes.target[:, 0].clone()
        status = torch.full_like(target, Status.NOT_FOUND)
        status[~reachable] = Status.ZERO_GRADIENT
        status[~walk.finite] = Status.NOT_FINITE

        hopeful = reachable & (walk.finite | walk.best.margin.isfinite())
        rows = hopeful.nonzero().squeeze(1)
        if len(rows):
            displacement = put_on_boundary(gaps, walk, rows, reach, self.residual_tol)
            met = displacement.norm(dim=1) <= self.max_margin
            rows, displacement = rows[met], displacement[met]
        if len(rows):
            found = judge(gaps, rows, displacement)
            # A point cannot be nearer to the boundary than rounding lets it be written down.
            rounding = torch.finfo(none.dtype).eps * images[rows].flatten(1).norm(dim=1)
            on = found.residual <= self.residual_tol * found.margin + rounding
            status[rows] = torch.where(
                found.alignment >= self.alignment_tol,
                int(Status.ALIGNED),
                torch.where(walk.best.kink[rows], int(Status.KINK), int(Status.FOUND)),
            )
            status[rows[~on]] = Status.OFF_BOUNDARY
            status[rows[~found.residual.isfinite()]] = Status.NOT_FINITE
            rows = rows[on]
            point[rows] = gaps.space.points(rows, displacement[on])
            normal[rows], target[rows] = found.normal[on], found.target[on]
            margin[rows], residual[rows] = found.margin[on], found.residual[on]
            alignment[rows] = found.alignment[on]
        other = planes.taken & (planes.target != target[:, None])
        return BoundaryPoints(
            point=point,
            normal=normal,
            margin=margin,
            residual=residual,
            alignment=alignment,
            runner_up=planes.distance.where(other, torch.inf).amin(1),
            source=gaps.source,
            target=target,
            status=status,
            forward_passes=gaps.forward_passes,
            backward_passes=gaps.backward_passes,
        )

    def _space(self, images: Tensor) -> SearchSpace:
        if not self.in_bounds and self.max_change is None:
            return SearchSpace(images, basis=self.basis)
        pixels = images.flatten(1)
        change = torch.inf if self.max_change is None else self.max_change
        low, high = torch.full_like(pixels, -change), torch.full_like(pixels, change)
        if self.in_bounds:
            least, largest = self.classifier.bounds
            low = torch.maximum(low, (least - pixels).clamp(max=0))
            high = torch.minimum(high, (largest - pixels).clamp(min=0))
        return SearchSpace(images, low=low, high=high)


def _check_options(
    candidates: int,
    max_gradients: int,
    residual_tol: float,
    alignment_tol: float,
    max_margin: float | None,
    max_change: float | None,
) -> None:
    for name, value, least in (
        ("candidates", candidates, 1),
        ("max_gradients", max_gradients, FEWEST_GRADIENTS),
    ):
        if value < least:
            raise InputError(f"`{name}` should be at least {least}. Found {value}.")
    for name, share in (("residual_tol", residual_tol), ("alignment_tol", alignment_tol)):
        if not 0 < share < 1:
            raise InputError(f"`{name}` should lie between 0 and 1. Found {share}.")
    for name, length in (("max_margin", max_margin), ("max_change", max_change)):
        if length is not None and not length > 0:
            raise InputError(f"`{name}` should be positive. Found {length}.")


def _allowed(targets: Tensor, source: Tensor, logits: Tensor) -> Tensor:
    """Return which classes count for each image, bool of shape (N, K).

    Raises:
        InputError: If there is no such class, or it is the source.
    """
    classes = logits.shape[1]
    if targets.shape[:1] != source.shape or targets.ndim > 2 or bool((targets >= classes).any()):
        raise InputError(
            f"`targets` should hold classes below {classes}, shape ({len(source)},) or "
            f"({len(source)}, T). Found shape {tuple(targets.shape)}, values "
            f"{targets.flatten()[:5].tolist()}, ...."
        )
    listed = targets.view(len(source), -1)
    if bool((listed == source[:, None]).any()):
        row = int((listed == source[:, None]).any(1).nonzero()[0])
        raise InputError(
            f"`targets` should differ from the classifier's prediction. Found class "
            f"{int(source[row])} as both for image {row}."
        )
    times = torch.zeros_like(logits, dtype=torch.int64)
    return times.scatter_add(1, listed.clamp_min(0), (listed >= 0).long()) > 0


def _checked_basis(
    subspace: Tensor, images: Tensor, in_bounds: bool, max_change: float | None
) -> Tensor:
    if in_bounds or max_change is not None:
        raise InputError(
            "`subspace` should come without `in_bounds` and `max_change`: what is cut to limits "
            "leaves the subspace. Found both; leave one out."
        )
    numbers = images[0].numel()
    if subspace.ndim != 2 or subspace.shape[1] != numbers or len(subspace) == 0:
        raise InputError(
            f"`subspace` should have shape (R, {numbers}). Found {tuple(subspace.shape)}."
        )
    basis = subspace.to(images)
    off = float((basis @ basis.T - torch.eye(len(basis)).to(basis)).abs().max())
    if not off <= _LARGEST_OVERLAP:
        raise InputError(
            f"`subspace` should have orthonormal rows. Found products that are off by {off:.2g}; "
            "use `torch.linalg.qr(vectors.T).Q.T`."
        )
    return basis


_LARGEST_OVERLAP = 1e-4
"""How far the rows of a basis may be from orthonormal: float32, no more."""
