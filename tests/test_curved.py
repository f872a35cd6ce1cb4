"""The shared curved subspace: planted directions, where the mean shape operator is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis import ascent
from analysis.ascent import ascended_frame, ascended_span
from analysis.curved import (
    MeanShapeOperator,
    mean_curvature_pairs,
    reference_step,
    shared_energy,
)
from boundary import Classifier, InputError
from boundary.anchors import PAIR, Anchors, anchors_at
from surfaces import Gap, linear, smooth_network

SHAPE = (3, 6, 6)
D = 108


class Bent(nn.Module):
    """x_0 - sum_j k_j x_j^2 / 2 over all j but 0: planted curvatures -k_j at the origin."""

    def __init__(self, bends: Tensor) -> None:
        super().__init__()
        self.bends = nn.Buffer(bends)

    def forward(self, points: Tensor) -> Tensor:
        return points[:, 0] - (self.bends * points[:, 1:] ** 2).sum(1) / 2


def planted() -> tuple[Classifier, Anchors, Tensor]:
    """Return a boundary with three strong positive and two strong negative shared curvatures."""
    bends = torch.linspace(-0.01, 0.01, D - 1, dtype=torch.float64)
    bends[:5] = torch.tensor([-3.0, -2, -1, 4, 2], dtype=torch.float64)
    classifier = Classifier(Gap(Bent(bends)).eval(), (-9, 9))
    generator = torch.Generator().manual_seed(0)
    points = torch.zeros(40, D, dtype=torch.float64)
    # Points along the straight directions, where normals and curvatures are the same but for 1 %.
    points[:, 6:] = 0.1 * torch.randn(40, D - 6, dtype=torch.float64, generator=generator)
    points[:, 0] = (bends * points[:, 1:] ** 2).sum(1) / 2
    zeros = torch.zeros(40, dtype=torch.int64)
    anchors, usable = anchors_at(classifier, points.view(40, *SHAPE), zeros, zeros + 1)
    assert bool(usable.all())
    return classifier, anchors, -bends


@pytest.mark.parametrize("scale", [None, 0.5])
def test_planted_directions_are_found_with_their_curvatures(scale: float | None) -> None:
    classifier, anchors, _ = planted()
    operator = MeanShapeOperator(classifier, anchors, scale, batch_size=16)
    found = mean_curvature_pairs(operator, 3, passes=5)
    np.testing.assert_allclose(found.positive.values, [3, 2, 1], rtol=1e-3)
    np.testing.assert_allclose(found.negative.values[:2], [-4, -2], rtol=1e-3)
    np.testing.assert_allclose(np.abs(found.positive.directions[:, 1:4]), np.eye(3), atol=1e-3)
    assert abs(found.flattest.values).max() < 0.02
    assert found.asymmetry < 1e-6
    assert found.additivity < 1e-6
    assert found.positive.residual.max() < 1e-3
    assert found.images == 40
    assert found.gradients == 2 * 40 * (5 * 5 + 3)
    rows = found.positive.directions
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=1e-10)


def test_ascent_finds_the_same_span_without_linearity() -> None:
    classifier, anchors, _ = planted()
    operator = MeanShapeOperator(classifier, anchors, 0.5)
    frame = ascended_frame(operator, ascended_span(operator, 3, steps=60, batch_size=10))
    assert shared_energy(frame.directions, np.eye(D)[1:4]) > 0.999
    assert frame.images == 40
    np.testing.assert_allclose(frame.values, [3, 2, 1], rtol=0.01)
    other = ascended_frame(operator, ascended_span(operator, 3, steps=60, batch_size=10, seed=1))
    assert shared_energy(frame.directions, other.directions) > 0.999
    np.testing.assert_allclose(frame.directions @ frame.directions.T, np.eye(3), atol=1e-10)


def test_a_direction_that_lags_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An even function has a stationary point at every axis: without renewal it is not left."""
    matrix = torch.zeros(D - 1, D - 1, dtype=torch.float64)
    matrix[0, 0], matrix[4, 4], matrix[0, 4], matrix[4, 0] = -3.0, -2.0, -1.0, -1.0
    matrix[1, 1] = -0.1
    mixed = (5 + np.array([1, -1]) * 5**0.5) / 2

    class Quadric(nn.Module):
        def forward(self, points: Tensor) -> Tensor:
            beside = points[:, 1:]
            return points[:, 0] - ((beside @ matrix) * beside).sum(1) / 2

    classifier = Classifier(Gap(Quadric()).eval(), (-9, 9))
    zeros = torch.zeros(30, dtype=torch.int64)
    anchors, _ = anchors_at(
        classifier, torch.zeros(30, *SHAPE, dtype=torch.float64), zeros, zeros + 1
    )
    operator = MeanShapeOperator(classifier, anchors, 0.5)
    start = ascent._start(operator, 2, 0)
    axes = np.eye(D)[1:3]
    monkeypatch.setattr(ascent, "_start", lambda *_: replace(start, directions=axes))
    found = ascended_frame(operator, ascended_span(operator, 2))
    np.testing.assert_allclose(found.values, mixed, rtol=1e-3)
    monkeypatch.setattr(ascent, "_LAST_RENEWAL", 0.0)
    found = ascended_frame(operator, ascended_span(operator, 2))
    np.testing.assert_allclose(found.values, [mixed[0], 0.1], rtol=1e-3)


