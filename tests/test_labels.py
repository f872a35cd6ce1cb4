"""The label graph: closed forms, intervals against simulated truth, and what the figure draws."""

from math import inf, log2
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike, NDArray

from analysis.labels import LabelFlows, label_entropy, label_flows
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
    assert found.edges.source.tolist() == [0, 1, 3]
    assert found.edges.target.tolist() == [2] * 3
    assert found.edges.majority.all()
    assert not found.edges.tied.any()
    assert found.in_degree.tolist() == [0, 0, 3, 0]
    assert found.components == 1
    assert found.dominant_labels.tolist() == [2]
    assert found.entropy_before.plug_in == pytest.approx(2)
    assert found.entropy_after.value == found.entropy_after.plug_in == 0
    assert found.entropy_after.interval.low == 0
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


def test_a_permutation_has_one_edge_a_class_and_keeps_the_entropy() -> None:
    source = np.repeat(np.arange(6), 20)
    found = flows(source, np.array([1, 2, 0, 4, 3, 5])[source], 6)  # two cycles and a fixed class
    np.testing.assert_array_equal(found.edges.target, [1, 2, 0, 4, 3])
    np.testing.assert_array_equal(found.edges.share, np.ones(5))
    np.testing.assert_array_equal(found.in_degree, [1, 1, 1, 1, 1, 0])
    assert found.components == 2
    assert found.entropy_after == found.entropy_before
    assert found.entropy_before.plug_in == pytest.approx(log2(6))
    assert (found.single_targets.count, found.single_targets.total) == (5, 5)
    assert found.single_targets.expected == pytest.approx(5 * 4 * 0.25**20 / 5)


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
    edges = found.edges
    assert edges.source.tolist() == [0, 1, 2]
    assert edges.target.tolist() == [2, 0, 0]  # the tie goes to the lowest index
    assert edges.count.tolist() == [2, 2, 2]
    assert edges.images.tolist() == [5, 4, 3]
    assert edges.tied.tolist() == [False, True, False]
    assert edges.majority.tolist() == [False, False, True]  # two of four is no majority
    assert found.received.tolist() == [4, 1, 2, 2, 0]
    assert found.dominant_labels.tolist() == [0, 2, 3, 1]
    assert found.components == 1
    assert (found.single_targets.count, found.single_targets.total) == (1, 3)
    to_one = [(1 / 5) ** 3 + 2 * (2 / 5) ** 3, (4**4 + 2 * 2**4) / 8**4, (4**2 + 1 + 2**2) / 7**2]
    assert found.single_targets.expected == pytest.approx(sum(to_one) / 3)


def test_nothing_fooled() -> None:
    found = flows([0, 1, 1], [0, 1, 1], 3)
    assert len(found.edges.source) == found.components == len(found.dominant_labels) == 0
    assert found.top_sink is None
    assert found.single_targets.total == 0
    assert np.isnan(found.single_targets.expected)
    assert "no image is fooled" in texts(plot_labels(found))


def test_one_fooled_image_chooses_no_sink_that_it_is_counted_for() -> None:
    sink = flows([1, 1], [0, 1], 2).top_sink
    assert sink is not None
    assert (sink.label, sink.of_fooled.value) == (0, 0.0)
    assert sink.of_fooled.interval.high > 0.7


def test_entropy_is_the_jackknife_of_its_definition() -> None:
    counts = np.array([7, 4, 2, 0])

    def plug_in(counts: NDArray[np.int64]) -> float:
        return -sum(c / counts.sum() * log2(c / counts.sum()) for c in counts.tolist() if c)

    left_out = np.repeat([plug_in(counts - row) for row in np.eye(4, dtype=int)[:3]], counts[:3])
    found = label_entropy(counts)
    assert found.plug_in == pytest.approx(plug_in(counts))
    assert found.value == pytest.approx(13 * plug_in(counts) - 12 * left_out.mean())
    reach = 1.959964 * np.sqrt(12 / 13 * ((left_out - left_out.mean()) ** 2).sum())
    assert found.value - found.interval.low == pytest.approx(reach)
    assert found.unseen == 0
    assert found.enough


def test_the_entropy_of_too_few_images_is_a_lower_bound() -> None:
    found = label_entropy(np.array([3, 1, 1, 0]))
    assert (found.unseen, found.enough) == (0.4, False)
    assert found.interval.low < found.value == found.plug_in
    assert found.interval.high == 2


