"""Curvature at a point: closed forms in float64, invariances, products against dense autograd."""

from math import inf

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from boundary import Classifier, InputError
from boundary.anchors import Anchors, anchors_at
from boundary.curvature import (
    ShapeOperator,
    difference_products,
    hessian_products,
    principal_curvatures,
)
from surfaces import (
    Gap,
    Quadric,
    Rotated,
    Scaled,
    linear,
    orthogonal,
    random_images,
    rough_network,
    smooth_network,
)

SHAPE = (3, 2, 2)
D = 12
TIGHT = {"rtol": 1e-8, "atol": 1e-8}


def quadric(axes: Tensor) -> Classifier:
    return Classifier(
        Gap(Quadric(torch.zeros(len(axes), dtype=torch.float64), axes)).eval(), (-9, 9)
    )


def anchored(classifier: Classifier, points: Tensor, source: int = 0) -> Anchors:
    classes = torch.full((len(points),), source)
    found, usable = anchors_at(classifier, points, classes, 1 - classes)
    assert bool(usable.all())
    return found


def on_axis(axes: Tensor, axis: int) -> Tensor:
    point = torch.zeros(1, D, dtype=torch.float64)
    point[0, axis] = axes[axis]
    return point.view(1, *SHAPE)


def all_curvatures(anchors: Anchors, classifier: Classifier, scale: float | None = None) -> Tensor:
    found = principal_curvatures(ShapeOperator(classifier, anchors, scale))
    assert found.complete
    assert float(found.residual.max()) < 1e-7
    return found.values[0]


@pytest.mark.parametrize("scale", [None, 0.3])
def test_ball_from_inside_and_from_outside(scale: float | None) -> None:
    radius = 2.5
    classifier = quadric(torch.full((D,), radius, dtype=torch.float64))
    points = radius * nn.functional.normalize(random_images(4, SHAPE).flatten(1)).view(4, *SHAPE)
    for source, sign in ((0, 1.0), (1, -1.0)):
        anchors = anchored(classifier, points, source)
        found = principal_curvatures(ShapeOperator(classifier, anchors, scale)).values
        assert found.shape == (4, D - 1)
        torch.testing.assert_close(found, torch.full_like(found, sign / radius), **TIGHT)


@pytest.mark.parametrize("axis", [0, 5, 11])
def test_ellipsoid(axis: int) -> None:
    axes = torch.linspace(1, 3, D, dtype=torch.float64)
    classifier = quadric(axes)
    found = all_curvatures(anchored(classifier, on_axis(axes, axis)), classifier)
    others = axes[torch.arange(D) != axis]
    torch.testing.assert_close(found, (axes[axis] / others**2).sort(descending=True)[0], **TIGHT)


def test_cylinder_is_curved_around_and_straight_along() -> None:
    axes = torch.full((D,), inf, dtype=torch.float64)
    axes[:3] = 2.0
    classifier = quadric(axes)
    found = principal_curvatures(ShapeOperator(classifier, anchored(classifier, on_axis(axes, 1))))
    expected = torch.zeros(D - 1, dtype=torch.float64)
    expected[:2] = 0.5
    torch.testing.assert_close(found.values[0], expected, **TIGHT)
    around = found.directions[0, :2].flatten(1)
    torch.testing.assert_close(
        around[:, [0, 2]] @ around[:, [0, 2]].T, torch.eye(2).double(), **TIGHT
    )


class Graph(nn.Module):
    """x_D - sum_j k_j x_j^2 / 2: below the graph is class 0."""

    def __init__(self, bends: Tensor) -> None:
        super().__init__()
        self.bends = nn.Buffer(bends)

    def forward(self, points: Tensor) -> Tensor:
        return points[:, -1] - (self.bends * points[:, :-1] ** 2).sum(1) / 2


def test_graph_of_a_quadric_seen_from_below_and_from_above() -> None:
    bends = torch.linspace(-2, 3, D - 1, dtype=torch.float64)
    classifier = Classifier(Gap(Graph(bends)).eval(), (-9, 9))
    origin = torch.zeros(1, *SHAPE, dtype=torch.float64)
    below = all_curvatures(anchored(classifier, origin), classifier)
    torch.testing.assert_close(below, (-bends).sort(descending=True)[0], **TIGHT)
    above = all_curvatures(anchored(classifier, origin, source=1), classifier)
    torch.testing.assert_close(above, bends.sort(descending=True)[0], **TIGHT)