def test_an_ascent_starts_from_the_spectra_of_normals_and_nothing_else_of_them() -> None:
    """Normals of one frequency give a start of that frequency, whatever their phases."""
    wave = torch.cos(torch.arange(6) * np.pi / 3).double().expand(6, 6)
    weight = torch.stack([torch.zeros(D, dtype=torch.float64), wave.repeat(3, 1, 1).flatten()])

    class Planes(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1) @ weight.T

    zeros = torch.zeros(5, dtype=torch.int64)
    points = torch.zeros(5, *SHAPE, dtype=torch.float64)
    anchors, _ = anchors_at(Classifier(Planes().eval(), (-9, 9)), points, zeros, zeros + 1)
    operator = MeanShapeOperator(Classifier(Planes().eval(), (-9, 9)), anchors, 0.5)
    start = ascent._start(operator, 2, 0).directions.reshape(2, *SHAPE)
    power = np.abs(np.fft.fft2(start)) ** 2
    assert power[:, :, 0, [1, 5]].sum() == pytest.approx(power.sum())
    np.testing.assert_allclose(start[:, 0], start[:, 1], atol=1e-9)
    starts = [ascent._start(operator, 1, seed).directions for seed in range(6)]
    phases = np.angle(np.fft.fft2(np.reshape(starts, (6, *SHAPE)))[:, 0, 0, 1])
    assert np.ptp(phases) > 1


def test_the_mean_is_that_of_the_shape_operators() -> None:
    module = smooth_network(dimension=12)
    generator = torch.Generator().manual_seed(2)
    points = torch.rand(7, 3, 2, 2, dtype=torch.float64, generator=generator)
    zeros = torch.zeros(7, dtype=torch.int64)
    anchors, _ = anchors_at(Classifier(module), points, zeros, zeros + 1)
    operator = MeanShapeOperator(Classifier(module), anchors, None, surface=PAIR, batch_size=3)
    dense = torch.zeros(12, 12, dtype=torch.float64)
    for n in range(7):
        normal = anchors.normal[n].flatten()
        project = torch.eye(12, dtype=torch.float64) - torch.outer(normal, normal)

        def gap(flat: Tensor) -> Tensor:
            logits = module(flat.view(1, 3, 2, 2))[0]
            return logits[1] - logits[0]

        hessian = torch.autograd.functional.hessian(gap, points[n].flatten())
        dense += project @ hessian @ project / anchors.slope[n] / 7
    found = operator.products(torch.eye(12, dtype=torch.float64))
    torch.testing.assert_close(found, dense, rtol=1e-9, atol=1e-10)
    half = operator.subset(np.arange(3)).products(torch.eye(12, dtype=torch.float64))
    rest = operator.subset(np.arange(3, 7)).products(torch.eye(12, dtype=torch.float64))
    torch.testing.assert_close((3 * half + 4 * rest) / 7, found)
    largest = float(torch.linalg.eigvalsh(dense)[-1])
    pairs = mean_curvature_pairs(operator, 1, passes=4)
    assert pairs.positive.values[0] == pytest.approx(largest, rel=1e-6)


def test_the_reference_mode_neither_projects_nor_divides() -> None:
    classifier, anchors, curvatures = planted()
    step = reference_step((3, 32, 32), (0.0, 255.0))
    assert step == pytest.approx(276, abs=0.1)  # as the papers' code has it for CIFAR in 0..255
    operator = MeanShapeOperator(classifier, anchors, 0.5, surface=PAIR, projected=False)
    along = torch.eye(D, dtype=torch.float64)[:6]
    found = operator.products(along)
    expected = torch.zeros(6, D, dtype=torch.float64)
    expected[1:, 1:6] = torch.diag(curvatures[:5])
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_a_kink_shows_as_a_failure_of_additivity() -> None:
    class Kink(nn.Module):
        def forward(self, points: Tensor) -> Tensor:
            return points[:, 0] + points[:, 1:4].abs().amax(1)

    classifier = Classifier(Gap(Kink()).eval(), (-9, 9))
    points = 0.01 * torch.randn(10, D, dtype=torch.float64)
    points[:, 0] = -points[:, 1:4].abs().amax(1)
    zeros = torch.zeros(10, dtype=torch.int64)
    anchors, _ = anchors_at(classifier, points.view(10, *SHAPE), zeros, zeros + 1)
    found = mean_curvature_pairs(MeanShapeOperator(classifier, anchors, 1.0), 4, passes=3)
    assert found.additivity > 0.1
    assert found.asymmetry > 0.1


def test_on_planes_an_ascent_stays_where_it_starts() -> None:
    classifier = Classifier(linear(2, D), (-9, 9))
    generator = torch.Generator().manual_seed(5)
    points = 0.1 * torch.randn(24, D, dtype=torch.float64, generator=generator)
    zeros = torch.zeros(24, dtype=torch.int64)
    anchors, _ = anchors_at(classifier, points.view(24, *SHAPE), zeros, zeros + 1)
    operator = MeanShapeOperator(classifier, anchors, 0.5)
    start = ascent._start(operator, 4, 0).directions
    last = ascended_span(operator, 4, steps=5, seed=0)
    assert shared_energy(start, last.directions) == pytest.approx(1)
    np.testing.assert_allclose(ascended_frame(operator, last).values, 0, atol=1e-9)


def test_options_out_of_range_are_refused() -> None:
    classifier, anchors, _ = planted()
    operator = MeanShapeOperator(classifier, anchors, 0.5)
    with pytest.raises(InputError, match=r"should lie in 1..18, as images have 108 numbers"):
        mean_curvature_pairs(operator, 50)
    with pytest.raises(InputError, match="`dimension` should lie"):
        ascended_span(operator, 0)
    with pytest.raises(InputError, match="`steps` should be at least 1"):
        ascended_span(operator, 2, steps=0)
