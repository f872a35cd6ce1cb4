from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm as gaussian
from scipy.stats import t as student

from analysis import (
    FoolingRate,
    Perturbations,
    Subspace,
    compare,
    fooling_rate,
    fooling_rates,
    in_subspace,
    on_sphere,
    wilson_interval,
)
from analysis.intervals import bound_of_none
from analysis.spectrum import singular_spectrum
from analysis.sweep import (
    dimension_sweep,
    noise_beside,
    norm_sweep,
    round_numbers,
    vectors_of,
    vectors_of_noise,
    vectors_of_sphere,
)
from boundary import Classifier, InputError, nearest_boundary_points
from surfaces import linear, random_images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rate_of(fooled: np.ndarray) -> FoolingRate:
    return FoolingRate("sphere", 4, 1.0, False, fooled)


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (317, 1000)])
def test_wilson_interval_is_the_closed_form(count: int, total: int) -> None:
    z = gaussian.ppf(0.975)
    share = count / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    found = wilson_interval(count, total)
    np.testing.assert_allclose([found.low, found.high], [centre - half, centre + half], atol=1e-12)


def test_wilson_interval_needs_a_share() -> None:
    for count, total in ((1, 0), (-1, 4), (5, 4)):
        with pytest.raises(InputError, match="share"):
            wilson_interval(count, total)


def test_a_linear_classifier_is_fooled_as_the_closed_form_says() -> None:
    """Two classes: v fools x exactly where the step along the normal exceeds the margin."""
    classifier = Classifier(linear(2, 12))
    images = random_images(300, (3, 2, 2))
    found = nearest_boundary_points(classifier, images)
    perturbations = on_sphere((3, 2, 2), 20, 0.8, generator())
    along = perturbations.vectors.flatten(1) @ found.normal.flatten(1).T
    expected = (along > found.margin).numpy()
    measured = fooling_rate(classifier, images, perturbations, batch_size=32)
    assert (measured.fooled == expected).all()
    assert 0 < measured.rate < 1
    assert measured.count == expected.sum()
    assert measured.total == 20 * 300


def test_clipping_and_norms() -> None:
    classifier = Classifier(linear(2, 12))
    images = random_images(100, (3, 2, 2)).round()  # corners of the box
    up = Perturbations.of("up", torch.full((3, 2, 2), 10.0, dtype=torch.float64))
    free, clipped = fooling_rates(classifier, images.split(16), [up])
    assert (free.clipped, clipped.clipped) == (False, True)
    expected = classifier.predict(torch.ones_like(images)) != classifier.predict(images)
    assert (clipped.fooled[0] == expected.numpy()).all()
    assert up.norm == pytest.approx(10 * 12**0.5)
    assert up.scaled(12**0.5).vectors.max() == pytest.approx(1.0)


def test_families_have_the_norm_and_lie_where_they_should() -> None:
    sphere = on_sphere((1, 4, 5), 2000, 3.0, generator())
    rows = sphere.vectors.flatten(1).numpy()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 3.0, rtol=1e-12)
    np.testing.assert_allclose((rows**2).mean(0), 9 / 20, rtol=0.15)
    subspace = Subspace(np.eye(20)[:3])
    inside = in_subspace(subspace, (1, 4, 5), 50, 3.0, generator())
    np.testing.assert_allclose(subspace.energy(inside.vectors.flatten(1).numpy()), 9.0)
    assert inside.subspace_dimension == 3
    assert sphere.subspace_dimension == 20


def test_interval_of_one_draw_is_wilsons_and_of_many_is_wider() -> None:
    random = np.random.default_rng(0)
    one = rate_of(random.random((1, 200)) < 0.3)
    wilson = wilson_interval(one.count, 200)
    assert (one.interval.low, one.interval.high) == pytest.approx((wilson.low, wilson.high))
    # Draws that differ: the interval must not pretend to draws x images independent trials.
    many = rate_of(random.random((8, 200)) < np.linspace(0.05, 0.6, 8)[:, None])
    assert many.interval.low < many.rate < many.interval.high
    naive = wilson_interval(many.count, many.total)
    assert many.interval.high - many.interval.low > 2 * (naive.high - naive.low)


def test_comparison_is_paired_over_images() -> None:
    random = np.random.default_rng(0)
    hard = random.random(300)
    first = rate_of(hard[None] + 0 * random.random((10, 300)) < 0.5)
    second = rate_of(hard[None] + 0 * random.random((10, 300)) < 0.4)
    found = compare(first, second)
    assert found.difference == pytest.approx(first.rate - second.rate)
    assert found.ratio == pytest.approx(first.rate / second.rate)
    # The same images in both: the difference is far surer than either rate.
    width = found.difference_interval.high - found.difference_interval.low
    assert width < 0.8 * (first.interval.high - first.interval.low)
    assert found.difference_interval.low > 0
    none = compare(first, first)
    assert none.difference_interval.low <= 0 <= none.difference_interval.high
    assert none.ratio_interval.low <= 1 <= none.ratio_interval.high


def test_a_family_that_fools_nothing_gives_an_infinite_ratio() -> None:
    found = compare(rate_of(np.ones((2, 9), bool)), rate_of(np.zeros((2, 9), bool)))
    assert found.ratio == float("inf")
    # Nine images that all agree are no certainty.
    assert found.difference_interval.low == pytest.approx(1 - bound_of_none(9))
    assert found.difference_interval.high == 1
    assert (found.ratio_interval.low, found.ratio_interval.high) == (0, float("inf"))
    turned = compare(rate_of(np.zeros((2, 9), bool)), rate_of(np.ones((2, 9), bool)))
    assert turned.ratio == 0
    neither = compare(rate_of(np.zeros((2, 9), bool)), rate_of(np.zeros((2, 9), bool)))
    assert np.isnan(neither.ratio)
    assert neither.difference_interval.low < 0 < neither.difference_interval.high


