"""The shared curved subspace S_c: directions along which the boundaries of many images bend alike.

Two ways to it, from the anchors of many images:

- the leading eigenvectors of the mean shape operator, known by its products at a scale
  (`mean_curvature_pairs`). At a large scale that operator is not linear, so its asymmetry and its
  failure of additivity come with the result;
- ascent of the mean curvature of an orthonormal frame (`analysis.ascent`), which needs no
  linearity.

Curvature in the sample that made a subspace says little: it is judged at anchors that had no part
in it.

The *reference mode* keeps the recipe of the authors of the ICLR 2018 paper, as its port to the code
of the NeurIPS 2018 paper has it: points at x + 0.8 r, short of the boundary, no projection, no
division by the slope, and a step of sqrt(D) range / 512 * 10. Its gap is the negative of this
project's; here the project's sign stands.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.checkpoints import NOT_KEPT, Checkpoint
from analysis.krylov import new_directions
from boundary.anchors import PAIR, REGION, Anchors
from boundary.classifier import Classifier
from boundary.curvature import ShapeOperator, difference_products
from boundary.errors import InputError
from boundary.progress import progress_bar
from boundary.ranks import ALONE, Ranks

REFERENCE_STEP = 10 / 512
"""Of sqrt(D) times the range of the input: the authors' step."""

CURVED = "curved"
"""Family of the random vectors of S_c."""

_ADDITIVITY_PAIRS = 5


