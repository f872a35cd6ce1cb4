"""What every universal perturbation is held against: directions that cost nothing to find.

A random vector of the shared subspace may fool well because the normals share directions, or
because *any* vector of that smoothness does, or any single displacement (Moosavi-Dezfooli et al.,
CVPR 2017, Fig. 8: 37 % by one image's, 38 % by the subspace). Each is one function here.
"""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from analysis.gram import Matrix, blocks, rows_of
from analysis.perturbations import Perturbations
from analysis.spectrum import SingularSpectrum
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.memory import halving, summed


def single_displacements(
    normals: Matrix, shape: tuple[int, ...], count: int, norm: float, *, seed: int = 0
) -> Perturbations:
    """Return the displacements of some images to their boundary points, each scaled to a norm.

    At a nearest boundary point displacement and normal are parallel, so the normals are taken.

    Args:
        normals: Unit rows, (n, D).
        shape: (C, H, W) with D numbers.
        count: How many, n at most.
        norm: Euclidean length of each, input units.
        seed: Of which images.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(normals.shape[0])[:count])
    rows = torch.from_numpy(np.asarray(rows_of(normals, chosen)[:], dtype=np.float64))
    return Perturbations.of("displacement", rows.view(-1, *shape), norm)


def displacement_sum(
    normals: Matrix, margins: NDArray[np.float64], shape: tuple[int, ...], norm: float
) -> Perturbations:
    """Return the sum of all displacements, margin times normal, scaled to a norm.

    Args:
        normals: Unit rows, (n, D).
        margins: (n,), distance of each image from its boundary point.
        shape: (C, H, W) with D numbers.
        norm: Euclidean length, input units.
    """
    total = np.zeros(normals.shape[1])
    for part, block in blocks(normals, by_rows=True):
        total += margins[part] @ block
    return Perturbations.of("displacement sum", torch.from_numpy(total).view(*shape), norm)


def mean_image(images: Tensor, norm: float) -> Perturbations:
    """Return the mean image, scaled to a norm.

    Args:
        images: Shape (N, C, H, W).
        norm: Euclidean length, input units.
    """
    return Perturbations.of("mean image", images.mean(0, dtype=torch.float64), norm)


def gradient_sign(
    classifier: Classifier, images: Tensor, norm: float, *, batch_size: int = 64
) -> Perturbations:
    """Return the signs of the gradient of the mean cross-entropy, scaled to a Euclidean norm.

    One step of the fast gradient sign method (Goodfellow et al., ICLR 2015) for all images at
    once, away from the classifier's own predictions.

    Args:
        classifier: Its own predictions are the labels.
        images: Shape (N, C, H, W), inside the bounds; moved to the classifier in batches.
        norm: Euclidean length, input units.
        batch_size: Images in one pass.

    Raises:
        InputError: If the images cannot be used, or the gradient is zero everywhere.
    """
    total = torch.zeros_like(classifier.place(images[:1]))
    for part in torch.split(images, batch_size):
        placed = classifier.place(part)
        classifier.check(placed)
        slope_of = partial(_loss_slope, classifier, placed)
        total += halving(slope_of, len(placed), summed)
    if not total.any():
        raise InputError(
            "the mean loss should depend on the images. Found a gradient of zero everywhere; check "
            "that the model can be differentiated."
        )
    return Perturbations.of("gradient sign", total[0].sign(), norm)


def _loss_slope(classifier: Classifier, images: Tensor, rows: slice) -> Tensor:
    """Return the gradient of the summed cross-entropy with respect to one vector added to all."""
    with torch.enable_grad():
        vector = torch.zeros_like(images[:1]).requires_grad_()
        logits = classifier(images[rows] + vector)
        loss = functional.cross_entropy(logits, logits.detach().argmax(1), reduction="sum")
        if not loss.requires_grad:  # the logits do not depend on the input
            return torch.zeros_like(vector)
        (slope,) = torch.autograd.grad(loss, vector)
    return slope


def singular_pairs(
    spectrum: SingularSpectrum, shape: tuple[int, ...], count: int, norm: float
) -> Perturbations:
    """Return the leading singular vectors with both signs: first, minus first, second, ....

    Args:
        spectrum: Whose directions are taken.
        shape: (C, H, W) of an image.
        count: How many vectors, two of each direction.
        norm: Euclidean length of each, input units.
    """
    leading = torch.from_numpy(spectrum.directions[: max(1, count // 2)])
    both = torch.stack([leading, -leading], 1).view(-1, *shape)
    return Perturbations.of("singular vectors", both, norm, sampled=False)
