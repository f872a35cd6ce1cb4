"""What models share, on linear classifiers where it is known, and the stage on real runs."""

import shutil
from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from analysis import Perturbations, Subspace
from analysis.results import FoolingResult, UniversalResult
from analysis.saved import load_result, save_result
from analysis.transfer import (
    ModelNormals,
    TransferResult,
    check_models,
    resized,
    shared_geometry,
)
from boundary import InputError, open_images
from figures import plot_transfer
from figures.rates import reference_rate
from made import report_left_out
from study.cli import main

SMALL = [
    "--collect=60",
    "--evaluate=40",
    "--fooling.draws=2",
    "--fooling.norms=[0.5]",
    "--spectrum.null_draws=2",
    "--spectrum.splits=2",
    "--universal.gradients=300",
    "--universal.counts=[]",
    "--untrained=0",
    "--device=cpu",
    "--curvature.images=9",
    "--curvature.judge=6",
    "--curvature.steps=3",
    "--curvature.scales=[0.5]",
]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_perturbations_are_resized_at_the_same_norm() -> None:
    given = Perturbations.of("universal", torch.ones(3, 4, 6), 0.2, p=inf)
    found = resized(given, (3, 8, 12))
    assert torch.allclose(found.vectors, torch.full((1, 3, 8, 12), 0.2).double())
    assert (found.norm, found.p) == (0.2, inf)
    assert resized(given, (3, 4, 6)) is given
    smooth = Perturbations.of("universal", torch.linspace(-1, 1, 8).expand(3, 8, 8), 2.0)
    back = resized(resized(smooth, (3, 32, 32)), (3, 8, 8))
    assert float((back.directions * smooth.directions).sum()) > 0.99
    with pytest.raises(InputError, match="3 channels cannot be tried on images of 1"):
        resized(given, (1, 8, 8))


def test_models_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match=r"at least two models. Found one"):
        check_models(["one"], [(3, 4, 4)])
    with pytest.raises(InputError, match=r"same channels. Found one 3, two 1"):
        check_models(["one", "two"], [(3, 4, 4), (1, 4, 4)])


def test_geometry_of_planted_subspaces() -> None:
    """Two models share 2 of 4 directions; the third has images of another size."""
    basis = Subspace.spanned_by(random(8, 60).numpy()).basis
    generator = np.random.default_rng(0)

    def normals(rows: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        found = generator.standard_normal((200, 4)) @ basis[rows]
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))

    first, second = normals([0, 1, 2, 3]), normals([2, 3, 4, 5])
    third = normals([0, 1, 2, 3])[:, :48]
    third /= np.linalg.norm(third, axis=1, keepdims=True)
    # The same images throughout: those that make the subspaces judge none.
    ids = [f"image {place}" for place in range(200)]
    models = [
        ModelNormals(first, ids, (3, 4, 5)),
        ModelNormals(second, ids, (3, 4, 5)),
        ModelNormals(third, ids, (3, 4, 4)),
    ]
    found = shared_geometry(models, dimension=4)
    assert found.judged.tolist() == [40, 40, 40]
    np.testing.assert_allclose(found.shared[:2, :2], [[1, 0.5], [0.5, 1]], atol=1e-9)
    np.testing.assert_allclose(np.degrees(found.angles[0, 1]), [90, 90, 0, 0], atol=1e-4)
    # A normal of the first has half its energy, in the mean, in the two directions they share.
    assert found.energy[0, 1] == pytest.approx(0.5, abs=0.1)
    assert found.energy_low[0, 1] < found.energy[0, 1] < found.energy_high[0, 1]
    np.testing.assert_allclose(np.diag(found.energy), 1)
    assert np.isnan(found.energy[2, :2]).all()
    assert np.isnan(found.angles[:2, 2]).all()
    np.testing.assert_allclose(found.chance, [4 / 60, 4 / 60, 4 / 48])
    random_cosines = (np.cos(found.random_angles) ** 2).mean((1, 2))
    np.testing.assert_allclose(random_cosines, found.chance, atol=0.03)
    with pytest.raises(InputError, match="200 normals to make its subspace"):
        shared_geometry(models, dimension=200)


