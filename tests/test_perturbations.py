"""Perturbations, in memory and in files of ours and of others."""

import json
from math import inf
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from analysis import (
    Perturbations,
    Subspace,
    load_perturbations,
    save_perturbations,
    save_picture,
    singular_spectrum,
)
from analysis.baselines import (
    displacement_sum,
    gradient_sign,
    mean_image,
    single_displacements,
    singular_pairs,
)
from boundary import Classifier, InputError, nearest_boundary_points
from surfaces import linear, random_images

SHAPE = (3, 4, 5)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("p", [2.0, inf])
def test_all_draws_have_the_norm(p: float) -> None:
    found = Perturbations.of("mine", random(6, *SHAPE), 0.7, p=p)
    assert torch.allclose(found.vectors.flatten(1).norm(p=p, dim=1), torch.tensor(0.7).double())
    assert found.subspace_dimension == 60
    again = found.scaled(2.0)
    assert torch.allclose(again.vectors, found.vectors * 2 / 0.7)
    assert again.directions is found.directions
    other = found.scaled(3.0, p=2.0)
    assert torch.allclose(other.vectors.flatten(1).norm(dim=1), torch.tensor(3.0).double())
    assert other.p == 2.0


def test_what_is_no_perturbation_is_refused() -> None:
    for vectors, message in (
        (torch.full(SHAPE, torch.nan), "`mine` should be finite"),
        (torch.zeros(SHAPE), "`mine` should not be zero"),
        (random(4, 5), r"\(C, H, W\). Found \(4, 5\)"),
    ):
        with pytest.raises(InputError, match=message):
            Perturbations.of("mine", vectors)
    with pytest.raises(InputError, match="`norm` should be positive"):
        Perturbations.of("mine", random(*SHAPE)).scaled(-1.0)
    with pytest.raises(InputError, match="`p` should be 2 or infinity"):
        Perturbations.of("mine", random(*SHAPE), p=1.0)


def test_rounding_and_shuffling() -> None:
    given = Perturbations.of("mine", random(2, *SHAPE), 10 / 255, p=inf)
    levels = 255 * given.rounded().vectors
    assert torch.allclose(levels, levels.round(), atol=1e-9)
    assert float((levels - 255 * given.vectors).abs().max()) <= 0.5
    moved = given.shuffled(torch.Generator().manual_seed(0)).vectors.flatten(2)
    before = given.vectors.flatten(2)
    assert not torch.equal(moved, before)
    for row, old in zip(moved, before, strict=True):  # whole pixels: their colours stay
        assert sorted(map(tuple, row.T.tolist())) == sorted(map(tuple, old.T.tolist()))


def test_ours_come_back_with_their_provenance(tmp_path: Path) -> None:
    given = Perturbations.of(
        "universal",
        random(2, *SHAPE),
        0.3,
        p=inf,
        subspace_dimension=7,
        source={"algorithm": "smooth_rate", "seed": 3},
    )
    file = tmp_path / "mine.safetensors"
    save_perturbations(file, given)
    found = load_perturbations(file).perturbations
    assert torch.allclose(found.vectors, given.vectors, rtol=1e-15, atol=0)
    assert (found.family, found.norm, found.p) == ("universal", 0.3, inf)
    assert found.subspace_dimension == 7
    assert found.source == given.source
    rounded = given.rounded()
    save_perturbations(file, rounded)
    assert torch.equal(load_perturbations(file).perturbations.vectors, rounded.vectors)
    save_perturbations(file, given)
    # Any other program reads it as well.
    assert torch.equal(load_file(file)["vectors"], given.vectors)
    with pytest.raises(InputError, match=r"end in \.safetensors"):
        save_perturbations(tmp_path / "mine.pt", given)


def write(file: Path, array: NDArray[np.float64]) -> None:
    tensor = torch.from_numpy(array.copy())
    match file.suffix:
        case ".npy":
            np.save(file, array)
        case ".npz":
            np.savez(file, r=array)
        case ".mat":
            scipy.io.savemat(file, {"r": array, "fooled": 0.9})
        case ".safetensors":
            save_file({"r": tensor}, file)
        case ".pt":
            torch.save({"r": tensor, "epoch": 3}, file)
        case ".pth":
            torch.save(tensor, file)


