"""Planted networks have the geometry that their docstrings state."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.subspace import Subspace
from analysis.surrogates import phase_randomised_rows
from boundary import (
    BoundaryPoints,
    Classifier,
    InputError,
    NormalsStore,
    load_model,
    nearest_boundary_points,
    open_images,
)
from boundary.anchors import PAIR, Anchors, anchors_at
from boundary.controls import (
    CONTROLS,
    Control,
    PlantedNetwork,
    Size,
    curved,
    linear,
    named_control,
    ridge,
    sink,
    smooth,
)
from boundary.controls.planted import REACH
from boundary.sections import SECTION, VALUES, curvatures
from boundary.untrained import untrained_copy
from study.cli import main
from study.config import StudyConfig
from study.subject import load_subject
from surfaces import EXACT

PLANTED = {"ridge": ridge, "smooth": smooth, "sink": sink, "curved": curved}
SMALL = Size(shape=(3, 8, 8), classes=6, count=150, margin=0.15)
EVERY = [(name, size) for name in PLANTED for size in (Size(), SMALL)]
BEND = 0.65
ROUNDED = 1e-6
"""Relative: what is planted is kept in float32."""


def made(name: str, size: Size = Size(), seed: int = 0) -> PlantedNetwork:  # noqa: B008
    module = PLANTED[name](seed, size).module
    assert isinstance(module, PlantedNetwork)
    return module


def images_of(control: Control) -> Tensor:
    return control.images.read(range(len(control.images))).images


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def stored(network: PlantedNetwork, size: Size, count: int | None = None) -> Tensor:
    """Return the images that a network stores, (n, C, H, W)."""
    return network.centres[:count].view(-1, *size.shape)


def near(network: PlantedNetwork) -> tuple[Tensor, Tensor, Tensor]:
    """Return of each image the smallest margin, its class and its normal."""
    margins = torch.where(network.margins > 0, network.margins, torch.inf)
    margin, target = margins.min(1)
    return margin, target, network.normals[torch.arange(len(target)), target]


def exact_points(
    network: PlantedNetwork, size: Size, count: int
) -> tuple[Classifier, BoundaryPoints]:
    classifier = Classifier(network.double())
    images = stored(network, size, count)
    return classifier, nearest_boundary_points(classifier, images, **EXACT)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "size"), EVERY)
def test_the_nearest_boundary_points_are_those_planted(name: str, size: Size) -> None:
    network = made(name, size)
    _, found = exact_points(network, size, 12)
    margin, target, normal = (part[:12] for part in near(network))
    assert torch.equal(found.target, target)
    torch.testing.assert_close(found.margin, margin, rtol=ROUNDED, atol=0)
    torch.testing.assert_close(found.normal.flatten(1), normal, rtol=0, atol=ROUNDED)


@pytest.mark.parametrize("size", [Size(), SMALL])
def test_the_boundary_of_curved_bends_along_its_subspace_and_nowhere_else(size: Size) -> None:
    network = made("curved", size)
    classifier, found = exact_points(network, size, 12)
    anchors, _ = anchors_at(classifier, found.point, found.source, found.target)
    subspace = network.subspace.double()
    across = noise(3, size.dimension)
    across -= across @ subspace.T @ subspace
    directions = torch.cat([subspace, across]).view(-1, *size.shape)
    kappa = BEND / size.median_margin
    wanted = kappa * torch.tensor([1.0] * 5 + [0.0] * 3, dtype=torch.float64)
    for scale in (0.5 * size.median_margin, size.median_margin):
        for one in bending(classifier, anchors, directions, scale):
            torch.testing.assert_close(one, wanted.expand(12, -1), rtol=0, atol=1e-5 * kappa)


def bending(
    classifier: Classifier, anchors: Anchors, directions: Tensor, scale: float
) -> list[Tensor]:
    found = curvatures(
        classifier, anchors, directions, scale, estimators=[VALUES, SECTION], surfaces=[PAIR]
    )
    return [one.curvature for one in found]


@pytest.mark.parametrize("name", ["ridge", "smooth", "sink"])
def test_the_others_do_not_bend(name: str) -> None:
    size = Size()
    network = made(name)
    classifier, found = exact_points(network, size, 8)
    anchors, _ = anchors_at(classifier, found.point, found.source, found.target)
    directions = noise(6, *size.shape)
    for one in bending(classifier, anchors, directions, size.median_margin):
        assert float(one.abs().max()) < 1e-9


def test_no_pair_of_linear_bends_and_it_reads_digits() -> None:
    control = linear()
    images = images_of(control)
    with torch.no_grad():
        predicted = control.module(images).argmax(1)
    assert float((predicted == control.images.labels).double().mean()) >= 0.95
    classifier = Classifier(control.module.double())
    points = images[:6].double()
    for target in range(10):
        source = predicted[:6]
        other = torch.where(source == target, (target + 1) % 10, target)
        anchors, _ = anchors_at(classifier, points, source, other)
        directions = noise(3, 1, 8, 8)
        for one in bending(classifier, anchors, directions, 0.5):
            assert float(one.abs().max()) < 1e-12


def rate(network: PlantedNetwork, size: Size, vectors: Tensor) -> float:
    """Return the share of (image, vector) pairs whose class changes at two median margins."""
    images = stored(network, size)
    margin, _, _ = near(network)
    steps = 2 * margin.median() * torch.nn.functional.normalize(vectors.float().flatten(1))
    with torch.no_grad():
        source = network(images).argmax(1)
        fooled = [network(images + step.view(size.shape)).argmax(1) != source for step in steps]
    return float(torch.stack(fooled).double().mean())


@pytest.mark.parametrize("size", [Size(), SMALL])
def test_vectors_of_the_planted_subspaces_fool_and_those_of_the_sphere_do_not(size: Size) -> None:
    within = noise(20, 5).float()
    bent, straight, sunk = made("curved", size), made("ridge", size), made("sink", size)
    assert rate(bent, size, within @ bent.subspace) == 1
    planted = torch.linalg.svd(near(straight)[2], full_matrices=False).Vh[:5]
    assert rate(straight, size, within @ planted) > 0.2
    assert rate(sunk, size, near(sunk)[2][:1]) == 1
    assert rate(sunk, size, -near(sunk)[2][:1]) == 0
    for network in (bent, straight, sunk):
        assert rate(network, size, noise(10, size.dimension)) < 0.01


def test_random_fields_of_the_spectrum_of_smooth_fool_some_five_percent() -> None:
    fields = made("smooth", seed=1).normals.flatten(0, 1)
    others = fields[fields.norm(dim=1) > 0][:60]
    assert 0.03 < rate(made("smooth"), Size(), others) < 0.08


def test_the_sink_takes_all_that_is_fooled_and_has_no_image_of_its_own() -> None:
    network = made("sink")
    _, target, normal = near(network)
    assert set(target.tolist()) == {0}
    assert 0 not in set(network(stored(network, Size())).argmax(1).tolist())
    moved = stored(network, Size()) + 0.5 * normal[0].view(Size().shape)
    assert set(network(moved).argmax(1).tolist()) == {0}


@pytest.mark.parametrize(("name", "rank"), [("ridge", 5), ("sink", 1), ("curved", 129)])
def test_rank_of_the_planted_normals(name: str, rank: int) -> None:
    values = torch.linalg.svdvals(near(made(name))[2].double())
    assert int((values > 1e-5 * values[0]).sum()) == rank


@pytest.mark.parametrize("name", ["smooth", "curved"])
def test_normals_with_random_phases_are_as_the_planted_ones(name: str) -> None:
    """Energies of other images' normals are the same, and orthogonality to S stays."""
    network, random = made(name), np.random.default_rng(0)
    normals = near(network)[2].double().numpy()
    phased = np.asarray(phase_randomised_rows(normals, Size().shape, random))
    grids = (rows.reshape(-1, *Size().shape) for rows in (normals, phased))
    planted, drawn = (np.abs(np.fft.rfft2(grid)) for grid in grids)
    np.testing.assert_allclose(planted, drawn, atol=1e-5)
    assert np.abs(phased @ network.subspace.numpy().T).max(initial=0) < ROUNDED
    own, matched = (leading(rows[:400]).energy(normals[400:]).mean() for rows in (normals, phased))
    assert own == pytest.approx(matched, rel=0.2)


