"""Bad images, models, settings and numbers: each is answered in a sentence, and nothing is lost."""

import logging
import re
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from test_study import refusal

from analysis import Subspace, in_subspace, isotropic_null, shared_directions, singular_spectrum
from analysis.results import CollectionResult
from analysis.saved import load_result
from boundary import (
    Classifier,
    InputError,
    NormalsStore,
    Status,
    StoreError,
    collect_normals,
    nearest_boundary_points,
    open_images,
    split_images,
)
from sources import array_source
from study.cli import main
from study.config import config_from
from study.subject import load_subject
from surfaces import Constant, Linear, linear, random_images

FEW = ["--collect=12", "--evaluate=6", "--untrained=0", "--device=cpu"]
SMALL = [
    *FEW,
    "--fooling.draws=2",
    "--fooling.norms=[0.5]",
    "--spectrum.null_draws=2",
    "--spectrum.splits=2",
    "--universal.gradients=40",
    "--universal.counts=[]",
    "--curvature.images=9",
    "--curvature.judge=6",
    "--curvature.steps=3",
    "--curvature.scales=[0.5]",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = str(tmp_path_factory.mktemp("bad") / "run")
    assert main(["collect", *SMALL, "--out", folder]) == 0
    for stage in ("spectrum", "universal", "fooling"):
        assert main([stage, folder]) == 0
    return Path(folder)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Return a run, finished but for its report, that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def digits() -> NDArray[np.float32]:
    images: NDArray[np.float32] = open_images("digits").read(range(40)).images.numpy()
    return images


def saved(images: NDArray[Any]) -> str:
    """Return the option that names these images, saved as a file."""
    np.save("images.npy", images)
    return "--images=images.npy"


def pictures(digits: NDArray[np.float32]) -> Path:
    """Return a folder of grey pictures of the digits."""
    folder = Path("pictures").absolute()
    folder.mkdir()
    for place, image in enumerate(digits):
        write_picture(folder / f"{place:02d}.png", image[0])
    return folder


def class_folders(digits: NDArray[np.float32], classes: int) -> Path:
    """Return a folder of class folders a, b, ... with pictures of the digits."""
    folder = Path("photos").absolute()
    for place, image in enumerate(digits):
        inside = folder / "abcdefghij"[place % classes]
        inside.mkdir(parents=True, exist_ok=True)
        write_picture(inside / f"{place:02d}.png", image[0])
    return folder


def write_picture(file: Path, pixels: NDArray[np.float32], **options: str) -> None:
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(file, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every result and shard below a folder."""
    files = sorted([*folder.rglob("*.h5"), *folder.rglob("manifest.jsonl")])
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


# Images


def test_an_image_of_another_size_is_named_before_anything_is_computed(
    digits: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(digits)
    source = open_images(str(folder), channels=1)
    (*_, last), _ = split_images(source, collect=12, evaluate=6, seed=0)
    odd = folder / source.ids[last]
    good = odd.read_bytes()
    write_picture(odd, np.pad(digits[0, 0], 1))
    # A model that states no size, and a survey that does not come by the odd picture.
    Path("net.py").write_text(
        "from boundary import load_model\ndef make():\n    return load_model('digits').module"
    )
    command = [
        "collect",
        "--model=net.py:make",
        f"--images={folder}",
        "--channels=1",
        "--accuracy_images=1",
        "--batch_size=4",
        *FEW,
        "--out=run",
    ]
    said = refusal(capsys, *command)
    assert f"the images of {folder} should all have 8 x 8 pixels, as the first one has." in said
    assert f"Found 10 x 10 pixels for {odd.name}; give a `size` (`--size`)" in said
    assert not Path("run").exists()
    odd.write_bytes(good)
    assert main(command) == 0
    assert len(NormalsStore.open("run/normals")) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: 255 * x, r"should lie in \[0, 1\]. Found minimum 0, maximum 255; .*as uint8"),
        (lambda x: x - 0.5, r"should lie in \[0, 1\]. Found minimum -0.5, maximum 0.5; undo their"),
        (
            lambda x: (255 * x).astype(np.int64),
            r"should be uint8 in 0..255 or floats in \[0, 1\]. Found int64.",
        ),
        (
            lambda x: (x > 0.5).astype(np.uint8),
            "are uint8, where 255 should be white. Found none above 1; multiply them by 255",
        ),
    ],
)
def test_numbers_that_are_no_pixels_are_named(
    change: Any, message: str, digits: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "collect", saved(change(digits)), *FEW)
    assert re.search(message, said)
    assert "images.npy" in said


def test_bytes_that_are_pixels_are_read(digits: NDArray[np.float32]) -> None:
    saved((255 * digits).round().astype(np.uint8))
    read = open_images("images.npy").read(range(40)).images.numpy()
    np.testing.assert_allclose(read, digits, atol=1 / 500)


def test_another_number_of_channels_is_named_with_the_option(
    digits: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(digits)
    said = refusal(capsys, "collect", f"--images={folder}", *FEW)
    assert f"`digits` on `{folder}`: the classifier should take images of shape (3, 8, 8)" in said
    assert "to have 1 channels, but got 3 channels instead" in said
    assert "bring images of its size and channels (`--size`, `--channels`)" in said
    assert "beyond its bounds" not in said
    assert main(["collect", f"--images={folder}", "--channels=1", *FEW]) == 0


def test_another_size_than_the_models_is_named(
    digits: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "collect", saved(np.tile(digits, 2)), *FEW)
    assert "should take images of shape (1, 8, 16)" in said
    assert "(`--size`, `--channels`)" in said


def test_nan_in_some_images_leaves_those_out(
    digits: NDArray[np.float32], caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = digits.copy()
    spoilt[:8, 0, 3, 3] = np.nan
    spoilt[20] = np.inf
    assert main(["collect", saved(spoilt), *FEW, "--out=run"]) == 0
    assert "9 images could not be read, first 0: it holds NaN or infinity" in caplog.text
    found = load_result(Path("run/collect.h5"), CollectionResult)
    names = [f"{row}: it holds NaN or infinity" for row in (0, 1, 2, 20, 3, 4, 5, 6, 7)]
    assert sorted(found.unreadable) == sorted(names)
    assert np.isfinite(found.mean_image_norm)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rows_of_a_file_that_cannot_be_read_are_left_out(
    dtype: type[np.generic], digits: NDArray[np.float32]
) -> None:
    images = (200 * digits + 7).astype(dtype) if dtype is np.uint8 else digits + np.float32(1e-7)
    with h5py.File("images.h5", "w") as file:
        file.create_dataset("images", data=images, chunks=(1, 1, 8, 8), fletcher32=True)
    content = bytearray(Path("images.h5").read_bytes())
    content[content.index(images[5].tobytes()) + 9] ^= 4
    Path("images.h5").write_bytes(content)
    batch = open_images("images.h5").read(range(10))
    assert len(batch.ids) == 9
    assert [(bad.id, bad.reason[:26]) for bad in batch.unreadable] == [
        ("5", "its bytes cannot be read: ")
    ]


def test_nan_in_all_images_is_named(
    digits: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "collect", saved(digits * np.nan), *FEW)
    assert "none of the 40 images of" in said
    assert "can be read; the first, 0: it holds NaN or infinity." in said


def test_nan_in_a_tensor_is_named() -> None:
    images = random_images(3, (1, 2, 2))
    images[1, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match=r"should lie in \[0, 1\]. Found minimum nan.*that hold N"):
        nearest_boundary_points(Classifier(linear(3, 4)), images)


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (lambda x: np.full_like(x, 0.5), "all are of one colour throughout"),
        (lambda x: np.zeros_like(x), "all are of one colour throughout"),
        (
            lambda x: x * 0 + np.linspace(0, 1, len(x), dtype=x.dtype)[:, None, None, None],
            "all are of one colour throughout",
        ),
        (lambda x: np.repeat(x[:1], len(x), axis=0), "all are the same"),
    ],
)
def test_images_that_show_nothing_are_refused_before_anything_is_computed(
    made: Any, found: str, digits: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "run", saved(made(digits)), *SMALL)
    assert f"should show something, and differ. Found that {found}" in said
    assert not Path("run").exists()


def test_some_blank_images_are_images_like_others(digits: NDArray[np.float32]) -> None:
    some = digits.copy()
    some[:10] = 0.5
    assert main(["collect", saved(some), *SMALL, "--out=run"]) == 0
    assert main(["spectrum", "run"]) == 0
    found = load_result(Path("run/collect.h5"), CollectionResult)
    assert found.on_boundary.mean() > 0.9
    assert np.isfinite(found.margin[found.on_boundary]).all()


def test_images_of_one_pixel_may_be_of_one_colour() -> None:
    np.save("points.npy", np.random.default_rng(0).random((30, 1, 1), dtype=np.float32))
    Path("net.py").write_text(
        dedent("""
        from torch import nn
        def make():
            return nn.Sequential(nn.Flatten(), nn.Linear(1, 4)).eval()
        """)
    )
    config = {"model": "net.py:make", "images": "points.npy", "collect": 10, "evaluate": 5}
    assert load_subject(config_from(config)).images.shape == (1, 1, 1)


def test_damaged_pictures_are_left_out_and_mislabelled_ones_are_read(
    digits: NDArray[np.float32], caplog: pytest.LogCaptureFixture
) -> None:
    folder = pictures(digits)
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:-30])
    (folder / "04.png").write_text("this is no picture")
    (folder / "05.png").write_bytes(b"")
    write_picture(folder / "06.png", digits[6, 0], format="jpeg")
    write_picture(folder / "07.jpg", digits[7, 0], format="png")
    assert main(["collect", f"--images={folder}", "--channels=1", *FEW, "--out=run"]) == 0
    assert "3 images could not be read, first 03.png: image file is truncated" in caplog.text
    found = load_result(Path("run/collect.h5"), CollectionResult)
    assert found.unreadable == (
        "03.png: image file is truncated",
        "04.png: it is not a picture that Pillow can read",
        "05.png: the file is empty",
    )
    source = open_images(str(folder), channels=1)
    batch = source.read([source.ids.index(name) for name in ("06.png", "07.jpg")])
    assert np.abs(batch.images[0].numpy() - digits[6]).mean() < 0.05  # a JPEG
    np.testing.assert_allclose(batch.images[1].numpy(), digits[7], atol=1 / 500)


def test_a_folder_that_is_away_is_an_error_and_no_unreadable_image(
    digits: NDArray[np.float32], tmp_path: Path
) -> None:
    photos = pictures(digits[:6])
    source = open_images(str(photos), channels=1)
    classifier = Classifier(linear(3, 64).float())
    read = source.read
    away = tmp_path / "away"

    def unmounted(positions: Any) -> Any:
        if 4 in positions:
            photos.rename(away)
        return read(positions)

    source.read = unmounted  # type: ignore[method-assign]
    with pytest.raises(FileNotFoundError):
        collect_normals(classifier, source, tmp_path / "n", batch_size=2)
    away.rename(photos)
    source.read = read  # type: ignore[method-assign]
    assert NormalsStore.open(tmp_path / "n").covered == 4
    store = collect_normals(classifier, source, tmp_path / "n", batch_size=2)
    assert len(store) == 6
    assert store.unreadable == []


def test_the_model_is_tried_on_the_first_images_that_can_be_read(
    digits: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(digits)
    for place in range(20):
        (folder / f"{place:02d}.png").write_bytes(b"")
    said = refusal(capsys, "collect", f"--images={folder}", "--size=8", *FEW)
    assert f"`digits` on `{folder}`: the classifier should take images of shape (3, 8, 8)" in said
    for file in folder.iterdir():
        file.write_bytes(b"no picture")
    said = refusal(capsys, "collect", f"--images={folder}", "--size=8", *FEW)
    assert f"none of the 40 images of {folder} can be read" in said
    assert "the first, 00.png: it is not a picture that Pillow can read." in said


@pytest.mark.parametrize("files", [[], ["a.txt", "b.csv"], ["inside/a.txt"]])
def test_a_folder_without_pictures_is_named(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for file in files:
        Path("photos", file).parent.mkdir(parents=True, exist_ok=True)
        Path("photos", file).write_text("text")
    Path("photos").mkdir(exist_ok=True)
    said = refusal(capsys, "collect", "--images=photos", *FEW)
    assert f"{Path('photos').absolute()} should hold images, or folders of images" in said
    assert "Found no file that ends as a picture does (.jpg, .png, ...)." in said


def test_images_to_collect_at_of_which_none_can_be_read_are_named(
    digits: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(digits)
    source = open_images(str(folder), channels=1)
    collecting, _ = split_images(source, collect=12, evaluate=6, seed=0)
    for place in collecting:
        (folder / source.ids[place]).write_bytes(b"")
    said = refusal(capsys, "collect", f"--images={folder}", "--channels=1", *FEW)
    first = source.ids[min(collecting)]
    assert "none of 12 images to collect at can be read; the first, " in said
    assert "the file is empty. Bring them back" in said
    assert first.endswith(".png")


# Models

NETS = """
    import os
    import torch
    from torch import nn
    from boundary import load_model

    class Net(nn.Module):
        def __init__(self, change):
            super().__init__()
            self.inner, self.change = load_model("digits").module, change

        def forward(self, images):
            return self.change(self.inner(images))

    CHANGES = {
        "softmax": lambda logits: logits.softmax(1),
        "sigmoid": lambda logits: logits.sigmoid(),
        "pair": lambda logits: (logits, logits),
        "dictionary": lambda logits: {"logits": logits},
        "array": lambda logits: logits.detach().numpy(),
        "nan": lambda logits: logits * torch.nan,
        "sometimes nan": lambda logits: logits.masked_fill(logits.amax(1, True) > 19, torch.nan),
        "single": lambda logits: logits[:, :1],
        "flat": lambda logits: logits.argmax(1),
        "dropout": lambda logits: nn.functional.dropout(logits, 0.5),
        "noise": lambda logits: logits + torch.randn_like(logits),
        "batch": lambda logits: logits - logits.mean(0),
        "constant": lambda logits: torch.arange(10.0).expand(len(logits), -1),
        "detached": lambda logits: logits.detach(),
        "as it is": lambda logits: logits,
        "five": lambda logits: logits[:, :5],
    }

    def make():
        return Net(CHANGES[os.environ["CHANGE"]]).train(bool(os.environ.get("TRAIN")))
"""


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the option that names a network, which the variable CHANGE changes."""
    Path("net.py").write_text(dedent(NETS))
    monkeypatch.setenv("CHANGE", "as it is")
    return "--model=net.py:make"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("softmax", "should return logits. Found rows that are non-negative and sum to 1; leave"),
        ("pair", "should return a tensor of logits. Found tuple; wrap it in a module that returns"),
        ("dictionary", "should return a tensor of logits. Found dict; wrap it in a module that"),
        ("array", "should return a tensor of logits. Found ndarray; wrap it in a module that"),
        ("nan", "should return finite logits. Found NaN or infinity on the images given; check"),
        ("single", "should have at least two classes. Found one output; for a single score s"),
        ("flat", "should return logits of shape (8, classes). Found (8,)."),
        ("dropout", "should give the same logits twice. Found a difference between two passes"),
        ("noise", "should give the same logits twice. Found a difference between two passes"),
        ("batch", "should not depend on the other images of its batch. Found that they do; use"),
    ],
)
def test_models_that_mislead_are_refused_before_anything_is_computed(
    net: str,
    change: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHANGE", change)
    said = refusal(capsys, "collect", net, *FEW)
    assert said.startswith("boundary: `net.py:make` on `digits`: ")
    assert message in said
    assert not Path("run").exists()


@pytest.mark.parametrize("options", [[], ["--fuse_batch_norm=true"], ["--channels_last=true"]])
def test_a_model_in_train_mode_is_refused_however_it_is_prepared(
    net: str,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TRAIN", "1")
    said = refusal(capsys, "collect", net, *FEW, *options)
    assert "`net.py:make` on `digits`: the classifier should be in eval mode." in said
    assert "Found that it is in train mode; call `module.eval()` first." in said


def test_outputs_of_a_sigmoid_give_a_warning(
    net: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert main(["collect", net, *FEW, "--out=run"]) == 0
    assert "sigmoid" not in caplog.text
    monkeypatch.setenv("CHANGE", "sigmoid")
    with caplog.at_level(logging.WARNING):
        assert main(["collect", net, *FEW, "--out=squashed"]) == 0
    assert caplog.text.count("all lie in [0, 1], like those of a sigmoid") == 1
    one, other = (
        load_result(Path(name, "collect.h5"), CollectionResult) for name in ("run", "squashed")
    )
    both = one.on_boundary & other.on_boundary
    assert both.any()
    assert (other.margin[both] >= 0.99 * one.margin[both]).all()
    assert other.margin[both].max() > one.margin[both].max()


def test_another_number_of_classes_is_another_model(
    net: str,
    digits: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["collect", net, saved(digits), *SMALL, "--out=run"]
    assert main(command) == 0
    assert main(["spectrum", "run"]) == 0
    kept = contents(Path("run"))
    monkeypatch.setenv("CHANGE", "five")
    capsys.readouterr()
    said = refusal(capsys, *command)
    assert "`run/normals` was collected with other settings: " in said
    assert "logits was " in said
    said = refusal(capsys, "universal", "run")
    assert "the model and the images should be those of the normals in `run/normals`." in said
    assert "logits was " in said
    assert contents(Path("run")) == kept
    monkeypatch.setenv("CHANGE", "as it is")
    assert main(["universal", "run"]) == 0


def test_classes_beyond_the_logits_are_refused(
    net: str,
    digits: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHANGE", "five")
    folder = class_folders(digits, 6)
    options = [net, f"--images={folder}", "--channels=1", *FEW, "--out=run"]
    said = refusal(capsys, "collect", *options)
    assert f"`net.py:make` should give a logit for each class of {folder}. Found 5 logits, " in said
    assert "and class 5 (`f`), counted from 0; bring another `--model`, " in said
    assert "or with `--classes FILE` the class of each folder." in said
    Path("classes.txt").write_text("a\nb\nc\nd\ne\nx\nf\n")
    assert "class 6 (`f`)" in refusal(capsys, "collect", *options, "--classes=classes.txt")
    np.savez("set.npz", images=digits, labels=np.arange(len(digits)) % 6)
    said = refusal(capsys, "collect", net, "--images=set.npz", *FEW, "--out=run")
    assert "Found 5 logits, and class 5, counted from 0" in said
    assert "or -1 for what is not known." in said
    assert not Path("run").exists()
    np.savez("set.npz", images=digits, labels=np.arange(len(digits)) % 6 - 1)
    assert main(["collect", net, "--images=set.npz", *FEW, "--out=run"]) == 0


def test_fewer_class_folders_than_logits_are_told_of(
    net: str, digits: NDArray[np.float32], caplog: pytest.LogCaptureFixture
) -> None:
    folder = class_folders(digits, 6)
    options = [net, f"--images={folder}", "--channels=1", *FEW]
    assert main(["collect", *options, "--out=run"]) == 0
    assert "has 6 classes and `net.py:make` 10: `a` is taken to be class 0, and so" in caplog.text
    assert "`--classes FILE`" in caplog.text
    caplog.clear()
    Path("classes.txt").write_text("\n".join("ghijabcdef"))
    assert main(["collect", *options, "--classes=classes.txt", "--out=other"]) == 0
    assert main(["collect", net, *FEW, "--out=digits"]) == 0
    assert "is taken to be class" not in caplog.text


def test_other_classes_of_the_same_weights_do_not_share_a_store(tmp_path: Path) -> None:
    class Head(Linear):
        """Some of the classes."""

        classes = 3

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images)[:, : self.classes]

    whole = linear(3, 4).float()
    module = Head(whole.weight.detach(), whole.bias.detach()).eval()
    source = array_source(tmp_path, 20)
    collect_normals(Classifier(module), source, tmp_path / "n")
    module.classes = 2
    with pytest.raises(StoreError, match=r"collected with other settings.*logits was .*, is "):
        collect_normals(Classifier(module), source, tmp_path / "n")


def test_a_class_fewer_of_many_is_another_model_too(tmp_path: Path) -> None:
    class Head(Linear):
        """Some of the classes."""

        classes = 500

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images)[:, : self.classes]

    whole = linear(500, 4).float()
    module = Head(whole.weight.detach(), whole.bias.detach()).eval()
    source = array_source(tmp_path, 20)
    store = collect_normals(Classifier(module), source, tmp_path / "n", positions=range(5))
    module.classes = 499
    with pytest.raises(StoreError, match=r"other settings: classes was 500, is 499. Use those"):
        collect_normals(Classifier(module), source, tmp_path / "n", positions=range(5))
    # Earlier versions did not write the number down.
    manifest = store.directory / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"classes": 500, ', ""))
    module.classes = 500
    collect_normals(Classifier(module), source, tmp_path / "n", positions=range(5))


def test_an_image_whose_logits_are_nan_is_named(
    net: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHANGE", "sometimes nan")
    said = refusal(capsys, "collect", net, *FEW)
    assert re.search(r"finite logits. Found NaN or infinity for digits/\d{4}; mend the mod", said)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"1.weight": torch.zeros(3, 5), "1.bias": torch.zeros(3)},
            "1 of another shape (first 1.weight: (3, 4) wanted, (3, 5) found)",
        ),
        (
            {"module.1.weight": torch.zeros(3, 4), "module.1.bias": torch.zeros(3)},
            "2 missing (first 1.weight); 2 unexpected (first module.1.bias)",
        ),
        ({"1.weight": torch.zeros(3, 4)}, "1 missing (first 1.bias)"),
        (
            {"1.weight": torch.full((3, 4), torch.nan), "1.bias": torch.zeros(3)},
            "should return finite logits. Found NaN or infinity on the images given; check its",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(
    weights: dict[str, torch.Tensor],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("net.py").write_text(
        dedent("""
        from torch import nn
        def make():
            return nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
        """)
    )
    save_file(weights, "w.safetensors")
    images = array_source(tmp_path, 20).spec
    said = refusal(
        capsys, "collect", "--model=net.py:make", "--weights=w.safetensors", f"--images={images}"
    )
    assert message in said
    assert "w.safetensors" in said or "net.py:make" in said
    assert not Path("run").exists()


# No boundary


@pytest.mark.parametrize(
    ("change", "options", "found"),
    [
        ("constant", [], "12 zero gradient"),
        ("detached", [], "12 zero gradient"),
        ("as it is", ["--search.max_margin=1e-4"], "12 not found"),
    ],
)
def test_no_boundary_within_reach_is_an_answer(
    net: str,
    change: str,
    options: list[str],
    found: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHANGE", change)
    said = refusal(capsys, "run", net, *SMALL, *options, "--out=run")
    assert f"no boundary point was found for any of 12 images ({found})" in said
    assert ("a larger `--search.max_margin`" in said) == (found == "12 not found")
    assert len(NormalsStore.open("run/normals")) == 12
    assert main(["inspect", "run"]) == 0
    printed = capsys.readouterr().out
    assert "12 of" in printed
    assert "nothing is done" in printed
    assert "no result of the stage `collect` yet" in refusal(capsys, "spectrum", "run")


def test_points_that_cannot_be_reached_are_flagged_and_never_nan() -> None:
    images = random_images(3, (1, 2, 2))
    flat = Classifier(Constant(torch.tensor([0.0, 2.0], dtype=torch.float64)).eval())
    for found, status in (
        (nearest_boundary_points(flat, images), Status.ZERO_GRADIENT),
        (
            nearest_boundary_points(Classifier(linear(3, 4)), images, max_margin=1e-9),
            Status.NOT_FOUND,
        ),
    ):
        assert found.status.tolist() == [status] * 3
        assert found.margin.isinf().all()
        assert not found.normal.any()
        assert found.point.equal(images)


# Settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colect: 5", "`colect` is not a setting; did you mean `collect`?"),
        ("search: {max_gradient: 5}", "`search.max_gradient` is not a setting; did you mean"),
        ("nothing_like_it: 5", "`nothing_like_it` is not a setting"),
        ("collect: five", "`--collect` should be a whole number. Found `five`."),
        ("collect: 5.5", "`--collect` should be a whole number. Found `5.5`."),
        ("collect: true", "`--collect` should be a whole number. Found `True`."),
        (
            "seed: 0\nuntrained:",
            "`--untrained` should be a whole number. Found nothing; leave it out",
        ),
        (
            "seed: 0\nmodel:",
            "`--model` should be a text. Found nothing; leave it out for its default.",
        ),
        ("model: 5", "`--model` should be a text. Found `5`."),
        ("fooling: {draws: null}", "`--fooling.draws` should be a whole number. Found nothing"),
        ("search: {candidates: 1.5}", "`--search.candidates` should be a whole number."),
        ("spectrum: {method: svd}", "`--spectrum.method` should be one of gram, lapack."),
        ("seed: 0\nsearch:", "`search` should be a group of settings. Found `None`"),
        ("channels_last: maybe", "`--channels_last` should be true or false. Found `maybe`."),
        ("fooling: {norms: [a]}", "should be a list of numbers, like [0.5,1]. Found `['a']`."),
        ("universal: {algorithms: deepfool}", "`--universal.algorithms` should be a list, like"),
    ],
)
def test_mistakes_in_a_file_of_settings_are_answered(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("study.yaml").write_text(text)
    assert message in refusal(capsys, "run", "--config=study.yaml")
    assert not Path("run").exists()


@pytest.mark.parametrize("text", ["", "- a", "5", "{", "a: ["])
def test_files_that_hold_no_settings_are_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("study.yaml").write_text(text)
    refusal(capsys, "run", "--config=study.yaml")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"colect": 5}, "`colect` is not a setting; did you mean `collect`?"),
        ({"search": {"max_step": 5}}, "`search.max_step` is not a setting"),
        ({5: 5}, "`5` is not a setting; `boundary run --help` lists them."),
        ({"collect": "5"}, "`--collect` should be a whole number. Found `'5'`."),
        (
            {"untrained": None},
            "`--untrained` should be a whole number. Found nothing; leave it out",
        ),
        ({"channels_last": 1}, "`--channels_last` should be true or false. Found `1`."),
        ({"weights": 5}, "`--weights` should be a text. Found `5`."),
        ({"search": {"max_margin": "far"}}, "`--search.max_margin` should be a number. Found"),
        (
            {"fooling": {"norms": ["a"]}},
            r"`--fooling.norms` should be a list, each of it a number. Found `\['a'\]`.",
        ),
        (
            {"universal": {"algorithms": ["deepfoo"]}},
            "`--universal.algorithms` should be a list, each of it one of smooth_rate, .*deepfool,",
        ),
        ({"spectrum": {"method": "svd"}}, "`--spectrum.method` should be one of gram, lapack."),
    ],
)
def test_settings_from_python_are_checked_too(settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config_from(settings)


def test_settings_of_every_right_kind_are_taken() -> None:
    config = config_from(
        {"weights": None, "seed": 3, "search": {"max_margin": 1}},
        {"search": {"max_change": 0.5}, "fooling": {"norms": [1, 0.5]}},
        {"curvature": {"scales": [1, 0.5]}, "channels_last": True},
    )
    assert (config.search.max_margin, config.search.max_change) == (1, 0.5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("collect: 12\n", "collect: 12\ncolect: 4\n", "`colect` is not a setting; did you mean"),
        ("collect: 12\n", "collect: twelve\n", "`--collect` should be a whole number. Found"),
        ("seed: 0\n", "seed:\n", "`--seed` should be a whole number. Found nothing"),
        ("seed: 0\n", "seed: -1\n", "`--seed` should not be negative, nor above 2^63. Found -1."),
        ("model: digits\n", "model:\n", "`--model` should be a text. Found nothing"),
    ],
)
def test_a_study_whose_settings_were_spoilt_says_so_and_keeps_its_results(
    run: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, text = contents(run), (run / "study.yaml").read_text()
    assert old in text
    (run / "study.yaml").write_text(text.replace(old, new))
    for command in (["run", *SMALL, f"--out={run}"], ["spectrum", str(run)]):
        said = refusal(capsys, *command)
        assert f"`{run}/study.yaml` is damaged: {message}" in said
    (run / "study.yaml").write_text(text)
    for command in (["collect", *SMALL, f"--out={run}"], ["fooling", str(run)]):
        assert main(command) == 0
    assert contents(run) == kept


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--seed=1", "seed was 0, is 1"),
        ("--collect=13", "collect was 12, is 13"),
        ("--evaluate=7", "evaluate was 6, is 7"),
        ("--weights=random", "weights was None, is random"),
        ("--search.max_gradients=20", "search.max_gradients was 40, is 20"),
        ("--spectrum.directions=5", "spectrum.directions was None, is 5"),
        ("--universal.dimension=3", "universal.dimension was None, is 3"),
        ("--channels_last=true", "channels_last was False, is True"),
    ],
)
def test_other_settings_than_those_of_the_run_are_named(
    run: Path, option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = contents(run)
    said = refusal(capsys, "run", *SMALL, option, f"--out={run}")
    assert f"`{run}` holds a study with other settings: {message}. Name another --out" in said
    assert contents(run) == kept


# Numbers of directions, and of images


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("spectrum --directions=11", r"directions` should lie in 1\.\.10\b.* Found 11"),
        ("spectrum --directions=0", r"`--spectrum.directions` should lie in 1\.\..* Found 0"),
        ("universal --dimension=11", r"dimension` should lie in 1\.\.10\b.* Found 11"),
        ("universal --dimension=0", r"`--universal.dimension` should lie in 1\.\..* Found 0"),
        ("fooling --dimensions=[1,11]", r"dimension.* should lie in 1\.\.10\b.* Found 11"),
        ("fooling --dimensions=[0]", r"`--fooling.dimensions` should lie in 1\.\..* Found 0"),
        ("curvature --dimension=11", r"`--curvature.dimension` should be at most 10\b.* Found 11"),
        ("curvature --dimension=0", "`--curvature.dimension` should be at least 1. Found 0"),
    ],
)
def test_more_directions_than_there_are_and_none_at_all_are_refused(
    run: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = contents(run)
    stage, option = words.split()
    again = [] if stage == "curvature" else ["--redo"]
    assert re.search(message, refusal(capsys, stage, str(run), option, *again))
    assert contents(run) == kept


@pytest.mark.parametrize(
    ("option", "message", "done"),
    [
        ("--spectrum.directions=10", r"directions` should lie in 1\.\.[2-9]\b.* Found 10", 1),
        (
            "--universal.dimension=10",
            r"`--universal.dimension` should lie in 1\.\.[2-9]\b.* Found 10",
            2,
        ),
        (
            "--fooling.dimensions=[10]",
            r"`--fooling.dimensions` should lie in 1\.\.[2-9]\b.* Found 10",
            3,
        ),
    ],
)
def test_what_a_run_asks_for_in_vain_can_be_asked_for_otherwise(
    option: str, message: str, done: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = ("collect", "spectrum", "universal", "fooling")
    near = [*SMALL, "--search.max_margin=0.45"]  # some of the ten images have no point
    assert re.search(message, refusal(capsys, "run", *near, option, "--out=run"))
    kept = contents(Path("run"))
    assert Path("run/perturbations").exists() == (done == 3)  # none is made in vain
    assert all((f"{stage}.h5" in kept) == (stage in stages[:done]) for stage in stages)
    assert main(["collect", *near, "--out=run"]) == 0
    assert main([stages[done], "run"]) == 0
    after = contents(Path("run"))
    assert all(after[name] == kept[name] for name in kept)


def test_one_image_has_one_direction_and_no_halves(tmp_path: Path) -> None:
    store = collect_normals(
        Classifier(linear(3, 4).float()), array_source(tmp_path, 20), tmp_path / "n", positions=[3]
    )
    normals = store.normals()
    assert normals.shape == (1, 4)
    for method in ("gram", "lapack", "krylov"):
        found = singular_spectrum(normals, method=method)
        assert found.singular_values == pytest.approx([1])
        np.testing.assert_allclose(np.abs(found.directions @ normals[:].T), 1, rtol=1e-6)
    with pytest.raises(InputError, match=r"`directions` should lie in 0\.\.1.* Found 2"):
        singular_spectrum(normals, directions=2)
    with pytest.raises(InputError, match=r"at least 2 normals to make halves of. Found 1"):
        isotropic_null(1, 4)
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(InputError, match=r"at least 2 normals to make halves of. Found 1; collect"):
        shared_directions(normals, one, one + 1, (1, 2, 2), evaluated=normals)


def test_no_direction_makes_no_subspace() -> None:
    found = singular_spectrum(np.eye(4)[:3])
    with pytest.raises(InputError, match=r"`dimension` should lie in 1\.\.3.* Found 0"):
        found.subspace(0)
    with pytest.raises(InputError, match=r"`basis` should have shape \(R, D\) with 1 <= R <= D"):
        Subspace(np.zeros((0, 4)))
    with pytest.raises(InputError, match=r"`subspace` should have shape \(R, 4\). Found \(0, 4\)"):
        nearest_boundary_points(
            Classifier(linear(3, 4)),
            random_images(2, (1, 2, 2)),
            subspace=torch.zeros(0, 4, dtype=torch.float64),
        )
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(InputError, match=r"`vectors` should have shape \(draws, C, H, W\)"):
        in_subspace(found.subspace(1), (1, 2, 2), 0, 0.5, generator)


def test_one_image_is_collected_and_told_that_it_is_too_few(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["collect", *FEW, "--collect=1", "--out=run"]) == 0
    capsys.readouterr()
    said = refusal(capsys, "spectrum", "run")
    assert "at least 2 normals to make halves of. Found 1; collect more images" in said
    assert len(NormalsStore.open("run/normals")) == 1