def test_hyperplane_is_flat() -> None:
    module = linear(2, D)
    anchors = anchored(Classifier(module), random_images(3, SHAPE))
    for scale in (None, 0.5):
        operator = ShapeOperator(Classifier(module), anchors, scale)
        found = principal_curvatures(operator)
        assert float(found.values.abs().max()) < 1e-10
        assert found.asymmetry.tolist() == [0, 0, 0] or scale is not None


class Increasing(nn.Module):
    def __init__(self, gap: nn.Module) -> None:
        super().__init__()
        self.gap = gap

    def forward(self, points: Tensor) -> Tensor:
        gap: Tensor = self.gap(points)
        return torch.exp(gap) - 1 + gap**3


def test_an_increasing_function_of_the_gap_changes_nothing() -> None:
    axes = torch.linspace(1, 3, D, dtype=torch.float64)
    plain = Quadric(torch.zeros(D, dtype=torch.float64), axes)
    direction = nn.functional.normalize(random_images(1, SHAPE).flatten(1) - 0.4)
    point = (direction / (direction / axes).norm()).view(1, *SHAPE)
    found = []
    for gap in (plain, Increasing(plain)):
        classifier = Classifier(Gap(gap).eval(), (-9, 9))
        found.append(all_curvatures(anchored(classifier, point), classifier))
    torch.testing.assert_close(found[0], found[1], **TIGHT)


def test_scaled_logits_change_nothing_and_rotations_keep_the_eigenvalues() -> None:
    module, points = smooth_network(), random_images(3, SHAPE)
    turn = orthogonal(D)
    source, target = torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.int64)

    def values(module: nn.Module, at: Tensor) -> Tensor:
        classifier = Classifier(module.eval())
        anchors, _ = anchors_at(classifier, at, source, target)
        return principal_curvatures(ShapeOperator(classifier, anchors)).values

    plain = values(module, points)
    assert float(plain.abs().max()) > 0.1
    torch.testing.assert_close(values(Scaled(module, 7.0), points), plain, **TIGHT)
    turned = (points.flatten(1) @ turn).view_as(points)
    torch.testing.assert_close(values(Rotated(module, turn), turned), plain, **TIGHT)
    anchors, _ = anchors_at(Classifier(module), points, target, source)
    swapped = principal_curvatures(ShapeOperator(Classifier(module), anchors)).values
    torch.testing.assert_close(swapped, -plain.flip(1), **TIGHT)


def dense_hessian(module: nn.Module, point: Tensor, source: int, target: int) -> Tensor:
    def gap(flat: Tensor) -> Tensor:
        logits = module(flat.view(1, *point.shape))[0]
        return logits[target] - logits[source]

    found: Tensor = torch.autograd.functional.hessian(gap, point.flatten())
    return found


def test_products_against_dense_autograd() -> None:
    module, points = smooth_network(), random_images(4, SHAPE, seed=3)
    source, target = torch.tensor([0, 1, 2, 3]), torch.tensor([1, 3, 0, 2])
    vectors = torch.randn(5, 4, *SHAPE, dtype=torch.float64)
    found = hessian_products(Classifier(module), points, source, target, vectors)
    for n in range(4):
        dense = dense_hessian(module, points[n], int(source[n]), int(target[n]))
        expected = vectors[:, n].flatten(1) @ dense
        torch.testing.assert_close(found[:, n].flatten(1), expected, rtol=1e-10, atol=1e-10)
    shared = hessian_products(Classifier(module), points, source, target, vectors[:, 0])
    torch.testing.assert_close(shared[:, 0], found[:, 0])
    near = difference_products(Classifier(module), points, source, target, vectors, 1e-4)
    torch.testing.assert_close(near, found, rtol=1e-5, atol=1e-6)