def test_those_of_ridge_and_sink_are_not() -> None:
    for name, dimension in (("ridge", 5), ("sink", 1)):
        normals = near(made(name))[2].double().numpy()
        phased = np.asarray(phase_randomised_rows(normals, Size().shape, np.random.default_rng(0)))
        own, matched = (
            leading(rows[:400], dimension).energy(normals[400:]).mean()
            for rows in (normals, phased)
        )
        assert own == pytest.approx(1)
        assert matched < 0.1


def leading(rows: NDArray[np.float64], dimension: int = 5) -> Subspace:
    return Subspace(np.linalg.svd(rows, full_matrices=False)[2][:dimension])


def planes(network: PlantedNetwork, away: Tensor, rows: Tensor) -> Tensor:
    """Return in float64 the logits that some images' own planes give at x_i + away, (N, K)."""
    normals, margins, bends, subspace = (
        part.double()
        for part in (
            network.normals[rows],
            network.margins[rows],
            network.bends[rows],
            network.subspace,
        )
    )
    squares = (away @ subspace.T).square().sum(1, keepdim=True)
    return (normals @ away[:, :, None])[:, :, 0] - margins + bends * squares / 2


@pytest.mark.parametrize(("name", "size"), EVERY)
def test_the_hand_over_is_not_felt_within_reach(name: str, size: Size) -> None:
    """Even straight towards the nearest other image; gaps are right to 1e-6 of the margin."""
    network = made(name, size)
    centres = network.centres.double()
    between = torch.cdist(centres, centres).fill_diagonal_(torch.inf)
    rows = between.min(1).values.argsort()[:40]
    towards = torch.nn.functional.normalize(centres[between[rows].argmin(1)] - centres[rows])
    for share in (0.0, 0.1, 1.0):
        points = (centres[rows] + share * REACH * size.median_margin * towards).float()
        points.requires_grad_()
        logits = network(points.view(-1, *size.shape))
        wanted = planes(network, points.detach().double() - centres[rows], rows)
        error = (logits.double() - wanted).abs().max() / size.median_margin
        assert float(error.detach()) < max(ROUNDED, share * 3e-6)
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), points)
        away = points.detach().double() - centres[rows]
        away.requires_grad_()
        (known,) = torch.autograd.grad(planes(network, away, rows)[:, 0].sum(), away)
        torch.testing.assert_close(gradient.double(), known, rtol=0, atol=1e-5)
    nearer = 0.9 * between[rows].min(1).values[:, None] * towards
    points = (centres[rows] + nearer).float()
    other = planes(network, nearer, rows) - network(points.view(-1, *size.shape)).double()
    assert float(other.detach().abs().amax(1).min()) > 1e-3  # there it is another image's


