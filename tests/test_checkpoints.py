"""What an interrupted computation finds again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from analysis import checkpoints
from analysis.ascent import ascended_frame, ascended_span
from analysis.checkpoints import NOT_KEPT, Checkpoint
from analysis.curved import MeanShapeOperator, mean_curvature_pairs
from boundary import Classifier
from boundary.anchors import anchors_at
from surfaces import random_images, smooth_network

SETTINGS = {"seed": 3}


@dataclass(frozen=True, eq=False)
class Part:
    values: NDArray[np.float64]


def test_a_part_is_made_once_for_the_same_settings(tmp_path: Path) -> None:
    made = []

    def make() -> Part:
        made.append(1)
        return Part(np.arange(3.0))

    for _ in range(2):
        found = Checkpoint(tmp_path / "kept", SETTINGS).within("a").made(Part, make)
        np.testing.assert_array_equal(found.values, np.arange(3.0))
    assert len(made) == 1
    Checkpoint(tmp_path / "kept", {"seed": 4}).within("a").made(Part, make)
    Checkpoint(tmp_path / "kept", {"seed": 4}).within("a").within("b").made(Part, make)
    assert len(made) == 3
    assert {file.name for file in (tmp_path / "kept").iterdir()} == {"a.h5", "a, b.h5"}
    Checkpoint(tmp_path / "kept").forget()
    assert not (tmp_path / "kept").exists()


def test_nothing_is_kept_without_a_folder() -> None:
    NOT_KEPT.within("a").keep(Part(np.zeros(1)))
    NOT_KEPT.keep_state(Part(np.zeros(1)), last=True)
    assert NOT_KEPT.within("a").load(Part) is None
    NOT_KEPT.forget()


@dataclass(frozen=True, eq=False)
class OtherPart:
    more: NDArray[np.float64]


def test_a_damaged_part_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.h5").write_bytes(b"no hdf5")
    place = Checkpoint(tmp_path, SETTINGS).within("a")
    found = place.made(Part, lambda: Part(np.ones(2)))
    np.testing.assert_array_equal(found.values, 1)
    assert "a.h5` is made anew" in caplog.text
    assert place.load(OtherPart) is None  # of a version whose parts had other fields
    assert place.load(Part) is not None


class StoppedError(Exception):
    pass


class Failing(MeanShapeOperator):
    """Stops after some products."""

    left: ClassVar[list[int]] = [0]

    def products(self, rows: torch.Tensor) -> torch.Tensor:
        if not self.left[0]:
            raise StoppedError
        self.left[0] -= 1
        return super().products(rows)


def operator(kind: type[MeanShapeOperator] = MeanShapeOperator) -> Any:
    classifier = Classifier(smooth_network(), (-9, 9))
    zeros = torch.zeros(30, dtype=torch.int64)
    anchors, _ = anchors_at(classifier, random_images(30, (3, 2, 2)), zeros, zeros + 1)
    return kind(classifier, anchors, 0.5)


@pytest.mark.parametrize("products", [1, 3, 7])
def test_an_ascent_goes_on_as_if_it_had_not_stopped(
    products: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_PAUSE", 0.0)
    place = Checkpoint(tmp_path, SETTINGS).within("ascent")
    whole = ascended_frame(operator(), ascended_span(operator(), 2, steps=8, batch_size=7))
    Failing.left[0] = products
    with pytest.raises(StoppedError):
        ascended_span(operator(Failing), 2, steps=8, batch_size=7, checkpoint=place)
    Failing.left[0] = 8 - products + 1  # the products that are left, and that of the frame
    last = ascended_span(operator(Failing), 2, steps=8, batch_size=7, checkpoint=place)
    rest = ascended_frame(operator(Failing), last)
    np.testing.assert_array_equal(whole.directions, rest.directions)
    assert Failing.left[0] == 0


def test_a_krylov_method_goes_on_after_its_last_pass(tmp_path: Path) -> None:
    place = Checkpoint(tmp_path, SETTINGS).within("eigenvectors")
    whole = mean_curvature_pairs(operator(), 2, passes=3)
    Failing.left[0] = 2
    with pytest.raises(StoppedError):
        mean_curvature_pairs(operator(Failing), 2, passes=3, checkpoint=place)
    Failing.left[0] = 2  # the third pass, and that of the check of additivity
    rest = mean_curvature_pairs(operator(Failing), 2, passes=3, checkpoint=place)
    np.testing.assert_array_equal(whole.positive.directions, rest.positive.directions)
    np.testing.assert_array_equal(whole.negative.values, rest.negative.values)
    assert Failing.left[0] == 0