def test_where_subspaces_are_drawn_they_are_the_sample() -> None:
    random = np.random.default_rng(0)
    of_draw = np.repeat([0.1, 0.2, 0.3, 0.4, 0.5], 20)[:, None]
    alone = rate_of(random.random((100, 200)) < of_draw)
    drawn = replace(alone, per_draw=20)
    assert drawn.by_subspace.shape == (5, 20, 200)
    np.testing.assert_array_equal(drawn.by_subspace[2], alone.fooled[40:60])
    assert (drawn.rate, drawn.count) == (alone.rate, alone.count)
    # Student's quantile of 4 degrees of freedom, of five means that differ by 0.1 each.
    half = student.ppf(0.975, 4) * np.std(drawn.by_draw.mean(1), ddof=1) / np.sqrt(5)
    width = drawn.interval.high - drawn.interval.low
    assert width == pytest.approx(2 * half, rel=0.25)
    assert width > 2 * (alone.interval.high - alone.interval.low)
    some = drawn.among(np.arange(200) < 50)
    assert some.by_subspace.shape == (5, 20, 50)
    np.testing.assert_array_equal(some.fooled, drawn.fooled[:, :50])


def test_a_rate_that_all_agree_on_is_as_sure_as_its_images() -> None:
    assert rate_of(np.zeros((3, 60), bool)).interval == wilson_interval(0, 60)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_intervals_hold_the_share_and_mirror(counts: tuple[int, int]) -> None:
    count, total = counts
    found, mirrored = wilson_interval(count, total), wilson_interval(total - count, total)
    assert 0 <= found.low <= count / total <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match=r"same images. Found 9 and 8"):
        compare(rate_of(np.ones((2, 9), bool)), rate_of(np.ones((2, 8), bool)))
    classifier = Classifier(linear(2, 12))
    with pytest.raises(InputError, match=r"images' shape \(3, 2, 2\)"):
        fooling_rate(
            classifier, random_images(2, (3, 2, 2)), on_sphere((1, 2, 2), 1, 1.0, generator())
        )
    with pytest.raises(InputError, match="at least one image"):
        fooling_rates(classifier, [], [on_sphere((1, 2, 2), 1, 1.0, generator())])


def test_round_numbers() -> None:
    assert round_numbers(0.15, 6) == [0.2, 0.5, 1.0, 2.0, 5.0]
    assert round_numbers(1, 100) == [1, 2, 5, 10, 20, 50, 100]
    assert round_numbers(0.001, 0.001) == [0.001]


def test_sweeps_add_the_reference() -> None:
    assert norm_sweep(None, 29.0, 0.05, 1.16) == [0.5, 1.0, 1.16, 2.0, 5.0]
    assert norm_sweep(None, 3.9, 0.42, 0.15) == [0.05, 0.1, 0.15, 0.2, 0.5, 1.0, 2.0]
    assert norm_sweep([3.0], 29.0, 0.05, 1.16) == [1.16, 3.0]
    assert dimension_sweep(None, 30, 16) == [1, 2, 5, 10, 16, 20]
    with pytest.raises(InputError, match=r"1\.\.30.*Found 31"):
        dimension_sweep([31], 30, 16)
    with pytest.raises(InputError, match="positive"):
        norm_sweep([-1.0], 29.0, 0.05, 1.16)


def test_vectors_do_not_depend_on_what_else_is_drawn() -> None:
    rows = np.random.default_rng(0).standard_normal((40, 20))
    spectrum = singular_spectrum(rows / np.linalg.norm(rows, axis=1, keepdims=True), directions=10)
    shape = (1, 4, 5)
    few = vectors_of(spectrum, 5, shape, 3, seed=1)
    assert vectors_of(spectrum, 5, shape, 3, seed=1).vectors.equal(few.vectors)
    assert (few.family, few.subspace_dimension, few.norm) == ("subspace", 5, 1.0)
    assert few.source["seed"] == 1
    inside = spectrum.subspace(5).energy(few.vectors.flatten(1).numpy())
    np.testing.assert_allclose(inside, 1)
    for R, seed in ((5, 2), (6, 1)):
        assert not vectors_of(spectrum, R, shape, 3, seed).vectors.equal(few.vectors)
    sphere = vectors_of_sphere(shape, 10, 1)
    assert (sphere.family, sphere.subspace_dimension) == ("sphere", 20)
    (beside,) = noise_beside([few.scaled(2.0), few.scaled(2.0)], shape, 1)
    assert beside.vectors.equal(2 * sphere.vectors)


def test_vectors_of_noise_come_in_groups_of_a_draw() -> None:
    spaces = [Subspace(np.eye(20)[start : start + 3]) for start in (0, 3, 6, 9)]
    found = vectors_of_noise(spaces, (1, 4, 5), 6, seed=1)
    assert (found.family, found.subspace_dimension, found.per_draw) == ("spectrum-matched", 3, 6)
    rows = found.vectors.flatten(1).numpy()
    for draw, space in enumerate(spaces):
        np.testing.assert_allclose(space.energy(rows[6 * draw : 6 * draw + 6]), 1)
    # Each draw has numbers of its own.
    assert not np.allclose(rows[0, :3], rows[6, 3:6])
    classifier = Classifier(linear(2, 20))
    rate = fooling_rate(classifier, random_images(30, (1, 4, 5)), found.scaled(0.5))
    assert rate.by_subspace.shape == (4, 6, 30)
