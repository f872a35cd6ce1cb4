"""Every way to name images, the preprocessing rule, and what each mistake is answered with."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

from boundary.errors import InputError
from boundary.images import ImageSource, open_images, sha256_of_ids
from testbed import CIFAR10, IMAGENET, IMAGENET_CLASSES, needs_testbed

Arrays = Mapping[str, NDArray[Any]]


def noise(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def picture(file: Path, pixels: NDArray[np.uint8] | None = None, **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(8, 6) if pixels is None else pixels).save(file, **options)
    return file


def only_image(source: ImageSource) -> NDArray[np.float32]:
    batch = source.read([0])
    assert batch.unreadable == ()
    image: NDArray[np.float32] = batch.images[0].numpy()
    return image


def as_floats(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (H, W, 3) bytes as (3, H, W) floats."""
    return pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)


# Folders


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Three class folders, written in no order, with things beside the images."""
    root = tmp_path / "zoo"
    for seed, name in enumerate(["dog/b.png", "cat/a.PNG", "emu/c.bmp", "cat/deep/z.tiff"]):
        picture(root / name, noise(8, 6, seed))
    (root / "cat" / "notes.txt").write_text("not an image")
    (root / "cat" / ".DS_Store").write_bytes(b"x")
    (root / "cat" / "._a.png").write_bytes(b"x")
    (root / ".hidden").mkdir()
    (root / "README.md").write_text("about")
    return root


def test_class_folders(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(zoo.parent)
    source = open_images("zoo")
    assert source.spec == str(zoo)
    assert len(source) == 4
    assert source.ids == ("cat/a.PNG", "cat/deep/z.tiff", "dog/b.png", "emu/c.bmp")
    assert source.labels.tolist() == [0, 0, 1, 2]
    assert source.labels.dtype is torch.int64
    assert source.class_names == ("cat", "dog", "emu")
    assert source.shape == (3, 6, 8)


def test_a_batch_follows_the_positions_asked_for(zoo: Path) -> None:
    batch = open_images(str(zoo)).read(np.array([3, 0, 3]))
    assert batch.ids == ("emu/c.bmp", "cat/a.PNG", "emu/c.bmp")
    assert batch.positions.tolist() == [3, 0, 3]
    assert batch.labels.tolist() == [2, 0, 2]
    assert batch.images.dtype is torch.float32
    assert np.array_equal(batch.images[0].numpy(), as_floats(noise(8, 6, 2)))
    assert np.array_equal(batch.images[1].numpy(), as_floats(noise(8, 6, 1)))
    with pytest.raises(InputError, match=r"`positions` should lie in 0..3. Found 4"):
        open_images(str(zoo)).read([4])


def test_no_positions_give_an_empty_batch(zoo: Path) -> None:
    batch = open_images(str(zoo)).read([])
    assert batch.images.shape == (0, 3, 6, 8)
    assert batch.labels.shape == batch.positions.shape == (0,)


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    picture(tmp_path / "b.png")
    picture(tmp_path / "a.png")
    (tmp_path / "notes").mkdir()
    source = open_images(str(tmp_path))
    assert source.ids == ("a.png", "b.png")
    assert source.labels.tolist() == [-1, -1]
    assert source.class_names is None


def test_a_file_of_classes_gives_the_indices(zoo: Path) -> None:
    classes = zoo.parent / "classes.txt"
    classes.write_text("emu large bird\nfish\ndog\ncat\n\n")
    source = open_images(str(zoo), classes=str(classes))
    assert source.class_names == ("emu large bird", "fish", "dog", "cat")
    assert source.labels.tolist() == [3, 3, 2, 0]


def test_class_names_leave_out_the_words_that_name_folders(zoo: Path) -> None:
    classes = zoo.parent / "classes.txt"
    classes.write_text("emu large bird\nfox red fox\ndog hound\ncat house cat\n")
    source = open_images(str(zoo), classes=str(classes))
    assert source.class_names == ("large bird", "red fox", "hound", "house cat")


def test_a_whole_line_goes_before_a_first_word(zoo: Path) -> None:
    classes = zoo.parent / "classes.txt"
    classes.write_text("cat flap\ncat\nemu\ndog\n")
    assert open_images(str(zoo), classes=str(classes)).labels.tolist() == [1, 1, 3, 2]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("cat\ndog\nemus\n", r"class `emu` should be a line .* no such line; did you mean `emus`"),
        ("cat\ndog\nemu a\nemu b\n", r"class `emu` should be a line .* Found 2 such lines"),
        ("\n", "should hold one class a line"),
    ],
)
def test_a_file_of_classes_that_does_not_fit(zoo: Path, lines: str, message: str) -> None:
    classes = zoo.parent / "classes.txt"
    classes.write_text(lines)
    with pytest.raises(InputError, match=message):
        open_images(str(zoo), classes=str(classes))


def test_an_empty_class_folder_would_shift_the_ranks(zoo: Path) -> None:
    (zoo / "bee").mkdir()
    with pytest.raises(InputError, match="Found none in bee; remove it, or give a file of"):
        open_images(str(zoo))
    classes = zoo.parent / "classes.txt"
    classes.write_text("cat\ndog\nemu\n")
    assert open_images(str(zoo), classes=str(classes)).labels.tolist() == [0, 0, 1, 2]


def test_images_beside_class_folders(zoo: Path) -> None:
    picture(zoo / "loose.png")
    with pytest.raises(InputError, match=r"Found both, loose.png and the folder cat"):
        open_images(str(zoo))


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="should hold images, or folders of images"):
        open_images(str(tmp_path))


def test_a_missing_path_is_answered_with_its_neighbours(zoo: Path) -> None:
    with pytest.raises(InputError, match=r"zo does not exist; did you mean `zoo`\?"):
        open_images(f"{zoo.parent}/zo/cat")


def test_a_single_picture_is_no_source(zoo: Path) -> None:
    with pytest.raises(InputError, match="put a single picture in a folder"):
        open_images(str(zoo / "dog" / "b.png"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    picture(tmp_path / "a.png").rename(Path(str(tmp_path) + "/\udcff.png"))
    with pytest.raises(InputError, match="should be UTF-8"):
        open_images(str(tmp_path))


# What cannot be read


def test_unreadable_files_are_listed_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = picture(tmp_path / "good.png")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:-40])
    (tmp_path / "script.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n")
    picture(tmp_path / "vast.png", noise(80, 60))
    picture(tmp_path / "warned.png", noise(12, 10))
    Image.fromarray(np.ones((6, 8), np.float32)).save(tmp_path / "float.tiff")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    batch = open_images(str(tmp_path)).read(range(8))
    assert batch.ids == ("good.png",)
    assert batch.positions.tolist() == [3]
    reasons = {bad.id: bad.reason for bad in batch.unreadable}
    assert set(reasons) == {
        "cut.png",
        "empty.jpg",
        "float.tiff",
        "script.jpg",
        "text.jpg",
        "vast.png",
        "warned.png",
    }
    assert reasons["empty.jpg"] == "the file is empty"
    assert "not a picture" in reasons["text.jpg"]
    assert "not a picture" in reasons["script.jpg"]
    assert "pixels than Pillow's limit of 100" in reasons["vast.png"]
    assert "pixels than Pillow's limit of 100" in reasons["warned.png"]
    assert "32-bit" in reasons["float.tiff"]
    assert "truncated" in reasons["cut.png"]


def test_a_folder_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the 1 images .* the file is empty"):
        open_images(str(tmp_path))
    assert len(open_images(str(tmp_path), size=4).read([0]).unreadable) == 1


def test_a_file_deleted_meanwhile_is_unreadable(zoo: Path) -> None:
    source = open_images(str(zoo))
    (zoo / "dog" / "b.png").unlink()
    assert [bad.id for bad in source.read(range(4)).unreadable] == ["dog/b.png"]


# Preprocessing


@pytest.mark.parametrize(
    ("width", "height", "size", "offsets"),
    [
        (32, 32, 32, (0, 0)),
        (36, 33, 32, (2, 0)),
        (37, 37, 32, (2, 2)),
        (50, 35, 32, (9, 1)),
    ],
)
def test_between_s_and_8_sevenths_of_s_an_image_is_only_cut(
    tmp_path: Path, width: int, height: int, size: int, offsets: tuple[int, int]
) -> None:
    pixels = noise(width, height)
    picture(tmp_path / "a.png", pixels)
    source = open_images(str(tmp_path), size=size)
    left, top = offsets
    assert source.shape == (3, size, size)
    expected = as_floats(pixels[top : top + size, left : left + size])
    assert np.array_equal(only_image(source), expected)


@pytest.mark.parametrize(
    ("width", "height", "resized"),
    [(448, 300, (382, 256)), (300, 512, (256, 437)), (100, 50, (448, 224))],
)
def test_other_images_are_resized_by_the_rule(
    tmp_path: Path, width: int, height: int, resized: tuple[int, int]
) -> None:
    pixels = noise(width, height)
    picture(tmp_path / "a.png", pixels)
    whole = np.asarray(Image.fromarray(pixels).resize(resized, Image.Resampling.BICUBIC))
    left, top = (resized[0] - 224) // 2, (resized[1] - 224) // 2
    expected = as_floats(whole[top : top + 224, left : left + 224])
    assert np.array_equal(only_image(open_images(str(tmp_path), size=224)), expected)


def test_shrinking_averages_fine_detail(tmp_path: Path) -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    picture(tmp_path / "a.png", stripes)
    image = only_image(open_images(str(tmp_path), size=28))
    assert np.abs(image[:, :, 2:-2] - 0.5).max() < 0.02


def test_a_sliver_cannot_be_blown_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", noise(400, 1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    (bad,) = open_images(str(tmp_path), size=100).read([0]).unreadable
    assert bad.reason == "it is too long for its width, 400 x 1 pixels"


def test_another_size_needs_a_size(zoo: Path) -> None:
    picture(zoo / "dog" / "y.png", noise(9, 6))
    source = open_images(str(zoo))
    with pytest.raises(
        InputError, match=r"6 x 8 pixels.* Found 6 x 9 pixels for dog/y.png.*--size"
    ):
        source.read(range(5))
    assert open_images(str(zoo), size=6).read(range(5)).images.shape == (5, 3, 6, 6)


def test_the_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = noise(8, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    picture(tmp_path / "a.png", pixels, exif=exif)
    image = only_image(open_images(str(tmp_path)))
    assert np.array_equal(image, as_floats(np.rot90(pixels, -1)))


def test_grey_and_colour(tmp_path: Path) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    colour, single = open_images(str(tmp_path)), open_images(str(tmp_path), channels=1)
    assert single.shape == (1, 6, 8)
    assert np.array_equal(only_image(single)[0], grey / np.float32(255))
    assert np.array_equal(only_image(colour), np.repeat(only_image(single), 3, axis=0))
    assert only_image(open_images(str(tmp_path), size=4, channels=1)).shape == (1, 4, 4)


def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    deep = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    image = only_image(open_images(str(tmp_path), channels=1))
    assert (image * 255).round().tolist() == [[[0, 1, 128, 255]]]


def test_a_palette_with_transparency_keeps_its_colours_and_warns_nobody(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0] = (255, 0, 0)
    palette = Image.fromarray(pixels).quantize(2)
    palette.save(tmp_path / "a.png", transparency=bytes([0, 128]))
    assert np.array_equal(only_image(open_images(str(tmp_path))), as_floats(pixels))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "`channels` should be 1 .* Found 2"),
        ({"size": 0}, "`size` should be at least 1. Found 0"),
    ],
)
def test_options_out_of_range(zoo: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_images(str(zoo), **options)


# Arrays


def write_npz(file: Path, arrays: Arrays) -> None:
    np.savez(file, allow_pickle=False, **dict(arrays))


def write_hdf5(file: Path, arrays: Arrays) -> None:
    with h5py.File(file, "w") as opened:
        for key, value in arrays.items():
            opened[key] = value


def write_safetensors(file: Path, arrays: Arrays) -> None:
    save_file(dict(arrays), file)


WRITERS: dict[str, Callable[[Path, Arrays], None]] = {
    ".npz": write_npz,
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".safetensors": write_safetensors,
}

BYTES = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 8), dtype=np.uint8)
LABELS = np.array([2, 0, -1, 1, 1])


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(("key", "label_key"), [("images", "labels"), ("x", "y"), ("pixels", "y")])
def test_array_files(tmp_path: Path, suffix: str, key: str, label_key: str) -> None:
    file = tmp_path / f"set{suffix}"
    WRITERS[suffix](file, {key: BYTES, label_key: LABELS, "other": np.zeros(3)})
    source = open_images(str(file))
    batch = source.read([4, 1])
    assert source.spec == str(file)
    assert source.ids == ("0", "1", "2", "3", "4")
    assert source.labels.tolist() == LABELS.tolist()
    assert source.shape == (3, 6, 8)
    assert source.class_names is None
    assert np.array_equal(batch.images.numpy(), BYTES[[4, 1]].astype(np.float32) / 255)
    assert batch.labels.tolist() == [1, 0]


def saved(folder: Path, array: NDArray[Any]) -> str:
    np.save(folder / "a.npy", array)
    return str(folder / "a.npy")


def test_a_npy_file_is_mapped_and_has_no_labels(tmp_path: Path) -> None:
    source = open_images(saved(tmp_path, BYTES))
    assert source.labels.tolist() == [-1] * 5
    assert np.array_equal(source.read([3]).images[0].numpy(), BYTES[3] / np.float32(255))


@pytest.mark.parametrize(("axes", "shape"), [((0, 1, 2, 3), (3, 6, 8)), ((0, 2, 3, 1), (3, 6, 8))])
def test_channels_are_found(tmp_path: Path, axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    source = open_images(saved(tmp_path, BYTES.transpose(axes)))
    assert source.shape == shape
    assert np.array_equal(source.read([2]).images[0].numpy(), BYTES[2] / np.float32(255))


def test_three_axes_are_grey_images(tmp_path: Path) -> None:
    source = open_images(saved(tmp_path, BYTES[:, 0]))
    assert source.shape == (1, 6, 8)
    assert np.array_equal(source.read([2]).images[0, 0].numpy(), BYTES[2, 0] / np.float32(255))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 3, 6, 3), "where both could be the channels"),
        ((5, 4, 6, 8), "where neither is the channels"),
        ((5, 48), "where neither is the channels"),
        ((0, 3, 6, 8), "at least one image. Found shape"),
        ((), "at least one image. Found shape"),
    ],
)
def test_shapes_that_are_no_images(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_images(saved(tmp_path, np.zeros(shape, np.uint8)))


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_floats_are_taken_as_they_are(tmp_path: Path, dtype: str) -> None:
    values = (BYTES / 256).astype(dtype)  # exact in half precision
    values[0, 0, 0, :2] = (0, 1)
    source = open_images(saved(tmp_path, values))
    assert np.array_equal(source.read(range(5)).images.numpy(), values.astype(np.float32))


def test_rounding_outside_the_range_is_clipped(tmp_path: Path) -> None:
    values = np.full((1, 1, 1, 2), -3e-8)
    values[..., 1] = 1 + 1e-7
    assert open_images(saved(tmp_path, values)).read([0]).images.flatten().tolist() == [0, 1]


@pytest.mark.parametrize(("low", "high"), [(-2.5, 2.0), (0, 255)])
def test_a_range_other_than_the_unit_one_is_named(tmp_path: Path, low: float, high: float) -> None:
    values = np.linspace(low, high, 5 * 3 * 6 * 8).reshape(5, 3, 6, 8)
    with pytest.raises(InputError, match=f"minimum {low:g}, maximum {high:g}; undo their norm"):
        open_images(saved(tmp_path, values))


def test_single_rows_that_are_wrong_are_unreadable(tmp_path: Path) -> None:
    values = np.full((1000, 1, 2, 2), 0.5)
    values[1, 0, 0, 0], values[2, 0, 0, 0] = np.nan, 7  # rows beside the sample taken at the start
    batch = open_images(saved(tmp_path, values)).read(range(4))
    assert batch.positions.tolist() == [0, 3]
    assert [(bad.id, bad.reason) for bad in batch.unreadable] == [
        ("1", "it holds NaN or infinity"),
        ("2", "it lies in [0.5, 7], outside [0, 1]"),
    ]


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64"])
def test_other_numbers_are_no_pixels(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(InputError, match=f"uint8 in 0..255 or floats .* Found {dtype}"):
        open_images(saved(tmp_path, BYTES.astype(dtype)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": BYTES, "b": BYTES}, "or as its only 4-d array. Found `a`, `b`"),
        ({"images": BYTES, "y": LABELS[:4]}, "should be 5 whole numbers, .* shape .4,."),
        ({"images": BYTES, "y": LABELS / 2}, "should be 5 whole numbers, .* type float64"),
        ({"images": BYTES, "y": LABELS - 1}, "classes from 0, or -1 where unknown. Found -2"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors"])
def test_arrays_that_do_not_fit(tmp_path: Path, suffix: str, arrays: Arrays, message: str) -> None:
    WRITERS[suffix](tmp_path / f"a{suffix}", arrays)
    with pytest.raises(InputError, match=message):
        open_images(str(tmp_path / f"a{suffix}"))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not an array at all"])
def test_damaged_array_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as an array file"):
        open_images(str(tmp_path / f"a{suffix}"))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickles_are_not_opened(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    boxed = np.array([{"a": 1}], dtype=object)
    if suffix == ".npy":
        np.save(file, boxed, allow_pickle=True)
    else:
        np.savez(file, images=boxed)
    with pytest.raises(InputError, match=r"Python objects in dtype|allow_pickle=False"):
        open_images(str(file))


def add_soft_link(opened: Any, folder: Path) -> None:
    opened["pixels"] = BYTES
    opened["images"] = h5py.SoftLink("/pixels")


def add_external_link(opened: Any, folder: Path) -> None:
    write_hdf5(folder / "other.h5", {"images": BYTES})
    opened["images"] = h5py.ExternalLink("other.h5", "/images")


def add_virtual(opened: Any, folder: Path) -> None:
    write_hdf5(folder / "other.h5", {"images": BYTES})
    layout = h5py.VirtualLayout(BYTES.shape, BYTES.dtype)
    layout[:] = h5py.VirtualSource(folder / "other.h5", "images", BYTES.shape)
    opened.create_virtual_dataset("images", layout)


def add_external_storage(opened: Any, folder: Path) -> None:
    (folder / "raw").write_bytes(BYTES.tobytes())
    opened.create_dataset(
        "images", BYTES.shape, BYTES.dtype, external=[(str(folder / "raw"), 0, BYTES.nbytes)]
    )


def add_objects(opened: Any, folder: Path) -> None:
    opened.create_dataset("images", (5, 3, 6, 8), h5py.string_dtype())


def add_unstored_terabytes(opened: Any, folder: Path) -> None:
    opened.create_dataset("images", (10**6, 3, 1000, 1000), np.uint8, chunks=(1, 3, 1000, 1000))


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (add_soft_link, "`images` of .* is a link"),
        (add_external_link, "`images` of .* is a link"),
        (add_virtual, "should be a plain dataset"),
        (add_external_storage, "should be a plain dataset"),
        (add_objects, "should be a plain dataset"),
        (add_unstored_terabytes, "claims 3000000000000 bytes and stores 0"),
    ],
)
def test_hdf5_that_points_elsewhere_or_lies(
    tmp_path: Path, add: Callable[[Any, Path], None], message: str
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        add(opened, tmp_path)
    with pytest.raises(InputError, match=message):
        open_images(str(tmp_path / "a.h5"))


def test_classes_name_the_labels_of_arrays(tmp_path: Path) -> None:
    file, classes = tmp_path / "a.npz", tmp_path / "classes.txt"
    write_npz(file, {"images": BYTES, "labels": LABELS})
    classes.write_text("cat\ndog\nemu\n")
    assert open_images(str(file), classes=str(classes)).class_names == ("cat", "dog", "emu")
    classes.write_text("cat\ndog\n")
    with pytest.raises(InputError, match="Found 2 lines and the label 2"):
        open_images(str(file), classes=str(classes))


def test_arrays_have_their_own_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`size` does not apply to the array file"):
        open_images(saved(tmp_path, BYTES), size=4)
    with pytest.raises(InputError, match="`classes` does not apply to the built-in digits"):
        open_images("digits", classes="classes.txt")


def test_the_built_in_digits() -> None:
    source = open_images("digits")
    assert (source.spec, len(source), source.shape) == ("digits", 900, (1, 8, 8))
    assert source.class_names == tuple("0123456789")
    assert len(set(source.ids)) == 900
    assert source.read([0, 899]).images.shape == (2, 1, 8, 8)


# Ids


def test_the_hash_of_ids_tells_order_and_borders_apart() -> None:
    lists = [["a", "b"], ["b", "a"], ["a\nb"], ["ab"], ["a"], []]
    assert len({sha256_of_ids(ids) for ids in lists}) == len(lists)
    assert sha256_of_ids(("é",)) == sha256(json.dumps(["é"]).encode()).hexdigest()


# Hugging Face datasets


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=re.escape("pip install 'boundary-geometry[hf]'")):
        open_images("hf:some/set")


def png(pixels: NDArray[np.uint8]) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def saved_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Splits `train`, of 4 rows the last of which is no picture, and `test`, of 2."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    cells = [{"bytes": png(noise(8, 6, seed)), "path": None} for seed in range(3)]
    cells.append({"bytes": b"nothing", "path": None})
    train = datasets.Dataset.from_dict({"image": cells, "label": [0, 1, 0, 1]}, features=features)
    splits = datasets.DatasetDict({"train": train, "test": train.select([1, 2])})
    splits.save_to_disk(str(tmp_path / "set"))
    return f"hf:{tmp_path / 'set'}"


@pytest.mark.filterwarnings("default")
def test_a_saved_dataset(saved_dataset: str, tmp_path: Path) -> None:
    source = open_images(f"{saved_dataset}:train")
    batch = source.read(range(4))
    assert source.spec == f"{saved_dataset}:train"
    assert source.ids == ("train/0", "train/1", "train/2", "train/3")
    assert source.labels.tolist() == [0, 1, 0, 1]
    assert source.class_names == ("cat", "dog")
    assert np.array_equal(batch.images[1].numpy(), as_floats(noise(8, 6, 1)))
    assert [bad.id for bad in batch.unreadable] == ["train/3"]
    assert open_images(f"{saved_dataset}:test", size=6, channels=1).shape == (1, 6, 6)
    classes = tmp_path / "classes.txt"
    classes.write_text("dog big\nemu\ncat\n")
    renamed = open_images(f"{saved_dataset}:train", classes=str(classes))
    assert renamed.labels.tolist() == [2, 0, 2, 0]
    with pytest.raises(InputError, match=r"needs the name of one of its splits.* train, test"):
        open_images(saved_dataset)


# The testbed


@needs_testbed
def test_class_indices_are_lines_of_the_class_file() -> None:
    source = open_images(IMAGENET, size=227, classes=IMAGENET_CLASSES)
    assert source.shape == (3, 227, 227)
    assert len(source) == 500
    wnids = [line.split()[0] for line in Path(IMAGENET_CLASSES).read_text().splitlines()]
    assert all(
        wnids[label] == id_.split("/")[0]
        for id_, label in zip(source.ids, source.labels.tolist(), strict=True)
    )
    pixels = np.asarray(Image.open(Path(IMAGENET, source.ids[7])).convert("RGB"))
    assert np.array_equal(
        source.read([7]).images[0].numpy(), as_floats(pixels[14 : 14 + 227, 14 : 14 + 227])
    )


@needs_testbed
def test_small_images_keep_their_size(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        shutil.copy(Path(CIFAR10, name, "0000.jpg"), tmp_path / name)
    assert open_images(str(tmp_path)).shape == (3, 32, 32)
    own = open_images(str(tmp_path)).read([0, 1]).images
    assert torch.equal(open_images(str(tmp_path), size=32).read([0, 1]).images, own)
