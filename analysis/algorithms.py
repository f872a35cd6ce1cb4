"""Universal perturbations by the name of their algorithm, from the same images on equal terms."""

import re
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor

from analysis.ball import Ball
from analysis.deepfool_loop import deepfool_perturbation
from analysis.singular_vectors import Q, singular_perturbation
from analysis.subspace import Subspace
from analysis.universal import BATCH, UniversalPerturbation, universal_perturbation
from boundary.classifier import Classifier
from boundary.errors import InputError, did_you_mean
from boundary.layers import layer_names

Algorithm = Literal["smooth_rate", "cross_entropy", "aggregated", "deepfool", "hidden_layer"]

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

_AGGREGATED = 25
"""Steps ahead whose gradients are aggregated: 250 images in batches of 10, as the authors do."""

_FEWEST_UPDATES = 20
"""Steps ahead are fewer where the gradients would not do for as many updates."""

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

    def q_in(self, ball: Ball) -> float:
        """Return q, the one of the ball where none is given."""
        return self.q or (Q if ball.p == inf else 1.0)

    def used_by(self, algorithm: Algorithm) -> dict[str, Any]:
        """Return the options that an algorithm makes use of."""
        options: dict[str, Any] = {"gradients": self.gradients, "seed": self.seed}
        if algorithm == "hidden_layer":
            return {"layer": self.layer, "seed": self.seed}
        if algorithm == "deepfool":
            return options
        return {**options, "target": self.target, "mirror": self.mirror}


def check_recipe(algorithm: Algorithm, classifier: Classifier, recipe: Recipe) -> None:
    """Refuse what an algorithm cannot do, before anything is computed.

    Args:
        algorithm: Its name.
        classifier: Whose perturbation it makes.
        recipe: Options.

    Raises:
        InputError: If there is no such algorithm or layer, or it has no such option.
    """
    if algorithm not in ALGORITHMS:
        raise InputError(
            f"`algorithm` should be one of {', '.join(ALGORITHMS)}. Found `{algorithm}`."
        )
    if algorithm in {"deepfool", "hidden_layer"}:
        for name, given in (("target", recipe.target is not None), ("mirror", recipe.mirror)):
            if given:
                raise InputError(
                    f"`{algorithm}` takes no `{name}`. Found one; leave it out, or take "
                    "`smooth_rate`."
                )
    if algorithm == "hidden_layer":
        _require_layer(classifier, recipe.layer)


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
    check_recipe(algorithm, classifier, recipe)
    if subspace is not None and algorithm in {"deepfool", "hidden_layer"}:
        raise InputError(
            f"`{algorithm}` takes no `subspace`. Found one; leave it out, or take `smooth_rate`."
        )
    inside = subspace is not None
    name = family_name(algorithm, ball.p, inside=inside, target=recipe.target)
    title = f"{name}, {len(images)} images"
    if algorithm == "deepfool":
        return deepfool_perturbation(
            classifier,
            images,
            ball,
            gradients=recipe.gradients,
            watch=watch,
            seed=recipe.seed,
            progress=progress,
            title=title,
        )
    if algorithm == "hidden_layer":
        return singular_perturbation(
            classifier,
            images[:_IMAGES_OF_A_LAYER],
            ball,
            layer=str(recipe.layer),
            q=recipe.q_in(ball),
            seed=recipe.seed,
            progress=progress,
        )
    return universal_perturbation(
        classifier,
        images,
        ball,
        gradients=recipe.gradients,
        loss="rate" if algorithm == "smooth_rate" else "cross_entropy",
        target=recipe.target,
        subspace=subspace,
        aggregate=_steps_ahead(recipe.gradients) if algorithm == "aggregated" else 1,
        mirror=recipe.mirror,
        watch=watch,
        seed=recipe.seed,
        progress=progress,
        title=title,
    )


def _steps_ahead(gradients: int) -> int:
    return max(1, min(_AGGREGATED, gradients // (BATCH * _FEWEST_UPDATES)))


def family_name(
    algorithm: Algorithm, p: float, *, inside: bool = False, target: int | None = None
) -> str:
    """Return the family of a universal perturbation, such as ``universal smooth_rate l2``.

    Args:
        algorithm: Its name.
        p: Of its norm.
        inside: Whether it is confined to the subspace.
        target: Class that it moves images to, if any.
    """
    aim = "" if target is None else f" to class {target}"
    where = " in subspace" if inside else ""
    return f"universal {algorithm} {'linf' if p == inf else 'l2'}{aim}{where}"


class UniversalParts(NamedTuple):
    """What the family of a universal perturbation says."""

    algorithm: str
    p: float
    """Of its norm."""
    target: int | None
    """Class that it moves images to, if any."""
    inside: bool
    """Whether it is confined to the subspace."""


_FAMILY = re.compile(r"universal (\w+) (l2|linf)(?: to class (\d+))?( in subspace)?")


def universal_parts(family: str) -> UniversalParts | None:
    """Return what `family_name` was made of; None of other families."""
    found = _FAMILY.fullmatch(family)
    if found is None:
        return None
    algorithm, ball, target, inside = found.groups()
    p = inf if ball == "linf" else 2.0
    return UniversalParts(algorithm, p, None if target is None else int(target), bool(inside))


def _require_layer(classifier: Classifier, layer: str | None) -> None:
    names = layer_names(classifier.module)
    if layer in names:
        return
    shown = ", ".join(names[:_LAYERS_NAMED]) + (", ..." if len(names) > _LAYERS_NAMED else "")
    found = "none" if layer is None else f"`{layer}`"
    close = "" if layer is None else did_you_mean(layer, names)
    raise InputError(
        f"`layer` should be one of the {len(names)} parts of the model ({shown}); early ones fool "
        f"most. Found {found}{close or '.'}"
    )
