"""What the theory says of fooling and of margins in subspaces, beside what is measured.

The theorems of the ICLR 2018 paper on universal perturbations (arXiv 1705.09554) bound the norm at
which vectors of a subspace fool most images, for a flat and for a curved boundary; the law of
margins in random subspaces is that of the NIPS 2016 paper (arXiv 1608.08967).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import e, inf, log, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.subspace import Subspace
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.nearest import nearest_boundary_points
from boundary.progress import progress_bar


def flat_bound(dimension: int, delta: float, captured: float) -> float:
    """Return a norm at which some vector of a subspace fools a share 1 - delta, if all is flat.

    In units of |r|, r the displacement to the nearest boundary point, the same for all images:
    sqrt(e R) / (delta captured). It rests on P(u_1^2 <= beta / R) <= sqrt(e beta), u uniform on the
    unit sphere of R dimensions, and on a flat boundary seen from both sides: |v'r| >= |r|^2 fools.
    It is loose for a small delta.

    Args:
        dimension: R of the subspace S.
        delta: Share of images that need not be fooled.
        captured: 1 - tau, the smallest |P_S r| / |r| over images.

    Raises:
        InputError: If an argument is out of range.
    """
    _require_count("dimension", dimension)
    _require_open_share("delta", delta)
    if not 0 < captured <= 1:
        raise InputError(f"`captured` should lie above 0, at most 1. Found {captured}.")
    return sqrt(e * dimension) / (delta * captured)


def curved_bound(dimension: int, curvature: float, delta: float, *, margin: float) -> float:
    """Return a norm at which vectors of a subspace fool a share 1 - delta, if all is curved.

    In input units kappa^-1 sqrt(2 ln(2 / delta) / R) + sqrt(margin / kappa), where the theorem's
    kappa is *half* a principal curvature: its quadratic form lacks the 1/2 of a Taylor expansion.
    The halving is done here. The first term covers that v may point inwards: |n.v| / |v| <= t =
    sqrt(2 ln(2 / delta) / R) but for a share delta, and kappa rho^2 - t rho - margin >= 0 fools.

    Args:
        dimension: R of the subspace.
        curvature: A principal curvature, or a normal curvature along the subspace's directions,
            positive where the boundary bends towards the image, 1 / input units: 1 / r for a ball.
        delta: Share of images, or of vectors, that need not be fooled.
        margin: |r|, distance from the image to its nearest boundary point, input units.

    Raises:
        InputError: If an argument is out of range.
    """
    _require_count("dimension", dimension)
    _require_open_share("delta", delta)
    for name, value in (("curvature", curvature), ("margin", margin)):
        if not 0 < value < inf:
            raise InputError(f"`{name}` should be positive and finite. Found {value}.")
    kappa = curvature / 2
    return sqrt(2 * log(2 / delta) / dimension) / kappa + sqrt(margin / kappa)


def noise_bounds(ambient_dimension: int, dimension: int, delta: float) -> tuple[float, float]:
    """Return between what the margin in a random subspace lies, in margins, for a flat boundary.

    (sqrt(zeta_1 D / R), sqrt(zeta_2 D / R)); each is passed with probability at most delta (NIPS
    2016, theorem 1).

    Args:
        ambient_dimension: D.
        dimension: R.
        delta: Probability.

    Raises:
        InputError: If an argument is out of range.
    """
    _require_open_share("delta", delta)
    if not 1 <= dimension <= ambient_dimension:
        raise InputError(f"`dimension` should lie in 1..{ambient_dimension}. Found {dimension}.")
    tail = log(1 / delta) / dimension
    lower = 1 / (1 + 2 * sqrt(tail) + 2 * tail)
    rest = delta ** (2 / dimension)
    upper = 1 / max(rest / e, 1 - sqrt(2 * (1 - rest)))
    law = ambient_dimension / dimension
    return sqrt(lower * law), sqrt(upper * law)


@dataclass(frozen=True, eq=False)
class SubspaceMargins:
    """Distances of N images to the boundary within subspaces, and without that limit."""

    dimensions: NDArray[np.int64]
    """(subspaces,), R of each."""
    margins: NDArray[np.float64]
    """(subspaces, N), input units; infinite where the subspace met no boundary."""
    full: NDArray[np.float64]
    """(N,), margin in all of image space, input units; infinite where not found."""
    ambient_dimension: int
    """D."""

    @property
    def met(self) -> NDArray[np.bool_]:
        """(N,), images that met the boundary in every subspace and without."""
        return np.isfinite(self.margins).all(0) & np.isfinite(self.full)

    @property
    def median_ratio(self) -> NDArray[np.float64]:
        """(subspaces,), median margin over full margin of the images met; NaN if there is none."""
        if not self.met.any():
            return np.full(len(self.dimensions), np.nan)
        return np.asarray(np.median(self.margins[:, self.met] / self.full[self.met], axis=1))

    @property
    def law(self) -> NDArray[np.float64]:
        """(subspaces,), sqrt(D / R): what random subspaces give for a flat boundary."""
        return np.sqrt(self.ambient_dimension / self.dimensions)

    def bounds(self, delta: float) -> NDArray[np.float64]:
        """Return between what ratios lie if subspaces are random and all is flat, (2, subspaces).

        Args:
            delta: Probability beyond either end.
        """
        ends = [noise_bounds(self.ambient_dimension, int(R), delta) for R in self.dimensions]
        return np.array(ends).T


def subspace_margins(
    classifier: Classifier,
    images: Tensor,
    subspaces: Sequence[Subspace],
    *,
    max_gradients: int = 40,
    max_margin: float | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> SubspaceMargins:
    """Return how far the boundary is from each image within each of several subspaces.

    Args:
        classifier: Whose boundary it is.
        images: Shape (N, C, H, W), inside the classifier's bounds; batches are moved to its device.
        subspaces: Nested ones make their margins comparable image by image.
        max_gradients: The most backward passes spent on an image, for each subspace.
        max_margin: Distance beyond which a boundary counts as not met, input units; by default the
            diagonal of the input box.
        batch_size: Images of one search.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: If there are no images, or an option cannot be used.
    """
    dimensions = np.array([subspace.dimension for subspace in subspaces], dtype=np.int64)
    _require_count("batch_size", batch_size)
    if not len(images):
        raise InputError("`images` should hold at least one image. Found none.")
    bases = [None, *(torch.from_numpy(subspace.basis) for subspace in subspaces)]
    parts = []
    with progress_bar("subspace margins", len(images), "images", shown=progress) as bar:
        for batch in torch.split(images, batch_size):
            placed = classifier.place(batch)
            found = [
                nearest_boundary_points(
                    classifier,
                    placed,
                    subspace=basis,
                    max_gradients=max_gradients,
                    max_margin=max_margin,
                ).margin
                for basis in bases
            ]
            parts.append(torch.stack(found).double().cpu().numpy())
            bar.update(len(batch))
    margins = np.concatenate(parts, axis=1)
    return SubspaceMargins(dimensions, margins[1:], margins[0], images[0].numel())


def _require_open_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise InputError(f"`{name}` should lie between 0 and 1. Found {value}.")


def _require_count(name: str, value: int) -> None:
    if value < 1:
        raise InputError(f"`{name}` should be at least 1. Found {value}.")
