"""Results made up for tests of figures and of the report."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from math import inf
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import FoolingRate, LabelFlows
from analysis.ascent import AscendedFrame
from analysis.bounds import TheoryRow
from analysis.causes import FoolingCauses
from analysis.choice import ChosenDimension
from analysis.curvature_sweep import ANCHORS, IMAGE, NEAREST, RANDOM, CurvatureCurve
from analysis.curvature_test import (
    BENDS,
    FOOLS,
    PREDICTS,
    CurvatureTest,
    EndpointRow,
)
from analysis.learning import LearnedRate
from analysis.paths import FoolingPath
from analysis.planes import BoundarySections, RegionMap
from analysis.profile import CurvatureProfile
from analysis.questions import SharedNormals, Within
from analysis.results import CurvatureResult, MadeUniversal, UniversalResult
from analysis.transfer import SharedGeometry, TransferMatrix, TransferResult
from study import stages


def outcomes(share: float, draws: int = 1, images: int = 50) -> NDArray[np.bool_]:
    """Return outcomes of which exactly a share is fooled by every draw."""
    return np.tile(np.arange(images) < round(images * share), (draws, 1))


def noise_rate(share: float, dimension: int, norm: float, images: int = 50) -> FoolingRate:
    """Return the rate of five draws of matched noise, of two vectors each."""
    shares = [share + change for change in (-0.02, -0.02, 0, 0, 0.02, 0.02, 0.04, 0.04, 0, 0)]
    fooled = np.concatenate([outcomes(max(0.0, one), images=images) for one in shares])
    return FoolingRate("spectrum-matched", dimension, norm, False, fooled, per_draw=2)


def shared_normals(dimension: int, undecided: tuple[str, ...] = ()) -> SharedNormals:
    """Return energies of which S_f holds twice as much as noise, and as untrained networks."""
    images, draws = np.linspace(-0.02, 0.02, 40), np.linspace(-0.01, 0.01, 5)
    return SharedNormals(
        dimension=dimension,
        own=0.4 + images,
        noise=0.2 + draws[:, None] + images,
        untrained=np.array([] if undecided else [0.18, 0.2, 0.22]),
        undecided=undecided,
    )


def path() -> FoolingPath:
    """Return the way of 30 of 50 images, to class 2, a quarter of it by the slope at the image."""
    source = np.arange(50) % 2
    fooled = np.arange(50) < 30
    gap = np.where(fooled[:, None], np.linspace(-1, 1, 17) ** 3, 0.0)
    slope = np.where(fooled, 0.5 + np.linspace(-0.1, 0.1, 50), 0.0)
    return FoolingPath(source, np.where(fooled, 2, source), gap, slope)


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
        choice=ChosenDimension(
            dimensions=np.array([1, 5, 10]),
            rate=np.array([0.2, 0.3, 0.5]),
            error=np.array([0.05, 0.04, 0.05]),
            noise=np.array([[0.1, 0.2, 0.15], [0.12, 0.18, 0.16]]),
            chosen=10,
            noise_best=5,
            images=40,
            stated=False,
        ),
        within=(Within(10, outcomes(0.7)[0], outcomes(0.5)[0], np.tile(outcomes(0.2)[0], (3, 1))),),
        paths=(path(),),
        rate_without_sink=0.25,
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


SCALES = (0.5, 1.0, 2.0)
_FAMILIES = ("curved", "subspace", "spectrum-matched", "sphere", "universal smooth_rate l2")


def curves(bent: tuple[float, ...]) -> list[CurvatureCurve]:
    """Return noise around 0, and around other means along S_c.

    Those are ``bent`` at each scale on the pair at the nearest boundary point, their negative on
    the region, and 1 at the image itself.
    """
    generator = np.random.default_rng(3)
    found = []
    for anchor, points in ((NEAREST, 20), (RANDOM, 4), (IMAGE, 20)):
        for estimator in ("values", "gradients", "section") if anchor == NEAREST else ("values",):
            for surface, sign in (("pair", 1.0), ("region", -1.0)):
                for family in _FAMILIES:
                    sampled = not family.startswith("universal")
                    draws = 8 if family == "sphere" else 3 if sampled else 1
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


def _profile(scale: float, lift: float) -> CurvatureProfile:
    """Return a profile whose curvatures, five at each end, are raised by ``lift``."""
    ends = np.array([2.0, 1.5, 1.2, 1.1, 1.0])
    noise = np.random.default_rng(7).standard_normal((8, 10)) / 50
    values = np.concatenate([ends, -ends[::-1]]) + lift + noise
    return CurvatureProfile(
        scale=scale,
        surface="pair",
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
    return BoundarySections(family, "pair", offsets, displacement, censored, margin)


def _theory() -> tuple[TheoryRow, ...]:
    """Return a ratio of margins near its law, a flat promise that is kept, a curved one not."""
    return (
        TheoryRow("margins", "sphere", 15, 0.0, 0.0, 2.0, 1.9, 1.8, 2.1, 20),
        TheoryRow("flat", "subspace", 4, 0.6, 9.0, 0.5, 0.95, 0.9, 0.98, 20),
        TheoryRow("curved", "curved", 4, 0.8, 3.0, 0.35, 0.2, 0.1, 0.3, 20),
    )


def _map(source: int) -> RegionMap:
    """Return a map whose upper quarter is another class, and a corner of it a third one."""
    classes = np.full((21, 21), source)
    classes[16:] = 5
    classes[16:, 10:] = 7
    coordinates = np.linspace(-4, 4, 21)
    return RegionMap("direction 1 of S_c", "direction 2 of S_c", coordinates, classes, source)


def causes(family: str, share: float, draws: int = 1) -> FoolingCauses:
    """Return pairs of which a share is fooled: half by the own plane, a fifth by bending alone."""
    fooled = outcomes(share, draws)
    return FoolingCauses(
        family=family,
        subspace_dimension=4,
        norm=2.0,
        scale=1.0,
        fooled=fooled,
        own_plane=outcomes(0.5 * share, draws),
        planes=outcomes(0.7 * share, draws),
        bending=outcomes(0.9 * share, draws),
        found=np.full(50, 3),
        sampled=draws > 1,
    )


def curvature_test(effect: float = 1.0) -> CurvatureTest:
    """Return the test of three S_c whose effects, of twice the smallest of interest, are scaled."""
    compared = {
        BENDS: (("zero", 0.14), ("matched noise of S_c", 0.2)),
        FOOLS: (("matched noise of S_c", 0.04), ("matched noise of S_f", 0.05), ("S_f", 0.06)),
        PREDICTS: (("planes alone", 0.02),),
    }
    rows = [
        EndpointRow(
            endpoint,
            frame,
            rival,
            scale,
            effect * size,
            effect * size - size / 4,
            effect * size + size / 4,
            1e-6 if effect else 1.0,
            size / 3,
        )
        for endpoint, rivals in compared.items()
        for frame in range(3)
        for scale in ((0.35, 1.0) if endpoint == BENDS else (2.0,))
        for rival, size in rivals
    ]
    return CurvatureTest(tuple(rows), median_margin=0.7)


@cache
def curvature_result(bent: tuple[float, ...] = (-1.0, 0.0, 1.0)) -> CurvatureResult:
    """Return a result in which S_c is bent away at one scale and towards the images at another.

    Args:
        bent: Mean curvature along S_c at each scale, see `curves`.
    """
    values = np.array([0.9, 0.7, 0.5, 0.3])
    frames = (np.eye(60)[:4], np.eye(60)[2:6], np.eye(60)[:4])
    return CurvatureResult(
        frames=tuple(AscendedFrame(values, directions, 13) for directions in frames),
        causes=(
            causes("universal smooth_rate l2", 0.8),
            causes("subspace", 0.4, draws=5),
            *(causes(f"curved {place}", 0.2, draws=5) for place in (1, 2, 3)),
            causes("spectrum-matched", 0.2, draws=5),
            causes("sphere", 0.0, draws=5),
        ),
        test=curvature_test(),
        curves=tuple(curves(bent)),
        sections=tuple(_sections(family) for family in _FAMILIES),
        maps=(_map(0), _map(3)),
        profiles=tuple(_profile(scale, lift) for scale, lift in ((1.0, 0.5), (2.0, -0.5))),
        theory=_theory(),
        anchor_kinds=ANCHORS,
        met=np.array([20, 4, 0, 20]),
        tried=20,
        dimension=4,
        ambient_dimension=60,
        scale=1.0,
        reference_norm=2.0,
        median_margin=0.7,
        model_name="net <b>{{ 7 * 7 }}</b>",
        seed=23,
    )


@contextmanager
def report_left_out() -> Iterator[None]:
    """Have runs leave, in place of the report, the names of the optional results in it.

    The report takes most of the time of a small run.
    """

    def leave(directory: Path, optional: Collection[str]) -> None:
        (directory / "report.html").write_text(" ".join(optional), encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "write_report", leave)
        yield
