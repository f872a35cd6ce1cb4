"""Second order at a point: products with the Hessian of the gap, and the shape operator.

The *shape operator* of the boundary at a point with unit normal n is

    S = P Hess(g) P / |grad g|,   P = I - n n',

g the logit gap f_target - f_source; its eigenvalues on the tangent space are the principal
curvatures, 1 / input units, positive where the boundary bends towards the source side: a ball of
radius r has +1/r seen from inside. Multiplying the logits, or any increasing function of the gap,
leaves S as it is.

Products are *exact*, by a second differentiation, or *central differences* of gradients at a stated
scale. Networks of ReLUs and max-pooling are piecewise linear: their exact Hessian is zero almost
everywhere, and only a scale shows how their boundary bends.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from boundary.anchors import PAIR, SURFACES, Anchors
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.gradients import gap_gradient, logit_gap
from boundary.memory import ran_out_of_memory
from boundary.space import unit

_ONCE_TOLERANCE = 1e-2
"""Of a derivative that is taken twice over, relative: float32 and long sums, no more."""

_EXACT_AT_ONCE = 32
"""The most exact products that share one graph of the gradient, and are held in memory."""


def hessian_products(
    classifier: Classifier, points: Tensor, source: Tensor, target: Tensor, directions: Tensor
) -> Tensor:
    """Return Hess(g) v of the pairs' gaps: exact, by differentiating twice.

    The gradient's graph is kept for all directions: about two gradient evaluations each. Where an
    operator has no second derivative of that kind, forward-mode differentiation is tried.

    Args:
        classifier: Gives the logits.
        points: Shape (N, C, H, W).
        source: Shape (N,).
        target: Other class of each pair, shape (N,).
        directions: M for all points, (M, C, H, W), or M for each, (M, N, C, H, W).

    Returns:
        Shape (M, N, C, H, W); all zero where the gap is piecewise linear.

    Raises:
        InputError: If the classifier cannot be differentiated twice.
        RuntimeError: If memory runs out.
    """
    each = [one.expand_as(points) for one in directions]
    for products in (_reverse_twice, _forward_over_reverse):
        try:
            return torch.stack(list(products(classifier, points, source, target, each)))
        except (RuntimeError, InputError) as error:  # an InputError from inside the classifier
            cause = error.__cause__ or error
            if ran_out_of_memory(error) or not isinstance(cause, RuntimeError):
                raise
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    raise InputError(
        f"the classifier should have second derivatives. Found that it has none: {reason}; give a "
        "scale, at which gradients are compared."
    )


def difference_products(
    classifier: Classifier,
    points: Tensor,
    source: Tensor,
    target: Tensor | None,
    directions: Tensor,
    scale: float,
) -> Tensor:
    """Return |v| [grad g(x + s v/|v|) - grad g(x - s v/|v|)] / 2s: the Hessian at a scale.

    Args:
        classifier: Gives the logits.
        points: Shape (N, C, H, W).
        source: Shape (N,).
        target: Other class of each pair, shape (N,); None for the region, whose gap is that of the
            leading class wherever it is looked at.
        directions: M for all points, (M, C, H, W), or M for each, (M, N, C, H, W).
        scale: s, input units.

    Returns:
        Shape (M, N, C, H, W).
    """
    sources, targets = source.repeat(2), None if target is None else target.repeat(2)
    found = torch.empty(len(directions), *points.shape, dtype=points.dtype, device=points.device)
    for product, direction in zip(found, directions, strict=True):
        whole = direction.expand_as(points)
        lengths = whole.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        step = (scale / torch.where(lengths > 0, lengths, 1.0)) * whole
        both = torch.cat([points + step, points - step])
        gradient = gap_gradient(classifier, both, sources, targets).gradient
        torch.sub(gradient[: len(points)], gradient[len(points) :], out=product)
        product.mul_(lengths / (2 * scale))
    return found


@dataclass(frozen=True, eq=False)
class ShapeOperator:
    """The shape operators S of N anchors, known by their products.

    Args of the constructor: the classifier; the anchors; ``scale``, at which central differences
    are taken, or None for the exact Hessian; ``surface``, ``pair`` or ``region`` (the exact Hessian
    is that of the pair, and so is the region's wherever the pair leads).
    """

    classifier: Classifier
    anchors: Anchors
    scale: float | None = None
    surface: str = PAIR

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise InputError(f"`scale` should be positive and finite. Found {self.scale}.")
        if self.surface not in SURFACES:
            raise InputError(f"`surface` should be pair or region. Found `{self.surface}`.")

    def __len__(self) -> int:
        return len(self.anchors)

    def products(self, directions: Tensor) -> Tensor:
        """Return S v, shape (M, N, C, H, W).

        Args:
            directions: M for all anchors, (M, C, H, W), or M for each, (M, N, C, H, W).
        """
        at = self.anchors
        tangents = torch.stack([at.tangent(one) for one in directions])
        if self.scale is None:
            found = hessian_products(self.classifier, at.point, at.source, at.target, tangents)
        else:
            target = at.target if self.surface == PAIR else None
            found = difference_products(
                self.classifier, at.point, at.source, target, tangents, self.scale
            )
        slope = at.slope.view(-1, 1, 1, 1)
        return torch.stack([at.tangent(one) / slope for one in found])

    def normal_curvatures(self, directions: Tensor) -> Tensor:
        """Return v'Sv / v'v for the tangent parts v of directions, (M, N).

        At most `_EXACT_AT_ONCE` products are held at a time; at a scale, one.

        Args:
            directions: As in `products`.
        """
        at_once = _EXACT_AT_ONCE if self.scale is None else 1
        return torch.cat([self._along(part) for part in torch.split(directions, at_once)])

    def _along(self, directions: Tensor) -> Tensor:
        at = self.anchors
        tangents = torch.stack([at.tangent(one) for one in directions]).flatten(2)
        lengths = (tangents**2).sum(2)
        found = (tangents * self.products(directions).flatten(2)).sum(2)
        return found / torch.where(lengths > 0, lengths, 1.0)

    def mean_curvatures(self, probes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return tr(S) / (D - 1) of each anchor and its standard error, (N,) each.

        Hutchinson's estimator: the mean of v'Sv over random signs.

        Args:
            probes: Random vectors, at least 2.
            generator: On the CPU.
        """
        shape = self.anchors.point.shape[1:]
        signs = 2.0 * (torch.rand(probes, *shape, generator=generator) < 0.5) - 1.0
        vectors = signs.to(self.anchors.point)
        products = self.products(vectors)
        found = (products * vectors[:, None]).flatten(2).sum(2) / (shape.numel() - 1)
        return found.mean(0), found.std(0) / probes**0.5

    def linear_operator(self, place: int) -> scipy.sparse.linalg.LinearOperator:
        """Return one anchor's S as a scipy operator on float64 vectors of length D."""
        one = ShapeOperator(
            self.classifier,
            self.anchors.subset(slice(place, place + 1)),
            self.scale,
            self.surface,
        )
        point = one.anchors.point
        numbers = point.numel()

        def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            direction = torch.from_numpy(np.ascontiguousarray(vector.ravel())).to(point)
            found = one.products(direction.view_as(point))
            return np.asarray(found.flatten().double().cpu().numpy())

        return scipy.sparse.linalg.LinearOperator(
            (numbers, numbers), matvec=product, rmatvec=product, dtype=np.float64
        )


@dataclass(frozen=True, eq=False)
class PrincipalCurvatures:
    """Principal curvatures of N points: all of them, or the extreme ones of both signs."""

    values: Tensor
    """(N, k), descending, 1 / input units; float64."""
    directions: Tensor
    """(N, k, C, H, W), orthonormal tangent directions; float64."""
    residual: Tensor
    """(N, k), |S v - value v|: an eigenvalue of S lies that near, where S is symmetric."""
    asymmetry: Tensor
    """(N,), |T - T'| / |T + T'| of S seen in the span of all directions looked at: 0 for an exact
    Hessian, and for a finite scale how far S is from an operator that has eigenvalues at all."""
    complete: bool
    """Whether these are all D - 1 of them."""


ALL_BELOW = 128
"""Numbers of an image up to which all principal curvatures are taken."""


def principal_curvatures(
    operator: ShapeOperator, count: int = 10, *, steps: int = 40, seed: int = 0
) -> PrincipalCurvatures:
    """Return the largest and the smallest principal curvatures of each anchor.

    For images of few numbers all of them, from the whole matrix on the tangent space; else by
    Lanczos' method with full reorthogonalisation, all anchors at once, which starts and stays in
    the tangent space. No D x D matrix is made.

    Args:
        operator: Of N anchors; the memory is N times ``2 steps + 1`` images, in float64.
        count: How many at each end.
        steps: Products with each operator, at least twice ``count``.
        seed: Of the random start.

    Raises:
        InputError: If ``count`` is not in 1..``steps / 2``.
    """
    anchors = operator.anchors
    numbers = anchors.point[0].numel()
    if numbers <= ALL_BELOW:
        basis = _tangent_basis(anchors.normal.flatten(1).double())
        images = _flat_products(operator, basis)
        return _ritz(basis, images, numbers - 1, anchors)
    if not 1 <= count <= steps // 2:
        raise InputError(f"`count` should lie in 1..{steps // 2}, half of `steps`. Found {count}.")
    generator = torch.Generator().manual_seed(seed)
    rounding = torch.finfo(anchors.point.dtype).eps ** 0.5
    basis = _random_tangents(anchors, generator)[:, None]
    images = basis[:, :0]
    for step in range(min(steps, numbers - 1)):
        image = _flat_products(operator, basis[:, -1:])
        images = torch.cat([images, image], 1)
        if step + 1 < min(steps, numbers - 1):
            added = _beside(basis, image[:, 0])
            # What rounding leaves is no direction: the span is closed under S, a new one goes on.
            closed = added.norm(dim=1) <= rounding * image[:, 0].norm(dim=1)
            other = _beside(basis, _random_tangents(anchors, generator))
            added = torch.where(closed[:, None], other, added)
            basis = torch.cat([basis, unit(added)[:, None]], 1)
    return _ritz(basis, images, 2 * count, anchors)


def _random_tangents(anchors: Anchors, generator: torch.Generator) -> Tensor:
    """Return a random unit tangent of each anchor, the same but for P, (N, D), float64."""
    point = anchors.point
    vector = torch.randn(point.shape[1:], dtype=torch.float64, generator=generator).to(point)
    return unit(anchors.tangent(vector).flatten(1)).double()


def _beside(basis: Tensor, vector: Tensor) -> Tensor:
    """Return what vectors (N, D) have beside orthonormal rows (N, k, D)."""
    for _ in range(2):
        vector = vector - torch.einsum("nk,nkd->nd", _inner(basis, vector), basis)
    return vector


def _inner(basis: Tensor, vector: Tensor) -> Tensor:
    return torch.einsum("nkd,nd->nk", basis, vector)


def _flat_products(operator: ShapeOperator, vectors: Tensor) -> Tensor:
    """Return S v of M vectors of each anchor, (N, M, D) to the same."""
    point = operator.anchors.point
    directions = vectors.transpose(0, 1).to(point).view(-1, *point.shape)
    return operator.products(directions).flatten(2).transpose(0, 1).double()


def _tangent_basis(normal: Tensor) -> Tensor:
    """Return orthonormal rows that span each tangent space, (N, D - 1, D): a reflection's."""
    first = torch.zeros_like(normal)
    first[:, 0] = torch.where(normal[:, 0] < 0, 1.0, -1.0)
    mirror = unit(normal - first)
    identity = torch.eye(normal.shape[1], dtype=normal.dtype, device=normal.device)
    return (identity - 2 * mirror[:, :, None] * mirror[:, None, :])[:, 1:]


def _ritz(basis: Tensor, images: Tensor, count: int, anchors: Anchors) -> PrincipalCurvatures:
    """Return the extreme eigenpairs of S seen in the span of a basis."""
    seen = basis @ images.transpose(1, 2)
    odd, even = seen - seen.transpose(1, 2), seen + seen.transpose(1, 2)
    values, turns = torch.linalg.eigh(even / 2)
    kept = torch.arange(values.shape[1], device=values.device)
    if count < values.shape[1]:
        kept = torch.cat([kept[: count // 2], kept[-(count // 2) :]])
    values, turns = values[:, kept].flip(1), turns[:, :, kept].flip(2).transpose(1, 2)
    directions = turns @ basis
    residual = (turns @ images - values[:, :, None] * directions).norm(dim=2)
    size = even.flatten(1).norm(dim=1)
    return PrincipalCurvatures(
        values=values,
        directions=directions.view(len(basis), len(kept), *anchors.point.shape[1:]),
        residual=residual,
        asymmetry=odd.flatten(1).norm(dim=1) / torch.where(size > 0, size, 1.0),
        complete=len(kept) == basis.shape[2] - 1,
    )


def _reverse_twice(
    classifier: Classifier, points: Tensor, source: Tensor, target: Tensor, each: list[Tensor]
) -> Iterator[Tensor]:
    # Fused attention has no second derivative; its plain form has.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        inputs = points.detach().requires_grad_()
        gap = logit_gap(classifier(inputs), source, target)
        if not gap.requires_grad:  # it does not depend on the input
            yield from (torch.zeros_like(points) for _ in each)
            return
        # The gradient is linear in these weights, so its derivative along v with respect to them is
        # grad g . v, unless some function passes its gradient on as if it were a constant.
        ones = torch.ones_like(gap, requires_grad=True)
        (gradient,) = torch.autograd.grad(gap, inputs, ones, create_graph=True)
        for place, direction in enumerate(each):
            wanted = (inputs,) if place else (inputs, ones)
            product, *along = torch.autograd.grad(
                gradient, wanted, direction, retain_graph=True, materialize_grads=True
            )
            if along and not _agree(along[0], gradient.detach(), direction):
                raise NotImplementedError("a part of it can be differentiated only once")
            yield product.detach()


def _agree(along: Tensor, gradient: Tensor, direction: Tensor) -> bool:
    """Return whether derivatives along a direction are those that the gradients give."""
    one, other = gradient.flatten(1), direction.flatten(1)
    error = (along - (one * other).sum(1)).abs()
    return bool((error <= _ONCE_TOLERANCE * one.norm(dim=1) * other.norm(dim=1)).all())


def _forward_over_reverse(
    classifier: Classifier, points: Tensor, source: Tensor, target: Tensor, each: list[Tensor]
) -> Iterator[Tensor]:
    def gap(images: Tensor) -> Tensor:
        return logit_gap(classifier(images), source, target).sum()

    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        # Of a classifier that looks at its images' numbers to say why it fails.
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True")
        for direction in each:
            found = torch.func.jvp(torch.func.grad(gap), (points,), (direction,))
            yield found[1].detach()