@dataclass(frozen=True, eq=False)
class MeanShapeOperator:
    """v -> the mean over anchors of S v, at a scale or exact; several processes share the anchors.

    With ``projected`` false it is the mean of Hess(g) v itself: neither P nor 1 / |grad g|.
    """

    classifier: Classifier
    anchors: Anchors
    """Those of this process."""
    scale: float | None
    """s of central differences, input units; None for the exact Hessian."""
    surface: str = REGION
    batch_size: int = 64
    projected: bool = True
    ranks: Ranks = ALONE
    places: Tensor | None = None
    """Of this process's anchors among those of all, ascending; by default the processes hold them
    in turn: place 0 is the first process's, place 1 the second's."""

    @property
    def count(self) -> int:
        """n, the anchors of all processes."""
        return sum(self.ranks.gather(len(self.anchors)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.anchors.point.shape[1:])

    def products(self, rows: Tensor) -> Tensor:
        """Return the mean of S v for M directions, (M, D) to the same, float64 on the CPU."""
        total = self._sum(rows)
        self.ranks.sum(total)
        return total / self.count

    def normals(self, places: Tensor) -> Tensor:
        """Return the unit normals at some anchors, (M, D), float64 on the CPU."""
        some = self.subset(places)
        rows = torch.zeros(len(places), int(np.prod(self.shape)), dtype=torch.float64)
        rows[some._known] = some.anchors.normal.flatten(1).double().cpu()
        self.ranks.sum(rows)
        return rows

    def subset(self, places: NDArray[np.intp] | Tensor) -> "MeanShapeOperator":
        """Return the mean over some anchors, by their places among those of all processes.

        In what is returned they have the places 0, 1, 2, ... in the order given.
        """
        wanted, known = torch.as_tensor(places), self._known
        here = torch.isin(wanted, known).nonzero().squeeze(1)
        own = torch.searchsorted(known, wanted[here])
        return replace(self, anchors=self.anchors.subset(own), places=here)

    @property
    def _known(self) -> Tensor:
        """Places of this process's anchors."""
        first, step = self.ranks.rank, self.ranks.count
        in_turn = torch.arange(first, first + step * len(self.anchors), step)
        return in_turn if self.places is None else self.places

    def _sum(self, rows: Tensor) -> Tensor:
        vectors = rows.to(self.anchors.point).view(-1, *self.shape)
        total = torch.zeros(rows.shape, dtype=torch.float64)
        for start in range(0, len(self.anchors), self.batch_size):
            part = self.anchors.subset(slice(start, start + self.batch_size))
            found = self._products(part, vectors)
            total += found.flatten(2).double().sum(1).cpu()
        return total

    def _products(self, at: Anchors, vectors: Tensor) -> Tensor:
        if self.projected:
            return ShapeOperator(self.classifier, at, self.scale, self.surface).products(vectors)
        assert self.scale is not None, "the reference mode has a step"
        target = at.target if self.surface == PAIR else None
        return difference_products(
            self.classifier, at.point, at.source, target, vectors, self.scale
        )


def reference_step(shape: tuple[int, ...], bounds: tuple[float, float]) -> float:
    """Return the step of the reference mode, input units: sqrt(D) range / 512 * 10."""
    return float(np.sqrt(np.prod(shape)) * (bounds[1] - bounds[0]) * REFERENCE_STEP)


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Eigenvalues of a mean shape operator and their directions."""

    values: NDArray[np.float64]
    """(R,), mean curvature along each direction in the sample, 1 / input units."""
    directions: NDArray[np.float64]
    """(R, D), orthonormal."""
    residual: NDArray[np.float64]
    """(R,), |A v - value v|."""


@dataclass(frozen=True, eq=False)
class CurvaturePairs:
    """What the eigenvectors of a mean shape operator say, and how far it is from having any."""

    positive: Eigenpairs
    """Largest first: the boundary bends towards the images."""
    negative: Eigenpairs
    """Smallest first: it bends away."""
    flattest: Eigenpairs
    """Nearest to zero first, of the span that was searched."""
    asymmetry: float
    """|T - T'| / |T + T'| of the operator in that span; 0 where it is symmetric."""
    additivity: float
    """Mean of |A(u + v) - A u - A v| / (|A u| + |A v|) over pairs of leading directions."""
    gradients: int
    """Input gradients spent: images times directions times two."""
    images: int
    """n that made it."""


@dataclass(frozen=True, eq=False)
class KrylovState:
    """A block Krylov method between two passes."""

    passes: int
    """Made."""
    basis: NDArray[np.float64]
    """(D, columns)."""
    images: NDArray[np.float64]
    """(D, columns), products with it."""
    newest: NDArray[np.float64]
    """(D, block), what is to be multiplied next."""


def mean_curvature_pairs(
    operator: MeanShapeOperator,
    dimension: int,
    *,
    passes: int = 4,
    seed: int = 0,
    title: str = "curved directions",
    additivity: bool = True,
    progress: bool = False,
    checkpoint: Checkpoint = NOT_KEPT,
) -> CurvaturePairs:
    """Return the leading eigenvectors of both signs of a mean shape operator.

    A block Krylov method from a random start: each pass multiplies the newest block, and Rayleigh
    and Ritz's best vectors of all blocks together follow. Eigenvalues beyond those that many passes
    separate have large residuals.

    Args:
        operator: Of the images that make the subspace.
        dimension: R, directions of each sign.
        passes: Products with a block of about 1.5 R directions.
        seed: Of the start.
        title: Of the progress bar.
        additivity: Take the failure to be additive, which costs fifteen products; else it is 0.
        progress: Show one on standard error.
        checkpoint: Where the state after a pass is kept, and looked for.

    Raises:
        InputError: If there are fewer numbers than directions.
    """
    require_room(dimension, passes, int(np.prod(operator.shape)))
    state = checkpoint.load(KrylovState)
    if state is None:
        state = _random_block(operator, _block(dimension), seed)
    with progress_bar(title, passes, "passes", shown=progress and operator.ranks.first) as bar:
        bar.update(state.passes)
        while state.passes < passes and state.newest.shape[1]:
            state = _multiplied(operator, state)
            checkpoint.keep(state)
            bar.update(1)
    basis, images = torch.from_numpy(state.basis), torch.from_numpy(state.images)
    seen = basis.T @ images
    values, turns = torch.linalg.eigh((seen + seen.T) / 2)
    size = torch.linalg.matrix_norm(seen + seen.T)
    odd = torch.linalg.matrix_norm(seen - seen.T)

    def chosen(places: Tensor) -> Eigenpairs:
        vectors = basis @ turns[:, places]
        residual = images @ turns[:, places] - values[places] * vectors
        directions = vectors.T.contiguous().numpy()
        return Eigenpairs(values[places].numpy(), directions, residual.norm(dim=0).numpy())

    order = torch.arange(len(values))
    positive = chosen(order.flip(0)[:dimension])
    failure, more = 0.0, 0
    if additivity:
        failure, more = _additivity(operator, torch.from_numpy(positive.directions))
    return CurvaturePairs(
        positive=positive,
        negative=chosen(order[:dimension]),
        flattest=chosen(values.abs().argsort()[:dimension]),
        asymmetry=float(odd / size) if size > 0 else 0.0,
        additivity=failure,
        gradients=2 * operator.count * (basis.shape[1] + more),
        images=operator.count,
    )


def _random_block(operator: MeanShapeOperator, width: int, seed: int) -> KrylovState:
    """Return the start of a block Krylov method."""
    side = int(np.prod(operator.shape))
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(side, width, dtype=torch.float64, generator=generator)
    newest = torch.linalg.qr(start).Q.contiguous().numpy()  # as it is read: products round alike
    return KrylovState(0, newest[:, :0], newest[:, :0], newest)


def _multiplied(operator: MeanShapeOperator, state: KrylovState) -> KrylovState:
    """Return the state after one more pass."""
    image = operator.products(torch.from_numpy(state.newest.T)).T
    basis = np.hstack([state.basis, state.newest])
    newest = new_directions(image, torch.from_numpy(basis)).contiguous()
    images = np.hstack([state.images, image.numpy()])
    return KrylovState(state.passes + 1, basis, images, newest.numpy())


def require_room(dimension: int, passes: int, side: int) -> None:
    """Refuse more directions than a block Krylov method of so many passes can tell apart.

    Args:
        dimension: R.
        passes: Products with a block.
        side: D.

    Raises:
        InputError: If there are too many, or none.
    """
    if dimension < 1 or _block(dimension) * passes > side:
        most = max((R for R in range(1, side) if _block(R) * passes <= side), default=0)
        raise InputError(
            f"`dimension` should lie in 1..{most}, as images have {side} numbers and {passes} "
            f"passes are made. Found {dimension}."
        )


def _block(dimension: int) -> int:
    """Return how many directions a pass multiplies."""
    return dimension + max(2, dimension // 2)


def _additivity(operator: MeanShapeOperator, directions: Tensor) -> tuple[float, int]:
    """Return by how much the operator fails to be additive, and how many products it took."""
    pairs = min(_ADDITIVITY_PAIRS, len(directions) // 2)
    if not pairs:
        return 0.0, 0
    one, other = directions[:pairs], directions[pairs : 2 * pairs]
    found = operator.products(torch.cat([one, other, one + other]))
    first, second, both = found.view(3, pairs, -1)
    size = first.norm(dim=1) + second.norm(dim=1)
    error = (both - first - second).norm(dim=1)
    return float((error / torch.where(size > 0, size, 1.0)).mean()), 3 * pairs


def shared_energy(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the mean squared cosine of the principal angles of two frames; R/D if random."""
    return float(((one @ other.T) ** 2).sum() / min(len(one), len(other)))
