"""Results made up for tests of figures and of the report."""

from dataclasses import replace
from functools import cache
from math import inf

import numpy as np
from numpy.typing import NDArray

from analysis import FoolingRate, LabelFlows, NaturalResult, Subspace, naturalness
from analysis.bounds import Bound, BoundRow
from analysis.curvature_sweep import ANCHORS, IMAGE, NEAREST, RANDOM, CurvatureCurve
from analysis.curved_checks import FLATTEST, METHODS, NEGATIVE, CurvedSubspace, LearnedCurvature
from analysis.curved_classes import ClassCurvature
from analysis.detector import Detector
from analysis.hypothesis import corrected_rows, item_verdicts
from analysis.hypothesis_items import (
    correlation_rows,
    curvature_rows,
    fooling_rows,
    half_rows,
    mirror_rows,
    sharing_rows,
)
from analysis.learning import LearnedRate
from analysis.planes import BoundarySections, RegionMap
from analysis.predicted import PredictionRow, prediction_quality
from analysis.profile import CurvatureProfile
from analysis.results import CurvatureResult, MadeUniversal, UniversalResult
from analysis.theorems import SubspaceMargins
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


OTHER_MODEL = "curved of net <b>$x$</b> (run)"
SCALES = (0.5, 1.0, 2.0)
_FAMILIES = (
    "curved",
    "curved (eigenvectors)",
    "curved (negative eigenvectors)",
    "curved (flattest eigenvectors)",
    "curved (reference)",
    OTHER_MODEL,
    "subspace",
    "spectrum-matched",
    "sphere",
    "universal smooth_rate l2",
)
_RIVALS = ("sphere", "subspace", "spectrum-matched")


def curves(bent: tuple[float, ...]) -> list[CurvatureCurve]:
    """Return noise around 0, and around other means along S_c.

    Those are ``bent`` at each scale on the region at the nearest boundary point, their negative on
    the pair, and 1 at the image itself.
    """
    generator = np.random.default_rng(3)
    found = []
    for anchor, points in ((NEAREST, 20), (RANDOM, 4), (IMAGE, 20)):
        for estimator in ("values", "gradients", *(("section",) if anchor == NEAREST else ())):
            for surface, sign in (("pair", -1.0), ("region", 1.0)):
                for family in _FAMILIES:
                    sampled = family == "sphere" or (family.endswith(")") and "of" not in family)
                    draws = 1 if family.startswith("universal") else 8 if family == "sphere" else 3
                    noise = generator.standard_normal((3, draws, points)) / 10
                    means = np.ones(3) if anchor == IMAGE else sign * np.array(bent)
                    own = means[:, None, None] if family == "curved" and anchor != RANDOM else 0.0
                    curvature = noise + own
                    if estimator == "values" and family == "sphere":
                        curvature[0, :, :2] = 0.0
                    censored = np.zeros(noise.shape, dtype=bool)
                    censored[2, :, 0] = estimator == "section"
                    found.append(
                        CurvatureCurve(
                            family=family,
                            anchor=anchor,
                            estimator=estimator,
                            surface=surface,
                            scales=np.array(SCALES),
                            curvature=curvature,
                            censored=censored,
                            residual=1e-6,
                            sampled=sampled,
                        )
                    )
    return found


def curved_subspace(method: str, held_out: float) -> CurvedSubspace:
    """Return an S_c of four directions, of a mean curvature at 20 held-out points."""
    size = {NEGATIVE: -1.0, FLATTEST: 0.01}.get(method, 1.0)
    values = size * np.array([0.9, 0.7, 0.5, 0.3])
    spread = np.random.default_rng(1).standard_normal((20, 4)) / 10
    return CurvedSubspace(
        method=method,
        scale=0.25 if method == "reference" else 2.0,
        surface="pair" if method == "reference" else "region",
        images=40,
        values=values,
        directions=np.eye(60)[:4],
        held_out=size * held_out + spread - spread.mean(),
        asymmetry=0.0 if method == "ascent" else 0.3,
        additivity=0.0 if method == "ascent" else 0.2,
        residual=np.full(4, 0.0 if method == "ascent" else 0.05),
        starts=0.0 if method == "reference" else 0.8,
        halves=np.array([] if method == "reference" else [0.38, 0.4, 0.42]),
        halves_own=np.zeros((0, 2)) if method == "reference" else np.array([[0.5, 0.6]] * 3),
        halves_by_phases=np.array([] if method == "reference" else [0.1, 0.12]),
        gradients=3000,
    )