@pytest.mark.parametrize("ending", ["npy", "npz", "mat", "safetensors", "pt", "pth"])
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("units", [1, 255])
def test_others_are_read_in_every_format(
    tmp_path: Path, ending: str, layout: str, units: int
) -> None:
    vector = random(*SHAPE).clamp(-2, 2) / 50
    array = units * (vector if layout == "CHW" else vector.permute(1, 2, 0)).numpy()
    file = tmp_path / f"found.{ending}"
    write(file, array)
    found = load_perturbations(file)
    assert torch.allclose(found.perturbations.vectors[0], vector)
    assert layout in found.how_read
    assert f"0 to {units} " in found.how_read
    assert found.perturbations.source["file"] == file.name
    stated = load_perturbations(file, layout=layout, units=units)  # type: ignore[arg-type]
    assert torch.allclose(stated.perturbations.vectors[0], vector)
    assert stated.how_read.count("as stated") == 2


def test_a_matlab_file_of_version_7_3(tmp_path: Path) -> None:
    vector = random(*SHAPE) / 100
    file = tmp_path / "new.mat"
    with h5py.File(file, "w") as opened:
        opened["r"] = vector.permute(1, 2, 0).numpy().T
    found = load_perturbations(file, shape=SHAPE).perturbations
    assert torch.allclose(found.vectors[0], vector)


