"""Universal perturbations by the name of their algorithm, from the same images on equal terms."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from torch import Tensor

from analysis.ball import Ball
from analysis.deepfool_loop import deepfool_perturbation
from analysis.singular_vectors import Q, singular_perturbation
from analysis.subspace import Subspace
from analysis.universal import UniversalPerturbation, universal_perturbation
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.layers import layer_names

Algorithm = Literal["smooth_rate", "cross_entropy", "aggregated", "deepfool", "hidden_layer"]

ALGORITHMS: tuple[Algorithm, ...] = (
    "smooth_rate",
    "cross_entropy",
    "aggregated",
    "deepfool",
    "hidden_layer",
)

_AGGREGATED = 25
"""Steps ahead whose gradients are aggregated: 250 images in batches of 10, as the authors do."""

_IMAGES_OF_A_LAYER = 64
"""As many do for a hidden layer, by its authors."""

_LAYERS_NAMED = 12


@dataclass(frozen=True)
class Recipe:
    """What the algorithms have in common."""

    gradients: int
    """Image gradients that each may spend."""
    target: int | None = None
    """Class that images should be moved to; None: away from their own."""
    mirror: bool = False
    """Mirror images left to right one time in two."""
    layer: str | None = None
    """Hidden layer, by its name in the module."""
    q: float | None = None
    """Of the norm that measures how far the hidden layer moves; None: 5 in the l-infinity ball, as
    its authors do, and 1 in the Euclidean one, where larger q gather the vector on few pixels."""
    seed: int = 0


def make_universal(
    algorithm: Algorithm,
    classifier: Classifier,
    images: Tensor,
    ball: Ball,
    recipe: Recipe,
    *,
    subspace: Subspace | None = None,
    watch: Tensor | None = None,
    progress: bool = False,
) -> UniversalPerturbation:
    """Return the universal perturbation that an algorithm makes.

    Args:
        algorithm: ``smooth_rate``, ascent of the smooth fooling rate; ``cross_entropy``, of the
            clipped cross-entropy (Shafahi et al. 2020); ``aggregated``, the same with gradients
            aggregated (Liu et al. 2023); ``deepfool``, the loop over images (Moosavi-Dezfooli et
            al. 2017); ``hidden_layer``, a singular vector (Khrulkov and Oseledets 2018).
        classifier: Its own predictions of the clean images are the source classes.
        images: Shape (N, C, H, W).
        ball: The norm that the perturbation may have, and in which sense.
        recipe: Budget, seed and other options.
        subspace: Confine the perturbation to it; for the three ascents.
        watch: Other images, whose fooling rate is taken on the way and shown.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: If the algorithm is unknown or has no such option.
    """
    if algorithm in {"deepfool", "hidden_layer"}:
        _refuse_options(algorithm, target=recipe.target, subspace=subspace)
    if algorithm == "deepfool":
        return deepfool_perturbation(
            classifier,
            images,
            ball,
            gradients=recipe.gradients,
            watch=watch,
            seed=recipe.seed,
            progress=progress,
        )
    if algorithm == "hidden_layer":
        return singular_perturbation(
            classifier,
            images[:_IMAGES_OF_A_LAYER],
            ball,
            layer=_layer(classifier, recipe.layer),
            q=recipe.q or (Q if ball.p == inf else 1.0),
            seed=recipe.seed,
            progress=progress,
        )
    if algorithm not in ALGORITHMS:
        raise InputError(
            f"`algorithm` should be one of {', '.join(ALGORITHMS)}. Found `{algorithm}`."
        )
    return universal_perturbation(
        classifier,
        images,
        ball,
        gradients=recipe.gradients,
        loss="rate" if algorithm == "smooth_rate" else "cross_entropy",
        target=recipe.target,
        subspace=subspace,
        aggregate=_AGGREGATED if algorithm == "aggregated" else 1,
        mirror=recipe.mirror,
        watch=watch,
        seed=recipe.seed,
        progress=progress,
    )


def family_name(algorithm: Algorithm, p: float, *, inside: bool = False) -> str:
    """Return the family of a universal perturbation, such as ``universal smooth_rate l2``."""
    where = " in subspace" if inside else ""
    return f"universal {algorithm} {'linf' if p == inf else 'l2'}{where}"


def _refuse_options(algorithm: str, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(
                f"`{algorithm}` takes no `{name}`. Found one; leave it out, or take `smooth_rate`."
            )


def _layer(classifier: Classifier, layer: str | None) -> str:
    if layer is not None:
        return layer
    names = layer_names(classifier.module)
    shown = ", ".join(names[:_LAYERS_NAMED]) + (", ..." if len(names) > _LAYERS_NAMED else "")
    raise InputError(
        f"`layer` should be given for `hidden_layer`: one of the {len(names)} parts of the model "
        f"({shown}); early ones fool most."
    )
