"""Shares of images: disjoint, seeded, and with equal images in one of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from boundary import ImageSource, InputError, NormalsStore, open_images, split_images
from boundary.arrays import ArrayImages
from boundary.image_source import UnreadableError
from boundary.splits import Split, share_out
from study.cli import main
from study.config import config_from
from study.subject import load_subject


class Unreadable(ArrayImages):
    """Images of which every third cannot be read."""

    def _image(self, position: int) -> NDArray[np.float32]:
        if position % 3 == 0:
            raise UnreadableError("torn")
        return super()._image(position)


def repeated(copies: list[int], kind: type[ArrayImages] = ArrayImages) -> ImageSource:
    """Return as many equal images after each other as each number says, 1 x 2 x 2."""
    which = np.repeat(np.arange(len(copies)), copies)
    pixels = np.random.default_rng(0).random((len(copies), 1, 2, 2), np.float32)[which]
    ids = tuple(f"{image}/{row}" for row, image in enumerate(which))
    labels = torch.full((len(which),), -1)
    return kind("made.npz", ids, pixels, labels, None)


def images_of(source: ImageSource, rows: NDArray[np.int64]) -> set[str]:
    return {source.ids[row].split("/")[0] for row in rows}


def test_a_split_is_disjoint_seeded_and_grows_at_the_end() -> None:
    source = open_images("digits")
    collect, evaluate = split_images(source, collect=500, evaluate=400, seed=3)
    assert sorted([*collect, *evaluate]) == list(range(900))
    assert collect.dtype == evaluate.dtype == np.int64
    fewer, same = split_images(source, collect=100, evaluate=400, seed=3)
    assert np.array_equal(fewer, collect[:100])
    assert np.array_equal(same, evaluate)
    other, none = split_images(source, collect=100, evaluate=0, seed=4)
    assert not np.array_equal(other, fewer)
    assert len(none) == 0


@pytest.mark.parametrize(
    ("collect", "evaluate", "message"),
    [
        (800, 101, "digits should hold at least 901 images.* Found 900"),
        (0, 10, "`collect` should be at least 1 .* Found 0 and 10"),
        (10, -1, "Found 10 and -1"),
    ],
)
def test_a_split_that_cannot_be(collect: int, evaluate: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_images(open_images("digits"), collect=collect, evaluate=evaluate, seed=0)


def require_whole_groups(source: ImageSource, split: Split) -> None:
    """Each image, with all its copies, is in one part alone."""
    assert set(split.choosing) < set(split.collecting)
    assert not set(split.collecting) & set(split.evaluating)
    parts = [images_of(source, rows) for rows in (split.making, split.choosing, split.evaluating)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("copies", [[2] * 60, [1] * 40 + [3] * 20, [20, *[1] * 60], [7, 5] * 10])
def test_equal_images_are_on_one_side_of_every_split(copies: list[int], seed: int) -> None:
    source = repeated(copies)
    collect, evaluate = round(0.55 * len(source)), round(0.4 * len(source))
    split = share_out(source, collect=collect, evaluate=evaluate, seed=seed)
    require_whole_groups(source, split)
    assert collect - max(copies) < len(split.collecting) <= collect
    assert len(split.evaluating) <= evaluate
    share = len(split.collecting) / 5
    assert share - max(copies) < len(split.choosing) <= max(round(share), max(copies))


def test_without_equal_images_the_parts_are_the_ends_of_one_permutation() -> None:
    source = repeated([1] * 50)
    split = share_out(source, collect=30, evaluate=15, seed=7)
    order = np.random.default_rng(7).permutation(50)
    np.testing.assert_array_equal(split.collecting, order[:30])
    np.testing.assert_array_equal(split.choosing, order[24:30])
    np.testing.assert_array_equal(split.evaluating, order[35:])
    assert split.equal == ()


def test_a_group_without_room_goes_to_the_other_side_or_is_left_out() -> None:
    source = repeated([2] * 60)
    collecting, evaluating = split_images(source, collect=67, evaluate=53, seed=0)
    assert (len(collecting), len(evaluating)) == (66, 52)
    equal = share_out(source, collect=67, evaluate=53, seed=0).equal
    assert len(equal) == 120


def test_unreadable_images_equal_nothing() -> None:
    source = repeated([2] * 30, Unreadable)
    split = share_out(source, collect=40, evaluate=20, seed=1)
    assert len(split.collecting) + len(split.evaluating) == 60
    unread = {source.ids[row] for row in range(0, 60, 3)}
    assert len(split.equal) == 20  # of 30 pairs, 20 have one image that cannot be read
    assert not unread & set(split.equal)


@pytest.mark.parametrize("collect", [1, 2, 6])
def test_few_images_leave_some_to_make_subspaces(collect: int) -> None:
    split = share_out(repeated([1] * 10), collect=collect, evaluate=2, seed=0)
    assert len(split.choosing) == min(1, collect - 1)


def test_images_that_cannot_be_on_both_sides_are_refused() -> None:
    with pytest.raises(InputError, match=r"should differ enough.* 8 chosen are 1 different"):
        split_images(repeated([8]), collect=5, evaluate=3, seed=0)
    with pytest.raises(InputError, match="should differ enough"):
        split_images(repeated([6, 1]), collect=5, evaluate=2, seed=0)


def test_a_command_warns_of_equal_images_and_goes_on_from_its_own_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    pixels = open_images("digits").read(range(20)).images.numpy()
    np.savez(tmp_path / "set.npz", images=np.concatenate([pixels, pixels]))
    words = ["collect", "--untrained=0", "--device=cpu", "--images", str(tmp_path / "set.npz")]
    folder = tmp_path / "run"
    assert main([*words, "--collect=21", "--evaluate=19", "--out", str(folder)]) == 0
    (said,) = [line for line in caplog.messages if "equal" in line]
    assert "40 of the 40 chosen images equal another by their pixels (first: " in said
    assert said.endswith("so that 20 are collected and 18 evaluated.")
    assert NormalsStore.open(folder / "normals").covered == 20
    again = ["collect", "--config", str(folder / "study.yaml"), "--out", str(folder)]
    assert main(again) == 0
    assert main(["inspect", str(folder)]) == 0
    capsys.readouterr()


def test_a_subject_knows_which_images_choose() -> None:
    subject = load_subject(config_from({"collect": 50, "evaluate": 20, "device": "cpu"}))
    np.testing.assert_array_equal(
        np.concatenate([subject.making, subject.choosing]), subject.collecting
    )
    assert len(subject.choosing) == 10