def test_several_vectors_and_grey_ones(tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", random(7, 4, 5, 3).numpy())
    with pytest.raises(InputError, match=r"7 vectors .* one norm. Found l2 norms from .*`norm`"):
        load_perturbations(tmp_path / "many.npy")
    scaled = load_perturbations(tmp_path / "many.npy", norm=0.1, p=inf).perturbations
    assert torch.allclose(scaled.vectors.flatten(1).norm(p=inf, dim=1), torch.tensor(0.1).double())
    alike = Perturbations.of("mine", random(7, *SHAPE), 0.3).vectors
    np.save(tmp_path / "many.npy", alike.permute(0, 2, 3, 1).numpy())
    assert torch.allclose(load_perturbations(tmp_path / "many.npy").perturbations.vectors, alike)
    np.save(tmp_path / "grey.npy", random(4, 5).numpy())
    assert load_perturbations(tmp_path / "grey.npy").perturbations.vectors.shape == (1, 1, 4, 5)
    np.save(tmp_path / "cube.npy", random(3, 3, 3).numpy())
    with pytest.raises(InputError, match="both ways; state `layout`"):
        load_perturbations(tmp_path / "cube.npy")
    found = load_perturbations(tmp_path / "cube.npy", layout="HWC").perturbations
    assert torch.allclose(found.directions[0].permute(1, 2, 0) * found.norm * 255, random(3, 3, 3))


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", one=random(*SHAPE).numpy(), other=random(*SHAPE).numpy())
    np.save(tmp_path / "small.npy", random(*SHAPE).numpy())
    np.save(tmp_path / "bytes.npy", np.ones(SHAPE, np.uint8))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.mat").write_text("nothing")
    torch.save({"run": Classifier}, tmp_path / "code.pt")
    for name, options, message in (
        ("two.npz", {}, r"Found `one` \(3, 4, 5\), `other`.*name one with `key`"),
        ("two.npz", {"key": "oter"}, "no array `oter`.*did you mean `other`"),
        ("small.npy", {"shape": (3, 8, 8)}, r"shape \(3, 8, 8\).*bring images of its size"),
        ("bytes.npy", {}, "two signs"),
        ("objects.npy", {}, "cannot be read as .npy"),
        ("text.mat", {}, "cannot be read as .mat"),
        ("code.pt", {}, "would run code when loaded and was refused"),
        ("smal.npy", {}, "did you mean `small.npy`"),
    ):
        with pytest.raises(InputError, match=message):
            load_perturbations(tmp_path / name, **options)
    (tmp_path / "v.txt").write_text("")
    with pytest.raises(InputError, match=r"should end in \.safetensors, \.npy"):
        load_perturbations(tmp_path / "v.txt")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_holds_the_rounded_vector(tmp_path: Path, channels: int) -> None:
    given = Perturbations.of("mine", random(channels, 4, 5), 10 / 255, p=inf)
    file = tmp_path / "v.png"
    save_picture(file, given.vectors[0])
    with Image.open(file) as picture:
        assert picture.size == (5, 4)
    found = load_perturbations(file, shape=(channels, 4, 5)).perturbations
    assert torch.allclose(found.vectors, given.rounded().vectors)
    small = torch.zeros(channels, 4, 5)
    small[0, 1, 2] = 1 / 255
    save_picture(file, small)
    found = load_perturbations(file, shape=(channels, 4, 5)).perturbations
    assert torch.allclose(found.vectors[0], small.double())
    Image.new("P", (5, 4)).save(file)
    with pytest.raises(InputError, match=r"grey or RGB, of 8 bits a channel. Found P"):
        load_perturbations(file)
    with pytest.raises(InputError, match=r"more than 127/255.*Found 200/255"):
        save_picture(file, torch.full((channels, 4, 5), 200 / 255))
    with pytest.raises(InputError, match=r"end in \.png"):
        save_picture(tmp_path / "v.jpg", given.vectors[0])


def test_a_file_of_another_version(tmp_path: Path) -> None:
    record = json.dumps({"version": 99})
    file = tmp_path / "new.safetensors"
    save_file({"vectors": random(1, *SHAPE)}, file, {"boundary-perturbations": record})
    with pytest.raises(InputError, match="another version"):
        load_perturbations(file)


def test_baselines_of_a_linear_classifier() -> None:
    """Two classes: displacements, their sum and the gradient's signs are all known."""
    classifier = Classifier(linear(2, 12))
    images = random_images(80, (3, 2, 2))
    images = images[classifier.predict(images) == 0]
    points = nearest_boundary_points(classifier, images)
    normals = points.normal.flatten(1).numpy()
    unit = points.normal[0]
    one = single_displacements(normals, (3, 2, 2), 5, 0.4)
    assert torch.allclose(one.vectors, 0.4 * unit.expand(5, 3, 2, 2))
    total = displacement_sum(normals, points.margin.numpy(), (3, 2, 2), 0.4)
    assert torch.allclose(total.vectors[0], 0.4 * unit)
    step = gradient_sign(classifier, images, 0.4, batch_size=7)
    assert torch.allclose(step.vectors[0], 0.4 * unit.sign() / 12**0.5)
    mean = mean_image(images, 0.4).vectors[0]
    assert torch.allclose(mean, 0.4 * images.mean(0) / images.mean(0).norm())


def test_the_sum_weighs_normals_by_their_margins() -> None:
    rows = np.eye(60)[:4]
    margins = np.array([1.0, 2.0, 0.0, 2.0])
    found = displacement_sum(rows, margins, SHAPE, 3.0).vectors.flatten().numpy()
    np.testing.assert_allclose(found[:5], [1, 2, 0, 2, 0], atol=1e-12)


def test_singular_vectors_have_both_signs() -> None:
    rows = Subspace.spanned_by(random(6, 60).numpy()).basis
    spectrum = singular_spectrum(rows, directions=4)
    found = singular_pairs(spectrum, SHAPE, 6, 0.5).vectors.flatten(1)
    assert found.shape == (6, 60)
    assert torch.equal(found[0::2], -found[1::2])
    np.testing.assert_allclose(found[0::2].numpy(), 0.5 * spectrum.directions[:3], atol=1e-12)


def test_a_gradient_that_is_zero_is_told() -> None:
    class Constant(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[0.0, 2.0]]).double().expand(len(images), 2)

    with pytest.raises(InputError, match="gradient of zero everywhere"):
        gradient_sign(Classifier(Constant().eval()), random_images(4, SHAPE), 1.0)