@pytest.mark.parametrize("shares", [np.full(10, 0.1), np.full(100, 0.01), 0.5 ** np.arange(1, 9)])
def test_the_entropy_interval_holds_the_truth(shares: NDArray[np.float64]) -> None:
    shares = shares / shares.sum()
    truth = float(-(shares * np.log2(shares)).sum())
    generator = np.random.default_rng(0)
    found = [label_entropy(row) for row in generator.multinomial(2000, shares, size=400)]
    held = [one.interval.low - 1e-9 <= truth <= one.interval.high + 1e-9 for one in found]
    assert np.mean(held) > 0.92
    assert abs(np.mean([one.value for one in found]) - truth) < 0.003


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_the_entropy_of_one_label_is_not_surely_zero(count: int) -> None:
    found = label_entropy(np.array([0, count, 0]))
    assert found.value == found.interval.low == 0
    assert 0 < found.interval.high <= log2(3)
    assert found.unseen == (count == 1)


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


def test_the_figure_draws_what_the_result_holds() -> None:
    moved = [1] * 6 + [2, 0] + [2, 2, 1, 1] + [1, 1]
    found = flows([0] * 8 + [1] * 4 + [3] * 2, moved, 5, HOSTILE)
    figure = plot_labels(found)
    left, right = figure.axes
    arrows = [patch for patch in left.patches if isinstance(patch, FancyArrowPatch)]
    assert sorted(arrow.get_linewidth() for arrow in arrows) == [0.5, 0.9, 0.9]
    (classes,) = [item for item in left.collections if isinstance(item, PathCollection)]
    areas = sorted(classes.get_sizes() / classes.get_sizes().max())
    assert areas[2:] == pytest.approx([3 / 8, 1])  # of 8 images; those without are dots
    names = {text.get_text() for text in left.texts}
    assert names == {"<script>x()</scr…", "$x$", r"\frac $", "cat & dog"}
    after, before = (np.array([bar.get_width() for bar in bars]) for bars in right.containers)
    order = [1, 2, 0, 3, 4]
    np.testing.assert_allclose(after, 100 * found.after[order] / 14)
    np.testing.assert_allclose(before, 100 * found.before[order] / 14)
    ticks = [tick.get_text() for tick in right.get_yticklabels()]
    assert ticks == ["$x$", r"\frac $", "<script>x()</scr…", "cat & dog", "class 4"]
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
    said = texts(figure)
    assert "n = 14 images, 11 fooled (78.6 %)" in said
    assert "l2 norm 2 input units, not clipped" in said
    assert "3 classes have a fooled image. Components: 1." in said
    assert b"<svg" in figure_bytes(figure, "svg")


@pytest.mark.parametrize("sinks", [1, 3, 30])
def test_a_thousand_classes_stay_readable(sinks: int) -> None:
    generator = np.random.default_rng(sinks)
    source = np.arange(0, 1000, 2)
    anywhere = generator.integers(0, 1000, size=500)
    moved = np.where(generator.random(500) < 0.5, generator.integers(0, sinks, size=500), anywhere)
    figure = plot_labels(flows(source, moved, 1000, ("a long name of a class",) * 1000))
    left = figure.axes[0]
    names = [text.get_window_extent() for text in left.texts]
    assert 20 < len(names) <= 40
    assert sum("(+" in text.get_text() for text in left.texts) >= sinks / 10
    for place, box in enumerate(names):
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)
        shared = [Bbox.intersection(box, other) for other in names[:place]]
        hidden = sum(found.width * found.height for found in shared if found is not None)
        assert hidden < 0.35 * box.width * box.height
    said = texts(figure)
    assert "classes have an edge but are left out" in said
    assert "At least: too few images for 1000 classes" in said
    caption = figure.get_supxlabel()
    assert caption
    assert all(text.get_fontsize() >= 6 for text in figure.findobj(Text) if text.get_text())


@pytest.mark.parametrize("moved", [[1, 0], [1, 1]])
def test_two_classes_can_be_drawn(moved: list[int]) -> None:
    figure = plot_labels(flows([0, 1], moved, 2))
    assert {text.get_text() for text in figure.axes[0].texts} == {"class 0", "class 1"}
    assert "Components: 1." in texts(figure)