def test_models_that_agree_image_by_image_share_no_subspace() -> None:
    """Normals without a common direction, the same for both models at each image."""
    rows = np.random.default_rng(0).standard_normal((300, 600))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ids = [f"image {place}" for place in range(300)]
    models = [ModelNormals(rows, ids, (6, 10, 10)), ModelNormals(rows.copy(), ids, (6, 10, 10))]
    found = shared_geometry(models, dimension=30)
    assert found.energy_low[0, 1] < 30 / 600 < found.energy_high[0, 1]
    assert found.beyond_low[0, 1] < 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return runs of the digits network and of the same with a little noise on its weights."""
    folder = tmp_path_factory.mktemp("transfer")
    (folder / "net.py").write_text(
        "import torch\n"
        "from boundary import load_model\n\n\n"
        "def turned():\n"
        "    network = load_model('digits').module\n"
        "    with torch.no_grad():\n"
        "        for parameter in network.parameters():\n"
        "            parameter += 0.05 * parameter.std() * torch.randn_like(parameter)\n"
        "    return network\n"
    )
    one, other = folder / "one", folder / "other"
    with report_left_out():
        assert main(["run", *SMALL, "--out", str(one)]) == 0
        assert main(["run", *SMALL, f"--model={folder}/net.py:turned", "--out", str(other)]) == 0
    return one, other


def test_the_stage_tries_every_model_on_every_other(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = map(str, runs)
    assert main(["transfer", one, other]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Tried on another model, universal (smooth rate) fools between" in printed
    assert "The subspaces of R = " in printed
    result = load_result(runs[0] / "transfer.h5", TransferResult)
    assert result.models == ("digits", "net.py:turned")
    names = [matrix.family for matrix in result.matrices]
    assert names[0] == "universal smooth_rate l2"
    assert names[-2:] == ["subspace", "spectrum-matched"]
    for matrix in result.matrices:
        assert len(matrix.rates) == 4
        assert matrix.at(1, 0).fooled.shape[1] == 40
    # What is tried on its own model, on the images it was judged on, fools as many.
    made = load_result(runs[0] / "universal.h5", UniversalResult)
    assert result.matrices[0].at(0, 0).count == made.found[0].others[0].count
    fooling = load_result(runs[0] / "fooling.h5", FoolingResult)
    for matrix in result.matrices[-2:]:
        own = reference_rate(fooling, matrix.family, clipped=False)
        assert own is not None
        assert matrix.at(0, 0).count == own.count
    noise = {matrix.family: matrix.noise[0].family for matrix in result.matrices}
    assert noise["universal smooth_rate linf"] == "random signs"
    assert noise["subspace"] == "sphere"
    # A network that differs by a little noise has the same subspace, nearly.
    assert result.geometry.shared[0, 1] > 0.5
    assert main(["report", one]) == 0
    assert "On other models" in (runs[0] / "report.html").read_text(encoding="utf-8")
    assert (runs[0] / "figures" / "transfer.pdf").exists()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["transfer", one])
    assert "two run directories" in capsys.readouterr().err


@pytest.mark.usefixtures("without_report")
def test_a_transfer_of_older_rates_is_called_out_of_date(
    runs: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = tmp_path / "one"
    shutil.copytree(runs[0], one)
    other = str(runs[1])
    assert main(["transfer", str(one), other, "--families", "[displacement-sum]", "--redo"]) == 0
    result = load_result(one / "transfer.h5", TransferResult)
    assert result.matrices[-1].family == "displacement sum"
    with pytest.raises(SystemExit):
        main(["transfer", str(one), other, "--families", "[displacement]"])
    assert "made with other settings: families was ['displacement-sum']" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["transfer", str(one), other, "--families", "[sum]", "--redo"])
    assert "displacement-sum, gradient-sign" in capsys.readouterr().err
    assert main(["fooling", str(one), "--draws", "3", "--redo"]) == 0
    said = capsys.readouterr().out
    assert "transfer.h5` was made from another `fooling.h5`" in said
    assert "OTHER ...` makes it anew" in said
    assert main(["report", str(one)]) == 0
    assert "transfer" not in (one / "report.html").read_text(encoding="utf-8")
    assert "It is left out" in caplog.text
    assert main(["transfer", str(one), other, "--families", "[displacement-sum]"]) == 0
    assert main(["report", str(one)]) == 0
    assert "transfer" in (one / "report.html").read_text(encoding="utf-8")
    assert main(["spectrum", str(one), "--directions", "20", "--redo"]) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["transfer", other, str(one)])
    assert "universal.h5` was made from another `spectrum.h5`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["transfer", other, other])
    assert "twice" in capsys.readouterr().err


@pytest.mark.usefixtures("without_report")
def test_models_of_other_image_sizes(tmp_path: Path, runs: tuple[Path, Path]) -> None:
    digits = open_images("digits")
    batch = digits.read(range(len(digits)))
    larger = functional.interpolate(batch.images, (12, 12), mode="bilinear")
    np.savez(tmp_path / "larger.npz", images=larger.numpy(), labels=batch.labels.numpy())
    (tmp_path / "wide.py").write_text(
        "from torch import nn\n"
        "from boundary import load_model\n\n\n"
        "def make():\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(8), load_model('digits').module).eval()\n"
    )
    wide = tmp_path / "wide"
    model, images = f"--model={tmp_path}/wide.py:make", f"--images={tmp_path}/larger.npz"
    assert main(["run", *SMALL, model, images, "--out", str(wide)]) == 0
    # Their ids differ from those of the built-in images, so nothing is known to be shared.
    assert main(["transfer", str(wide), str(runs[0])]) == 0
    result = load_result(wide / "transfer.h5", TransferResult)
    np.testing.assert_array_equal(result.sizes, [[1, 12, 12], [1, 8, 8]])
    assert np.isnan(result.geometry.energy[0, 1])
    moved = result.matrices[0].at(0, 1)
    assert moved.norm == pytest.approx(result.norms[1])
    assert moved.rate > result.matrices[0].noise[1].rate
    assert main(["report", str(wide)]) == 0


def test_results_survive_the_disk_and_are_drawn(tmp_path: Path, runs: tuple[Path, Path]) -> None:
    if not (runs[0] / "transfer.h5").exists():
        main(["transfer", *map(str, runs)])
    result = load_result(runs[0] / "transfer.h5", TransferResult)
    save_result(tmp_path / "again.h5", result, {})
    again = load_result(tmp_path / "again.h5", TransferResult)
    assert again.models == result.models
    figure = plot_transfer(again)
    texts = {text.get_text() for axes in figure.axes for text in axes.texts}
    rate = result.matrices[0].at(0, 1).rate
    assert (f"{100 * rate:.0f} %" if rate >= 0.1 else f"{100 * rate:.1f} %") in texts