def test_images_too_near_to_each_other_are_refused() -> None:
    with pytest.raises(InputError, match=r"more than 16 apart, .* Found 5\.\d+; take fewer"):
        ridge(size=Size(margin=1.0))


@pytest.mark.parametrize("bend", [0.84, float("nan")])
def test_a_bend_that_moves_the_nearest_points_is_refused(bend: float) -> None:
    with pytest.raises(InputError, match=r"`bend` should be below 0\.833"):
        curved(bend=bend)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_seed_makes_one_network_and_its_images(name: str) -> None:
    first, again, other = (load_model(f"control:{name}{seed}") for seed in ("", ":0", ":1"))
    assert first.sha256 == again.sha256 != other.sha256
    assert not first.module.training
    control = named_control(f"control:{name}:1")
    images = images_of(control)
    assert other.image_shape == control.images.shape == tuple(images[0].shape)
    assert other.class_names == control.images.class_names
    if name != "linear":
        opened = open_images(f"control:{name}:1")
        assert opened.spec == control.images.spec == f"control:{name}:1"
        assert torch.equal(opened.read(range(600)).images, images)
        assert not torch.equal(open_images(f"control:{name}").read([0]).images, images[:1])
        assert torch.equal(control.module(images).argmax(1), control.images.labels)


@pytest.mark.parametrize("name", CONTROLS)
def test_untrained_nothing_is_planted(name: str) -> None:
    network = untrained_copy(named_control(f"control:{name}").module, seed=0)
    random = load_model(f"control:{name}", weights="random").module
    for one in (network, random):
        if isinstance(one, PlantedNetwork):
            assert not one.bends.any()
            values = torch.linalg.svdvals(near(one)[2])
            assert values[0] < 3  # white: 600 rows in 256 dimensions, at most 1 + sqrt(600 / 256)
        else:
            images = open_images("digits")
            predicted = one(images.read(range(900)).images).argmax(1)
            assert float((predicted == images.labels).double().mean()) < 0.5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("control:curvd", "no planted network `control:curvd`; did you mean `control:curved`?"),
        (
            "control:",
            "no planted network `control:`; there are linear, ridge, smooth, sink, curved.",
        ),
        ("control:ridge:one", "the seed of `control:ridge` should be .* Found `one`."),
        ("control:ridge:-1", "the seed of `control:ridge` should be .* Found `-1`."),
        ("control:ridge:1:2", "the seed of `control:ridge` should be .* Found `1:2`."),
    ],
)
@pytest.mark.parametrize("opened", [load_model, open_images])
def test_a_mistyped_name_is_answered(
    opened: Callable[[str], object], spec: str, message: str
) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        opened(spec)


def test_the_images_have_no_size_to_choose() -> None:
    with pytest.raises(InputError, match="`size` does not apply to the images of a control"):
        open_images("control:ridge", size=8)


@pytest.mark.parametrize("images", [{}, {"images": "control:curved:3"}])
def test_the_name_of_the_model_alone_is_enough(images: dict[str, str]) -> None:
    subject = load_subject(StudyConfig(model="control:curved:3", device="cpu", **images))
    assert subject.images.spec == "control:curved:3"
    assert subject.class_names == ("class 0", "class 1", "class 2", "class 3")
    linear_subject = load_subject(StudyConfig(model="control:linear", device="cpu"))
    assert linear_subject.images.spec == "digits"


def test_a_run_is_repeated_from_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--collect=6", "--evaluate=4", "--untrained=0", "--device=cpu", "-q"]
    assert main(["collect", "--model=control:ridge:2", "--out=run", *few]) == 0
    assert main(["collect", "--config=run/study.yaml", "--out=again", "-q"]) == 0
    first, again = (NormalsStore.open(Path(run, "normals")) for run in ("run", "again"))
    assert first.ids[0].startswith("ridge/")
    assert first.ids == again.ids
    assert np.array_equal(first.normals(), again.normals())
