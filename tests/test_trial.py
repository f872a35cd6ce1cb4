"""The command `boundary try`: perturbations from files on any classifier."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis import Perturbations, fooling_rate, load_perturbations, save_perturbations
from boundary import Classifier, load_model, open_images
from study.cli import main
from testbed import TESTBED, needs_testbed


def vector(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 8, 8, dtype=torch.float64, generator=generator) / 8


def counts(text: str) -> list[list[int]]:
    return [list(map(int, pair)) for pair in re.findall(r"fools +(\d+) of (\d+)", text)]


def test_a_file_is_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "v.npy", 255 * vector().numpy())
    saved = tmp_path / "v.png"
    assert main(["try", str(tmp_path / "v.npy"), "--save", str(saved), "--device=cpu"]) == 0
    printed = capsys.readouterr().out
    assert "digits on 900 images of digits" in printed
    assert "`array` (1, 8, 8), CHW by its shape, units of 0 to 255 by its largest" in printed
    classifier = Classifier(load_model("digits").module)
    images = open_images("digits").read(range(900)).images
    given = Perturbations.of("v", vector())
    for place, family in ((0, given), (2, given.rounded())):
        for clip in (False, True):
            rate = fooling_rate(classifier, images, family, clip=clip)
            assert counts(printed)[place + clip] == [rate.count, 900]
    again = load_perturbations(saved, shape=(1, 8, 8)).perturbations
    assert torch.allclose(again.vectors, given.rounded().vectors)


def test_several_files_at_another_norm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "one.npy", vector().numpy())
    save_perturbations(
        tmp_path / "two.safetensors",
        Perturbations.of("two", torch.stack([vector(1), vector(2)])),
    )
    files = [str(tmp_path / name) for name in ("one.npy", "two.safetensors")]
    assert main(["try", *files, "--norm=0.5", "--lp=inf", "--count=50"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("l-infinity 0.5") == 2
    assert "2 vectors, mean l2" in printed
    assert [total for _, total in counts(printed)] == [50] * 6 + [100] * 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["v.npx"], "v.npx does not exist; did you mean `v.npy`"),
        (["v.npy", "--save=v.jpg"], "`--save` should end in .png or .safetensors. Found `v.jpg`."),
        (["v.npy", "v.npy", "--save=v.png"], "`--save` is for one file. Found 2; name one."),
        (["v.npy", "--count=0"], "`--count` should be at least 1. Found 0."),
        (["v.npy", "--layout=WHC"], "`--layout` should be one of CHW, HWC. Found `WHC`."),
        (["v.npy", "--laout=CHW"], "did you mean `--layout`"),
        (["big.npy"], "shape (1, 8, 8). Found shape (1, 9, 9); bring images of its size"),
        ([], "a file of a perturbation is missing; name it after the command"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", vector().numpy())
    np.save("big.npy", np.ones((1, 9, 9)))
    with pytest.raises(SystemExit):
        main(["try", *arguments])
    printed = capsys.readouterr().err.strip()
    assert printed.startswith("boundary: ")
    assert message in printed
    assert "\n" not in printed


@needs_testbed
@pytest.mark.slow
def test_published_perturbations_fool_as_many_as_by_hand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [str(TESTBED / "perturbations" / name) for name in ("VGG-16.mat", "CaffeNet.mat")]
    model, images = TESTBED / "models.py:squeezenet", TESTBED / "images" / "imagenet"
    assert main(["try", *files, f"--model={model}", f"--images={images}", "--size=224"]) == 0
    found = counts(capsys.readouterr().out)
    for place, by_hand in ((0, 293), (1, 291), (6, 320), (7, 315)):
        assert abs(found[place][0] - by_hand) <= 2
