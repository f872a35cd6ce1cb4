"""Where images go: by hand, intervals against simulated truth, and what the figure draws."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import ArrayLike

from analysis.labels import LabelFlows, label_flows
from analysis.saved import load_result, save_result
from boundary import Classifier, InputError
from figures.labels import plot_labels
from figures.style import figure_bytes
from surfaces import Linear


def flows(
    source: ArrayLike, moved: ArrayLike, classes: int, names: tuple[str, ...] = ()
) -> LabelFlows:
    ends = [np.asarray(labels, dtype=np.int64) for labels in (source, moved)]
    return LabelFlows("universal", 2.0, 2.0, False, classes, *ends, names)


def linear(classes: int = 4) -> Classifier:
    """Return a classifier whose class is the largest of the first pixels."""
    weight = torch.eye(classes, 6, dtype=torch.float64)
    return Classifier(Linear(weight, torch.zeros(classes).double()).eval())


def one_image_a_class(classes: int = 4) -> torch.Tensor:
    return 0.5 + 0.5 * torch.eye(classes, 6, dtype=torch.float64).view(classes, 1, 2, 3)


def towards(label: int, length: float) -> torch.Tensor:
    return length * torch.eye(6, dtype=torch.float64)[label].view(1, 2, 3)


def test_a_large_perturbation_sends_every_class_into_one() -> None:
    batches = torch.split(one_image_a_class(), 3)
    found = label_flows(linear(), batches, towards(2, 100.0), family="far", class_names="abcd")
    assert (found.family, found.norm, found.p, found.clipped) == ("far", 100.0, 2.0, False)
    assert (found.classes, found.class_names) == (4, ("a", "b", "c", "d"))
    assert found.source.tolist() == [0, 1, 2, 3]
    assert found.moved.tolist() == [2] * 4
    assert found.fooled.tolist() == [True, True, False, True]
    sink = found.top_sink
    assert sink is not None
    assert sink.label == 2
    assert sink.of_images.value == 0.75
    assert sink.of_fooled.value == 1


def test_clipping_and_the_norm_in_which_it_is_told() -> None:
    images = one_image_a_class()
    clipped = label_flows(linear(), [images], towards(2, 100.0), clip=True, p=inf)
    assert clipped.clipped
    assert (clipped.norm, clipped.p) == (100.0, inf)
    assert clipped.moved.tolist() == [0, 1, 2, 2]  # equal at 1, the bound: the lower index


def test_images_are_placed_where_the_classifier_is() -> None:
    found = label_flows(linear(), [one_image_a_class().float()], towards(0, 1.0).float())
    assert found.moved.tolist() == [0] * 4


class Passes(Linear):
    """Counts its images."""

    count = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.count += len(images)
        return super().forward(images)


def test_an_image_takes_two_forward_passes() -> None:
    module = Passes(torch.eye(4, 6), torch.zeros(4)).eval()
    classifier = Classifier(module)
    images = one_image_a_class().float()
    label_flows(classifier, [images], towards(0, 1.0))
    checked = module.count
    label_flows(classifier, [images], towards(0, 1.0))
    assert module.count - checked == 8


def test_what_cannot_be_used_is_refused() -> None:
    images = one_image_a_class()
    with pytest.raises(InputError, match="should be finite"):
        label_flows(linear(), [images], towards(0, inf))
    with pytest.raises(InputError, match="without a batch axis"):
        label_flows(linear(), [images], towards(0, 1.0)[None])
    with pytest.raises(InputError, match="at least one image"):
        label_flows(linear(), [], towards(0, 1.0))
    steep = Classifier(Linear(1e9 * torch.eye(4, 6).double(), torch.zeros(4).double()).eval())
    with pytest.raises(InputError, match="finite logits"):
        label_flows(steep, [images], towards(0, 1e300))


def test_flows_by_hand() -> None:
    source = [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3]
    moved = [2, 2, 1, 0, 0, 3, 3, 0, 0, 0, 0, 2, 3, 3]
    found = flows(source, moved, 5)
    assert found.flows.tolist() == [
        [2, 1, 2, 0, 0],
        [2, 0, 0, 2, 0],
        [2, 0, 1, 0, 0],
        [0, 0, 0, 2, 0],
        [0, 0, 0, 0, 0],
    ]
    assert found.received.tolist() == [4, 1, 2, 2, 0]


def test_nothing_fooled() -> None:
    found = flows([0, 1, 1], [0, 1, 1], 3)
    assert found.top_sink is None
    assert "3 images, 0 fooled (0.0 %)" in texts(plot_labels(found))


def test_one_fooled_image_chooses_no_sink_that_it_is_counted_for() -> None:
    sink = flows([1, 1], [0, 1], 2).top_sink
    assert sink is not None
    assert (sink.label, sink.of_fooled.value) == (0, 0.0)
    assert sink.of_fooled.interval.high > 0.7


def test_a_sink_among_equals_is_not_overrated() -> None:
    generator = np.random.default_rng(0)
    best, honest, held = [], [], []
    for _ in range(200):
        moved = generator.integers(1, 101, size=300)
        found = flows(np.zeros(300), moved, 101)
        assert found.top_sink is not None
        share = found.top_sink.of_fooled
        best.append(found.received.max() / 300)
        honest.append(share.value)
        held.append(share.interval.low <= 0.01)
    assert np.mean(best) > 0.025
    assert np.mean(honest) == pytest.approx(0.01, abs=0.002)
    assert np.mean(held) > 0.9


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved = flows([0, 1, 2], [2, 2, 2], 3, ("é", "<script>", "$x$"))
    save_result(tmp_path / "labels.h5", saved, {"seed": 1})
    loaded = load_result(tmp_path / "labels.h5", LabelFlows)
    for name in ("family", "norm", "p", "clipped", "classes", "class_names"):
        assert getattr(loaded, name) == getattr(saved, name)
    np.testing.assert_array_equal(loaded.source, saved.source)
    np.testing.assert_array_equal(loaded.flows, saved.flows)
    assert figure_bytes(plot_labels(loaded), "svg") == figure_bytes(plot_labels(saved), "svg")


def texts(figure: Figure) -> str:
    found = [item.get_text().replace("\n", " ") for item in figure.findobj(Text)]
    return "\n".join(filter(None, found)).replace("\xa0", " ")


HOSTILE = ("<script>x()</script>", "$x$", r"\frac $", "cat & dog", "猫")


def cells(figure: Figure) -> dict[tuple[int, int], int]:
    """Return the numbers of the matrix by row and column."""
    found = [(text.get_position(), text.get_text()) for text in figure.axes[0].texts]
    return {(int(row), int(column)): int(text) for (column, row), text in found}


def test_the_figure_draws_what_the_result_holds() -> None:
    moved = [1] * 6 + [2, 0] + [2, 2, 1, 1] + [1, 1]
    found = flows([0] * 8 + [1] * 4 + [3] * 2, moved, 5, HOSTILE)
    figure = plot_labels(found)
    wanted = {tuple(place): int(found.flows[tuple(place)]) for place in np.argwhere(found.flows)}
    assert cells(figure) == wanted
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert ticks == ["<script>x()…", "$x$", r"\frac $", "cat & dog"]
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
    said = texts(figure)
    assert "n = 14 images, 11 fooled (78.6 %)" in said
    assert "l2 norm 2 input units, not clipped" in said
    assert b"<svg" in figure_bytes(figure, "svg")


def test_of_a_thousand_classes_the_others_are_one() -> None:
    generator = np.random.default_rng(0)
    source = np.arange(0, 1000, 2)
    anywhere = generator.integers(0, 1000, size=500)
    moved = np.where(generator.random(500) < 0.5, generator.integers(0, 3, size=500), anywhere)
    figure = plot_labels(flows(source, moved, 1000, ("a long name of a class",) * 1000))
    assert sum(cells(figure).values()) == 500
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert ticks == ["a long name…"] * 12 + ["all others"]
    assert all(text.get_fontsize() >= 6 for text in figure.findobj(Text) if text.get_text())


@pytest.mark.parametrize("moved", [[1, 0], [1, 1]])
def test_two_classes_can_be_drawn(moved: list[int]) -> None:
    figure = plot_labels(flows([0, 1], moved, 2))
    assert cells(figure) == {(0, moved[0]): 1, (1, moved[1]): 1}
