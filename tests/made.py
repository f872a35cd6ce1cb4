"""Results made up for tests of figures and of the report."""

from math import inf

import numpy as np
from numpy.typing import NDArray

from analysis import FoolingRate, LabelFlows, NaturalResult, Subspace, naturalness
from analysis.learning import LearnedRate
from analysis.results import MadeUniversal, UniversalResult
from analysis.transfer import SharedGeometry, TransferMatrix, TransferResult


def outcomes(share: float, draws: int = 1, images: int = 50) -> NDArray[np.bool_]:
    """Return outcomes of which exactly a share is fooled by every draw."""
    return np.tile(np.arange(images) < round(images * share), (draws, 1))


def made(algorithm: str, p: float, share: float, dimension: int = 60) -> MadeUniversal:
    """Return a universal perturbation that fools a share of others, and more of its own."""
    norm = 2.0 if p == 2 else 0.04
    inside = " in subspace" if dimension < 60 else ""
    family = f"universal {algorithm} {'l2' if p == 2 else 'linf'}{inside}"

    def rates(share: float) -> tuple[FoolingRate, ...]:
        return tuple(
            FoolingRate(family, dimension, norm, clipped, outcomes(share - less), p)
            for clipped, less in ((False, 0.0), (True, 0.1))
        )

    return MadeUniversal(
        algorithm=algorithm,
        vector=np.full((3, 4, 5), norm / 60**0.5 if p == 2 else norm),
        images_used=400,
        forward_passes=4400,
        backward_passes=4000,
        spent=np.arange(1, 21) * 200,
        watched=np.linspace(0.1, share, 20),
        own=rates(share + 0.1),
        others=rates(share),
    )


def universal_result(class_names: tuple[str, ...] = ()) -> UniversalResult:
    """Return a result with three perturbations, two curves and the labels of both norms."""
    learning = [
        LearnedRate(count, FoolingRate("universal", 60, 2.0, False, outcomes(share)))
        for count, share in ((50, 0.3), (100, 0.5), (200, 0.6))
    ]
    learning += [
        LearnedRate(count, FoolingRate("subspace", 10, 2.0, False, outcomes(share, draws=4)))
        for count, share in ((50, 0.2), (100, 0.25), (200, 0.3), (390, 0.34))
    ]
    source = np.arange(50) % 5
    flows = tuple(
        LabelFlows(
            f"universal smooth_rate {'l2' if p == 2 else 'linf'}",
            2.0 if p == 2 else 0.04,
            p,
            False,
            5,
            source,
            np.where(np.arange(50) < 30, 2, source),
            class_names,
        )
        for p in (2.0, inf)
    )
    return UniversalResult(
        found=(
            made("smooth_rate", 2.0, 0.7),
            made("smooth_rate", inf, 0.8),
            made("smooth_rate", 2.0, 0.5, dimension=10),
        ),
        noise=tuple(
            FoolingRate(name, 60, norm, clipped, outcomes(0.2, draws=4), p)
            for name, norm, p in (("sphere", 2.0, 2.0), ("random signs", 0.04, inf))
            for clipped in (False, True)
        ),
        target=-1,
        learning=tuple(learning),
        labels=flows,
        reference_norm=2.0,
        reference_dimension=10,
        mean_image_norm=20.0,
        seed=23,
    )


def transfer_result() -> TransferResult:
    """Return three models, the last with images of another size."""
    models, R = 3, 4
    rates = tuple(
        FoolingRate("universal smooth_rate l2", 60, 2.0, False, outcomes(0.8 - 0.1 * place))
        for place in range(models**2)
    )
    inside = tuple(
        FoolingRate("subspace", 10, 2.0, False, outcomes(0.3, draws=4)) for _ in range(models**2)
    )
    noise = tuple(
        FoolingRate("sphere", 60, 2.0, False, outcomes(0.1, draws=4)) for _ in range(models)
    )
    shared = np.full((models, models), 0.2)
    shared[2, :2] = shared[:2, 2] = np.nan
    np.fill_diagonal(shared, 1.0)
    angles = np.arccos(np.sqrt(shared))[:, :, None].repeat(R, axis=2)
    return TransferResult(
        models=("net <b>", "$other$", "a model with a long name"),
        matrices=(
            TransferMatrix("universal smooth_rate l2", 2.0, rates, noise),
            TransferMatrix("subspace", 2.0, inside, noise),
        ),
        norms=np.full(models, 2.0),
        sizes=np.array([[3, 4, 5], [3, 4, 5], [3, 8, 8]]),
        geometry=SharedGeometry(
            dimension=R,
            ambient_dimension=np.array([60, 60, 192]),
            judged=np.full(models, 20),
            energy=shared / 2,
            energy_low=shared / 2 - 0.01,
            energy_high=shared / 2 + 0.01,
            matched=shared / 4,
            beyond_low=shared / 4 - 0.02,
            angles=angles,
            random_angles=np.full((models, 5, R), 1.3),
        ),
    )


def natural_result() -> NaturalResult:
    """Return how noise of a falling spectrum compares with a few directions."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal((40, 3, 4, 5)).cumsum(axis=2) / 10 + 0.5
    subspace = Subspace(np.eye(60)[:5])
    families = {"universal smooth_rate l2": generator.standard_normal((1, 3, 4, 5))}
    return naturalness(images, subspace, families, draws=20)