def _rates(shares: dict[str, float], behind: float) -> tuple[list[FoolingRate], list[FoolingRate]]:
    def rate(family: str, dimension: int, norm: float, share: float) -> FoolingRate:
        fooled = np.random.default_rng(5).random((4, 50)) < share
        return FoolingRate(family, dimension, norm, False, fooled)

    found = [
        rate(family, 60 if family == "sphere" else dimension, norm, share * norm / 2)
        for family, share in shares.items()
        for dimension, norm in ((4, 1.0), (4, 2.0), (2, 2.0), (1, 2.0))
        if family != "sphere" or dimension == 4
    ]
    found.append(rate("curved, 10 images", 4, 2.0, 0.1))
    return found, [rate("curved", 4, 2.0, behind)]


def predicted_rows() -> list[PredictionRow]:
    """Return predictions of three families at two norms.

    Flat predicts half of each rate, many planes nothing, and both models with curvature the rate
    itself at the scale 2, a quarter of it at the scale 1.
    """
    found = []
    for place, family in enumerate(("curved", "subspace", "sphere")):
        for norm in (1.0, 2.0):
            measured = norm * (np.array([0.4, 0.3]) - 0.1 * place)
            for model, scale, share in (
                ("flat", 0.0, 0.5),
                ("many planes", 0.0, 0.0),
                ("curved at the norm", 0.0, 0.75),
                *((model, 1.0, 0.25) for model in ("curved", "shared curvature")),
                *((model, 2.0, 1.0) for model in ("curved", "shared curvature")),
            ):
                found.append(
                    PredictionRow(
                        model=model,
                        family=family,
                        norm=norm,
                        scale=scale,
                        images=20,
                        predicted=share * measured,
                        measured=measured,
                        agreement=0.5 + share / 2,
                        explained=share,
                        false_alarms=0.0,
                    )
                )
    return found


def _margins(power: float, height: float) -> SubspaceMargins:
    """Return margins of 20 images that fall as a power of R, ``height`` of the law at R = 15."""
    dimensions = np.array([2, 4, 15])
    full = np.linspace(0.5, 1.0, 20)
    ratio = height * 2.0 * (15 / dimensions) ** power
    spread = 1 + np.random.default_rng(6).standard_normal((3, 20)) / 100
    margins = ratio[:, None] * full * spread
    margins[0, 0] = inf
    return SubspaceMargins(dimensions, margins, full, 60)


def _profile(scale: float, lift: float) -> CurvatureProfile:
    """Return a profile whose curvatures, five at each end, are raised by ``lift``."""
    ends = np.array([2.0, 1.5, 1.2, 1.1, 1.0])
    noise = np.random.default_rng(7).standard_normal((8, 10)) / 50
    values = np.concatenate([ends, -ends[::-1]]) + lift + noise
    return CurvatureProfile(
        scale=scale,
        surface="region",
        complete=False,
        values=-np.sort(-values, axis=1),
        mean=np.full(8, 0.01),
        mean_error=np.full(8, 0.001),
        asymmetry=np.full(8, 0.1),
        residual=0.01,
        own=np.abs(values).mean(0),
        sharing=np.concatenate([ends, ends[::-1]]),
        typical=0.2,
        pairs=56,
        seed=23,
    )


def _sections(family: str) -> BoundarySections:
    """Return parabolas above six images, bent towards them along S_c; one end is censored."""
    offsets = np.concatenate([-np.arange(4.0, 0.0, -1.0), np.arange(1.0, 5.0)])
    displacement = np.outer((-0.1 if family == "curved" else 0.02) * offsets**2, np.ones(6))
    censored = np.zeros(displacement.shape, dtype=bool)
    censored[-1, 0] = True
    displacement[censored] = -8.0
    margin = np.linspace(0.5, 1.0, 6)
    return BoundarySections(family, "region", offsets, displacement, censored, margin)


def _exact() -> list[CurvatureCurve]:
    """Return exact curvature that curvature by values at the first scale is near to."""
    return [
        replace(
            curve,
            estimator="exact",
            scales=np.zeros(1),
            curvature=curve.curvature[:1] ** 3,
            censored=curve.censored[:1],
        )
        for curve in curves((1.0, 0.0, -1.0))
        if (curve.anchor, curve.estimator, curve.surface) == (NEAREST, "values", "pair")
    ]


def _bounds() -> tuple[BoundRow, ...]:
    """Return a flat promise that is kept, and curved ones of S_c that are broken and just kept.

    Without a quarter of the pairs alone S_c has no bound; S_f has none at all if curved.
    """
    kept = Bound("flat", "subspace", 4, 0.5, 0.0, 0.6, 9.0)
    broken = Bound("curved", "curved", 4, 0.1, 0.55, 0.8, 3.0)
    loose = Bound("curved", "curved", 4, 0.1, 0.8, 1.2, 2.5)
    return (
        BoundRow(kept, 0.95, 0.9, 0.98, 4, 20),
        BoundRow(broken, 0.2, 0.1, 0.3, 4, 20),
        BoundRow(loose, 0.08, 0.05, 0.12, 4, 20),
    )


