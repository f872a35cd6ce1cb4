"""What should be true of real networks, at sizes that take minutes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.fooling import compare
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.results import CollectionResult, FoolingResult, SpectrumResult
from analysis.saved import load_result
from boundary import (
    Classifier,
    collect_normals,
    load_model,
    nearest_boundary_points,
    open_images,
)
from figures.rates import reference_rate
from study.cli import main
from testbed import CIFAR10, IMAGENET, IMAGENET_CLASSES, MODELS, needs_testbed

pytestmark = [pytest.mark.slow, needs_testbed]


@pytest.mark.parametrize("network", ["resnet20", "resnet32", "smooth_vgg"])
def test_boundary_points_are_near_and_aligned(network: str) -> None:
    classifier = Classifier(load_model(f"{MODELS}:{network}").module)
    source = open_images(CIFAR10)
    images = source.read(range(0, len(source), len(source) // 128)[:128]).images
    found = nearest_boundary_points(classifier, images)
    assert found.on_boundary.all()
    rounding = torch.finfo(images.dtype).eps * images.flatten(1).norm(dim=1)
    assert (found.residual <= 1e-4 * found.margin + rounding).all()
    assert (found.residual <= 1e-4 * found.margin).double().mean() > 0.95
    assert found.alignment.median() > 0.99
    assert found.alignment.quantile(0.1) > 0.95
    few = nearest_boundary_points(classifier, images, max_gradients=5)
    assert few.on_boundary.all()
    assert (found.margin <= 1.0001 * few.margin + rounding).all()
    assert (found.margin / few.margin).mean() < 0.99


def test_another_batch_size_gives_the_same_rows_to_rounding(tmp_path: Path) -> None:
    classifier = Classifier(load_model(f"{MODELS}:resnet20").module)
    source = open_images(CIFAR10)
    places = range(0, 4000, 20)
    one, other = (
        collect_normals(classifier, source, tmp_path / str(size), positions=places, batch_size=size)
        for size in (64, 13)
    )
    np.testing.assert_array_equal(one.ids, other.ids)
    for name in ("source", "position", "label"):
        np.testing.assert_array_equal(one.column(name), other.column(name))
    assert one.on_boundary.all()
    assert other.on_boundary.all()
    assert (one.column("target") == other.column("target")).mean() > 0.98
    assert (one.column("status") == other.column("status")).mean() > 0.85
    moved = np.abs(one.column("margin") / other.column("margin") - 1)
    assert moved.max() < 0.01
    assert np.median(moved) < 1e-5
    cosine = (np.asarray(one.normals()) * np.asarray(other.normals())).sum(1)
    assert np.quantile(cosine, 0.1) > 0.97


def studied(run: Path, network: str, *words: str) -> None:
    """Study a network up to its fooling rates, with few gradients for universal perturbations."""
    model = f"--model={MODELS}:{network}"
    few = ["--universal.gradients=200", "--channels_last=true", "--fuse_batch_norm=true"]
    assert main(["collect", model, *words, *few, "--untrained=0", "--out", str(run)]) == 0
    for stage in ("spectrum", "universal", "fooling"):
        assert main([stage, str(run)]) == 0


def test_the_shared_subspace_of_a_resnet_fools_twice_as_much_as_the_sphere(tmp_path: Path) -> None:
    sizes = ["--collect=1250", "--evaluate=300", "--fooling.norms=[1.0]", "--fooling.draws=10"]
    studied(tmp_path, "resnet20", f"--images={CIFAR10}", *sizes, "--universal.dimension=50")
    assert load_result(tmp_path / "collect.h5", CollectionResult).on_boundary.all()
    spectrum = load_result(tmp_path / "spectrum.h5", SpectrumResult)
    assert spectrum.spectrum.singular_values[0] == pytest.approx(2.4, abs=0.15)
    assert spectrum.isotropic.singular_values[:, 0] == pytest.approx(1.57, abs=0.02)
    fooling = load_result(tmp_path / "fooling.h5", FoolingResult)
    subspace, sphere = (
        next(r for r in fooling.rates if r.family == family and r.norm == 1.0 and not r.clipped)
        for family in (SUBSPACE, SPHERE)
    )
    ratio = compare(subspace, sphere).ratio_interval
    assert 1.5 < ratio.low < 2.0 < ratio.high < 2.7
    assert reference_rate(fooling, SUBSPACE, clipped=True) is not None


def test_a_network_of_a_thousand_classes(tmp_path: Path) -> None:
    images = [f"--images={IMAGENET}", f"--classes={IMAGENET_CLASSES}", "--size=227"]
    sizes = ["--collect=20", "--evaluate=10", "--fooling.norms=[20]", "--fooling.draws=2"]
    studied(tmp_path, "squeezenet", *images, *sizes)
    collected = load_result(tmp_path / "collect.h5", CollectionResult)
    assert collected.judged == 500
    assert collected.correct / 500 == pytest.approx(0.63, abs=0.01)
    assert collected.on_boundary.all()
    assert np.median(collected.alignment) > 0.9