def test_the_shape_operator_against_its_definition() -> None:
    module, points = smooth_network(), random_images(2, SHAPE, seed=4)
    source, target = torch.tensor([0, 1]), torch.tensor([2, 0])
    anchors, _ = anchors_at(Classifier(module), points, source, target)
    operator = ShapeOperator(Classifier(module), anchors)
    for n in range(2):
        normal = anchors.normal[n].flatten()
        project = torch.eye(D, dtype=torch.float64) - torch.outer(normal, normal)
        hessian = dense_hessian(module, points[n], int(source[n]), int(target[n]))
        expected = project @ hessian @ project / anchors.slope[n]
        scipy_one = operator.linear_operator(n)
        dense = torch.from_numpy(np.stack([scipy_one @ row for row in np.eye(D)]))
        torch.testing.assert_close(dense, expected, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(dense @ normal, torch.zeros(D).double(), rtol=0, atol=1e-10)
        mean, error = operator.mean_curvatures(4000, torch.Generator().manual_seed(0))
        trace = expected.trace() / (D - 1)
        assert abs(float(mean[n] - trace)) < 4 * float(error[n])
        assert float(error[n]) < 0.05 * float(expected.norm())
        direction = torch.randn(1, *SHAPE, dtype=torch.float64)
        tangent = project @ direction.flatten()
        along = tangent @ expected @ tangent / (tangent @ tangent)
        found = operator.normal_curvatures(direction)[0, n]
        torch.testing.assert_close(found, along, rtol=1e-9, atol=1e-10)


def test_lanczos_finds_both_ends() -> None:
    dimension = 300
    bends = torch.zeros(dimension - 1, dtype=torch.float64)
    bends[:6] = torch.tensor([-5.0, -4, -3, 2, 3, 7], dtype=torch.float64)
    bends[6:] = torch.linspace(-0.5, 0.5, dimension - 7, dtype=torch.float64)
    classifier = Classifier(Gap(Graph(bends)).eval(), (-9, 9))
    points = torch.zeros(2, 3, 10, 10, dtype=torch.float64)
    found = principal_curvatures(
        ShapeOperator(classifier, anchored(classifier, points)), count=3, steps=30
    )
    expected = torch.tensor([5.0, 4, 3, -2, -3, -7], dtype=torch.float64)
    for n in range(2):
        torch.testing.assert_close(found.values[n], expected, **TIGHT)
    assert not found.complete
    assert float(found.residual.max()) < 1e-6
    leading = found.directions[0].flatten(1)
    torch.testing.assert_close(leading @ leading.T, torch.eye(6).double(), **TIGHT)
    torch.testing.assert_close(leading[:, :6].abs(), torch.eye(6).double(), rtol=0, atol=1e-5)


def test_networks_of_relus_have_no_exact_curvature_but_bend_at_a_scale() -> None:
    module, points = rough_network(), random_images(3, (3, 4, 4))
    source = torch.zeros(3, dtype=torch.int64)
    vectors = torch.randn(4, 3, 4, 4, dtype=torch.float64)
    exact = hessian_products(Classifier(module), points, source, source + 1, vectors)
    assert not exact.any()
    at_scale = difference_products(Classifier(module), points, source, source + 1, vectors, 0.5)
    assert at_scale.flatten(2).norm(dim=2).min() > 1e-3


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(2)
        mixed = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        logits: Tensor = self.head(mixed.mean(1))
        return logits


def test_fused_attention_is_differentiated_twice() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Attention().double().eval()
    points, vectors = random_images(2, SHAPE), torch.randn(1, *SHAPE, dtype=torch.float64)
    source = torch.zeros(2, dtype=torch.int64)
    found = hessian_products(Classifier(module), points, source, source + 2, vectors)
    near = difference_products(Classifier(module), points, source, source + 2, vectors, 1e-4)
    torch.testing.assert_close(found, near, rtol=1e-5, atol=1e-7)
    assert float(found.abs().max()) > 1e-3


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(images)
        return images**2

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (images,) = ctx.saved_tensors
        return 2 * images * gradient


class Square(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        squares: Tensor = Once.apply(images)  # type: ignore[no-untyped-call]
        return squares.flatten(1)[:, :3]


class ForwardOnly(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(images):  # type: ignore[no-untyped-def]
        return images**2

    @staticmethod
    def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (images,) = ctx.saved_tensors
        return TwiceImages.apply(images, gradient)

    @staticmethod
    def jvp(ctx, tangent):  # type: ignore[no-untyped-def]
        (images,) = ctx.saved_tensors
        return 2 * images * tangent


class TwiceImages(torch.autograd.Function):
    @staticmethod
    def forward(images, gradient):  # type: ignore[no-untyped-def]
        return 2 * images * gradient

    @staticmethod
    def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        raise NotImplementedError("no second backward pass")

    @staticmethod
    def jvp(ctx, images_tangent, gradient_tangent):  # type: ignore[no-untyped-def]
        images, gradient = ctx.saved_tensors
        return 2 * (images_tangent * gradient + images * gradient_tangent)


class ForwardSquare(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        squares: Tensor = ForwardOnly.apply(images)  # type: ignore[no-untyped-call]
        return squares.flatten(1)[:, :3]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_forward_mode_where_a_second_backward_pass_is_missing() -> None:
    points, vectors = random_images(2, SHAPE), torch.randn(2, *SHAPE, dtype=torch.float64)
    source = torch.zeros(2, dtype=torch.int64)
    found = hessian_products(
        Classifier(ForwardSquare().eval()), points, source, source + 1, vectors
    )
    expected = torch.zeros(2, 2, *SHAPE, dtype=torch.float64)
    expected[:, :, 0, 0, 0] = -2 * vectors[:, None, 0, 0, 0]
    expected[:, :, 0, 0, 1] = 2 * vectors[:, None, 0, 0, 1]
    torch.testing.assert_close(found, expected)


def test_what_cannot_be_differentiated_twice_is_refused_with_the_way_out() -> None:
    points, vectors = random_images(2, SHAPE), torch.randn(1, *SHAPE, dtype=torch.float64)
    source = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(InputError, match=r"second derivatives.*give a scale"):
        hessian_products(Classifier(Square().eval()), points, source, source + 1, vectors)


class Faulty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images):  # type: ignore[no-untyped-def]
        return images.clone()

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        raise KeyError("a mistake in the model")


class Mistaken(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        same: Tensor = Faulty.apply(images)  # type: ignore[no-untyped-call]
        return same.flatten(1)[:, :3]


def test_a_mistake_in_the_model_is_not_taken_for_a_missing_derivative() -> None:
    points, vectors = random_images(2, SHAPE), torch.randn(1, *SHAPE, dtype=torch.float64)
    source = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(KeyError, match="a mistake in the model"):
        hessian_products(Classifier(Mistaken().eval()), points, source, source + 1, vectors)


@pytest.mark.parametrize(("scale", "most"), [(None, 32), (0.3, 1)])
@pytest.mark.parametrize("each", [False, True])
def test_normal_curvatures_hold_few_products_at_a_time(
    scale: float | None, most: int, each: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier(smooth_network())
    operator = ShapeOperator(classifier, anchored(classifier, random_images(3, SHAPE)), scale)
    vectors = torch.randn(70, *((3,) if each else ()), *SHAPE, dtype=torch.float64)
    tangents = torch.stack([operator.anchors.tangent(one) for one in vectors])
    along = (tangents * operator.products(vectors)).flatten(2).sum(2)
    held, products = [], ShapeOperator.products

    def counted(self: ShapeOperator, directions: Tensor) -> Tensor:
        held.append(len(directions))
        return products(self, directions)

    monkeypatch.setattr(ShapeOperator, "products", counted)
    found = operator.normal_curvatures(vectors)
    torch.testing.assert_close(found, along / tangents.flatten(2).square().sum(2), **TIGHT)
    assert max(held) <= most
    assert sum(held) == 70


def test_options_out_of_range_are_refused() -> None:
    classifier = quadric(torch.full((D,), 2.0, dtype=torch.float64))
    anchors = anchored(classifier, on_axis(torch.full((D,), 2.0), 0))
    with pytest.raises(InputError, match="`scale` should be positive"):
        ShapeOperator(classifier, anchors, -1.0)
    with pytest.raises(InputError, match="`surface` should be pair or region"):
        ShapeOperator(classifier, anchors, 1.0, "regoin")
    wide = Classifier(Gap(Graph(torch.zeros(299, dtype=torch.float64))).eval(), (-9, 9))
    far = anchored(wide, torch.zeros(1, 3, 10, 10, dtype=torch.float64))
    with pytest.raises(InputError, match=r"`count` should lie in 1..5"):
        principal_curvatures(ShapeOperator(wide, far), count=6, steps=10)