def _classes() -> ClassCurvature:
    """Return S_c of three classes, each curved at its own images alone."""
    sources = np.arange(20) % 4
    held_out = np.where(sources[:, None] == np.array([0, 1, 3]), 0.5, -0.1)
    return ClassCurvature(
        classes=np.array([0, 1, 3]),
        images=np.array([30, 25, 20]),
        own=np.array([0.9, 0.8, 0.7]),
        directions=np.stack([np.eye(60)[4 * place : 4 * place + 4] for place in range(3)]),
        held_out=held_out + np.random.default_rng(8).standard_normal((20, 3)) / 50,
        pooled=np.full(20, 0.2),
        sources=sources,
        energy=np.array([[1.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.0]]),
    )


def _map(source: int) -> RegionMap:
    """Return a map whose upper quarter is another class, and a corner of it a third one."""
    classes = np.full((21, 21), source)
    classes[16:] = 5
    classes[16:, 10:] = 7
    coordinates = np.linspace(-4, 4, 21)
    return RegionMap("direction 1 of S_c", "direction 2 of S_c", coordinates, classes, source)


@cache
def curvature_result(
    bent: tuple[float, ...] = (-1.0, 0.0, 1.0), fooling: float = 0.8, behind: float = 0.2
) -> CurvatureResult:
    """Return a result in which S_c is bent away at one scale and towards the images at another.

    Args:
        bent: Mean curvature along S_c at each scale, see `curves`.
        fooling: Rate of S_c at the reference norm 2.
        behind: That of the opposite vectors.
    """
    drawn = curves(bent)
    shares = dict.fromkeys(_FAMILIES[:6], 0.3) | {"curved": fooling}
    rates, mirrored = _rates(
        shares | {"subspace": 0.4, "spectrum-matched": 0.3, "sphere": 0.1}, behind
    )
    (ahead,) = [
        rate
        for rate in rates
        if (rate.family, rate.norm, rate.subspace_dimension) == ("curved", 2.0, 4)
    ]
    random = np.full(10, 4 / 60) + np.linspace(-0.01, 0.01, 10)
    directions = np.random.default_rng(2).random((3, 24))
    rows = corrected_rows(
        [
            *curvature_rows(drawn, "curved", _RIVALS, dimension=4, images=40),
            *sharing_rows(drawn, "curved", ["sphere"], dimension=4, images=40),
            *half_rows(
                np.array([0.38, 0.4, 0.42]),
                {"random subspaces": random, "random phases": 2 * random},
                dimension=4,
                images=40,
                scale=2.0,
            ),
            *fooling_rows(rates, "curved", _RIVALS, images=40),
            *mirror_rows(ahead, mirrored[0], images=40),
            *correlation_rows(
                *directions,
                ["curved", "sphere"] * 12,
                anchor=NEAREST,
                estimator="values",
                surface="region",
                scale=2.0,
            ),
            *curvature_rows(drawn, OTHER_MODEL, ["sphere"], item=6, dimension=4),
            *fooling_rows(rates, OTHER_MODEL, ["sphere"], item=6),
        ]
    )
    subspaces = [
        curved_subspace(method, (0.3 - 0.04 * place) * bent[-1])
        for place, method in enumerate(METHODS)
    ]
    predicted = predicted_rows()
    return CurvatureResult(
        subspaces=tuple(subspaces),
        learning=tuple(
            LearnedCurvature(count, np.eye(60)[:4], own, subspaces[0].held_out.mean(1) - less)
            for count, own, less in ((10, 0.9, 0.3), (20, 0.7, 0.2), (40, 0.6, 0.0))
        ),
        curves=tuple(drawn),
        exact=tuple(_exact()),
        anchor_kinds=ANCHORS,
        met=np.array([20, 4, 0, 20]),
        tried=20,
        rates=tuple(rates),
        mirrored=tuple(mirrored),
        rows=rows,
        verdicts=item_verdicts(rows),
        predictions=tuple(predicted),
        predicted_by="section",
        bounds=_bounds(),
        classes=(_classes(),),
        quality=tuple(prediction_quality(predicted)),
        margins=(_margins(0.5, 0.9), _margins(0.1, 0.3)),
        margin_families=("random", "curved"),
        profiles=tuple(_profile(scale, lift) for scale, lift in ((1.0, 0.5), (2.0, -0.5))),
        detectors=(
            Detector.of("minimal", np.linspace(0.5, 1.5, 20), np.linspace(-1.5, -0.5, 20), 2.0),
            Detector.of("universal", np.arange(20.0), np.arange(20.0)[::-1], 2.0),
        ),
        sections=tuple(_sections(family) for family in (*_FAMILIES[6:], "curved")),
        maps=(_map(0), _map(3)),
        random_energy=random,
        dimension=4,
        ambient_dimension=60,
        scale=2.0,
        reference_norm=2.0,
        median_margin=0.7,
        model_name="net <b>{{ 7 * 7 }}</b>",
        seed=23,
    )
