"""Singular vectors of hidden layers, against layers whose ones are known in closed form."""

from collections.abc import Callable
from copy import deepcopy
from math import inf

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from analysis import Ball, Perturbations, fooling_rate
from analysis.singular_vectors import hidden_singular_vector, singular_perturbation
from boundary import Classifier, InputError, faster
from boundary.layers import (
    Linearisation,
    double_backward,
    forward_mode,
    layer_activations,
    layer_names,
)
from surfaces import Linear, rough_network, smooth_network

SHAPE = (1, 3, 4)
WAYS = (forward_mode, double_backward)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def classifier_of(weight: Tensor) -> Classifier:
    """Return one with the layer `1`, x to W x."""
    outputs, inputs = weight.shape
    first = nn.Linear(inputs, outputs, bias=False).double()
    first.weight.data = weight
    last = nn.Linear(outputs, 3).double()
    return Classifier(nn.Sequential(nn.Flatten(), first, nn.Tanh(), last).eval(), (-9, 9))


def smooth() -> Classifier:
    return Classifier(smooth_network(), (-9, 9))


def test_for_p_and_q_2_it_is_the_leading_right_singular_vector() -> None:
    classifier = classifier_of(random(7, 12))
    found = hidden_singular_vector(
        classifier, random(5, *SHAPE), 2, layer="1", q=2, iterations=500, tol=1e-15
    )
    _, values, directions = torch.linalg.svd(random(7, 12))
    assert found.converged
    assert found.value == pytest.approx(float(values[0]) * 5**0.5, rel=1e-12)
    assert abs(float(found.vector.flatten() @ directions[0])) == pytest.approx(1, rel=1e-9)
    assert found.vector.norm() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("q", [1, 2, 5.5, 10])
@pytest.mark.parametrize("scale", [1, 1e60])  # its tenth power overflows
def test_for_p_infinity_a_layer_of_one_output_gives_its_signs(q: float, scale: float) -> None:
    row = scale * random(1, 12)
    images = random(4, *SHAPE)
    found = hidden_singular_vector(classifier_of(row), images, inf, layer="1", q=q)
    assert torch.equal(found.vector.flatten(), (row[0] * row[0, 0]).sign())
    assert found.value == pytest.approx(4 ** (1 / q) * float(row.abs().sum()), rel=1e-12)
    assert found.converged
    assert len(found.history) <= 3


def test_for_p_infinity_every_vector_of_signs_is_one_of_a_diagonal_layer() -> None:
    diagonal = random(12)
    found = hidden_singular_vector(
        classifier_of(diagonal.diag()), random(4, *SHAPE), inf, layer="1", q=3
    )
    assert torch.equal(found.vector.abs(), torch.ones(SHAPE).double())
    assert found.value == pytest.approx((4 * float(diagonal.abs().pow(3).sum())) ** (1 / 3))


@pytest.mark.parametrize("p", [2, inf])
@pytest.mark.parametrize("q", [1, 2, 5, 10])
@pytest.mark.parametrize("network", [smooth_network, rough_network])
def test_the_value_rises_with_every_step(
    p: float, q: float, network: Callable[[], nn.Module]
) -> None:
    shape = SHAPE if network is smooth_network else (3, 4, 4)
    classifier, images = Classifier(network(), (-9, 9)), random(20, *shape)
    found = hidden_singular_vector(classifier, images, p, layer="3", q=q, tol=0, iterations=15)
    for before, after in zip(found.history, found.history[1:], strict=False):
        assert after >= before * (1 - 1e-14)
    assert found.history[-1] > 1.2 * found.history[0]
    moved = forward_mode(
        lambda v: layer_activations(classifier.module, "3", images + v), found.vector[None]
    )
    assert found.value == pytest.approx(float(moved.along.norm(p=q)), rel=1e-12)


def test_it_stops_when_the_value_stands_still_or_the_steps_are_spent() -> None:
    images = random(6, *SHAPE)
    rough = hidden_singular_vector(smooth(), images, 2, layer="1", tol=1e-2)
    fine = hidden_singular_vector(smooth(), images, 2, layer="1", tol=1e-6, iterations=500)
    short = hidden_singular_vector(smooth(), images, 2, layer="1", tol=0, iterations=4)
    assert rough.converged
    assert fine.converged
    assert len(rough.history) < len(fine.history)
    assert not short.converged
    assert len(short.history) == 5
    assert short.forward_passes == short.backward_passes == 30


@pytest.mark.parametrize("way", WAYS)
def test_the_products_with_the_jacobian(way: Callable[..., Linearisation]) -> None:
    module, images = smooth_network(), random(3, *SHAPE)
    v, w = random(1, *SHAPE, seed=1), random(3, 32, seed=2)

    def layer(perturbation: Tensor) -> Tensor:
        return layer_activations(module, "3", images + perturbation)

    made = way(layer, v)
    differences = (layer(1e-5 * v) - layer(-1e-5 * v)).detach() / 2e-5
    assert torch.allclose(made.along, differences, rtol=1e-7, atol=1e-9)
    transposed = float((made.back(w) * v).sum())
    assert transposed == pytest.approx(float((w * made.along).sum()), rel=1e-12)
    assert not made.along.requires_grad


class Cubed(torch.autograd.Function):
    """Has no forward mode."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**3

    @staticmethod
    def setup_context(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, _: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, slope: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * slope


class Cube(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def test_an_operator_without_forward_mode_gives_the_same_for_more_passes() -> None:
    images = random(6, *SHAPE)

    def classifier(cube: nn.Module) -> Classifier:
        flatten, *rest = smooth_network()
        return Classifier(nn.Sequential(flatten, cube, *rest).eval(), (-9, 9))

    ours, plain = (
        hidden_singular_vector(
            classifier(Cube(function)), images, 2, layer="4", iterations=5, tol=0
        )
        for function in (Cubed.apply, lambda x: x**3)
    )
    assert torch.allclose(ours.vector, plain.vector, rtol=1e-10, atol=1e-12)
    assert ours.history == pytest.approx(plain.history, rel=1e-12)
    assert (ours.forward_passes, ours.backward_passes) == (36, 108)
    assert (plain.forward_passes, plain.backward_passes) == (36, 36)


@pytest.mark.parametrize("p", [2, inf])
def test_the_size_of_batches_does_not_matter(p: float) -> None:
    images = random(12, *SHAPE) * torch.linspace(0.1, 3, 12).double().view(-1, 1, 1, 1).flip(0)
    whole, *others = (
        hidden_singular_vector(smooth(), images, p, layer="3", iterations=8, batch_size=size)
        for size in (12, 5, 1)
    )
    for other in others:
        assert torch.allclose(other.vector, whole.vector, rtol=1e-9, atol=1e-12)
        assert other.history == pytest.approx(whole.history, rel=1e-12)
        assert other.forward_passes == whole.forward_passes


def test_float32_gives_the_same() -> None:
    images = random(6, *SHAPE)
    single = Classifier(smooth_network().float(), (-9, 9))
    for p in (2, inf):
        one = hidden_singular_vector(single, images.float(), p, layer="1", q=10, iterations=10)
        two = hidden_singular_vector(smooth(), images, p, layer="1", q=10, iterations=10)
        assert one.vector.dtype == torch.float64
        assert float((one.vector * two.vector).sum()) == pytest.approx(
            float(two.vector.norm()) ** 2, rel=1e-4
        )


class Attention(nn.Module):
    """Rows of an image attend to each other: by the function, then by the module."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.after, self.last = nn.Identity(), nn.Linear(12, 3)

    def forward(self, images: Tensor) -> Tensor:
        rows = functional.scaled_dot_product_attention(images, images, images).squeeze(1)
        mixed = self.after(self.attention(rows, rows, rows, need_weights=False)[0])
        return self.last(mixed.flatten(1))


@pytest.mark.parametrize("way", WAYS)
def test_fused_attention(
    way: Callable[..., Linearisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Attention().double().eval()
    images = random(4, *SHAPE)
    if way is double_backward:
        monkeypatch.setattr("analysis.singular_vectors.forward_mode", refused)
    found = hidden_singular_vector(Classifier(module, (-9, 9)), images, 2, layer="after", q=2)
    assert found.backward_passes == found.forward_passes * (1 if way is forward_mode else 3)
    with sdpa_kernel(SDPBackend.MATH):
        jacobian = torch.autograd.functional.jacobian(
            lambda v: layer_activations(module, "after", images + v), torch.zeros(SHAPE).double()
        )
    values = torch.linalg.svdvals(jacobian.flatten(0, 2).flatten(1))
    assert found.value == pytest.approx(float(values[0]), rel=1e-3)


def refused(*_: object) -> Linearisation:
    raise NotImplementedError


@pytest.mark.parametrize("p", [2, inf])
def test_as_a_universal_perturbation_it_has_the_better_sign(p: float) -> None:
    row = random(1, 12, seed=1)
    last = Linear(torch.cat([row, -row]), torch.zeros(2).double())
    module = nn.Sequential(nn.Flatten(), last).eval()
    classifier, points, ball = Classifier(module, (-9, 9)), 0.1 * random(60, *SHAPE), Ball(3.0, p)
    source = classifier.predict(points)
    for side in (0, 1):  # one side of the boundary is fooled by v, the other by -v
        images = points[source == side]
        found = singular_perturbation(classifier, images, ball, layer="1", q=2)
        assert found.vector.norm(p=p) == pytest.approx(3, rel=1e-12)
        assert fooling_rate(classifier, images, found.as_perturbations()).rate == 1
        turned = Perturbations.of("turned", -found.vector, p=p)
        assert fooling_rate(classifier, images, turned).rate == 0
    alone = hidden_singular_vector(classifier, images, p, layer="1", q=2)
    assert found.forward_passes == alone.forward_passes + 3 * len(images)
    assert found.backward_passes == alone.backward_passes
    assert found.ball == ball
    assert found.trace == ()


def test_the_same_seed_gives_the_same() -> None:
    images = random(6, *SHAPE)
    one, same, other = (
        hidden_singular_vector(smooth(), images, 2, layer="3", iterations=1, seed=seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(one.vector, same.vector)
    assert not torch.equal(one.vector, other.vector)


class Awkward(nn.Module):
    """Layers that cannot be used, or in only one way."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Several()
        self.unused = nn.Linear(12, 3)
        self.shared = nn.ReLU()
        self.bias = nn.Linear(1, 3)
        self.root = Root()
        self.linear = nn.Linear(12, 3)

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        flat, _ = self.pair(flat)
        self.shared(-self.shared(flat))
        self.root(images)
        bias: Tensor = self.bias(torch.ones(1, 1).to(images))
        logits: Tensor = self.linear(flat) + bias
        return logits


class Several(nn.Module):
    def forward(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        return flat, flat


class Root(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return (images - images.detach()).sqrt()


def awkward() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(Awkward().double().eval(), (-9, 9))


def test_of_a_layer_that_is_used_twice_the_first_use_counts() -> None:
    images = random(2, *SHAPE)
    found = layer_activations(awkward().module, "shared", images)
    assert torch.equal(found, images.flatten(1).relu())


LAYERS_THAT_FAIL = {
    "shard": r"name of a part of the module. Found `shard`; did you mean `shared`\?",
    "xyz": r"Found `xyz`; `layer_names\(module\)` lists them",
    "": "Found ``",
    "unused": "`unused` is never called",
    "pair": "`pair` gives a tuple",
    "bias": "for `bias`: zero for every image",
    "root": "for `root`: NaN or infinity",
}


@pytest.mark.parametrize("layer", LAYERS_THAT_FAIL)
def test_a_layer_that_cannot_be_used_is_refused(layer: str) -> None:
    classifier = awkward()
    before = state(classifier.module)
    with pytest.raises(InputError, match=LAYERS_THAT_FAIL[layer]):
        hidden_singular_vector(classifier, random(2, *SHAPE), layer=layer)
    assert state(classifier.module) == before


def test_a_layer_that_cannot_be_differentiated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.singular_vectors.forward_mode", refused)
    with pytest.raises(InputError, match=r"for `bias`: .* not have been used in the graph"):
        hidden_singular_vector(awkward(), random(2, *SHAPE), layer="bias")


def test_options_out_of_range_are_refused() -> None:
    for options, message in (
        ({"q": 0.5}, "`q` should be at least 1"),
        ({"q": inf}, "`q` should be at least 1, and finite"),
        ({"iterations": 0}, "`iterations` should be at least 1"),
        ({"batch_size": 0}, "`batch_size` should be at least 1"),
        ({"tol": -1.0}, "`tol` should not be negative"),
        ({"p": 1}, "`p` should be 2 or infinity"),
    ):
        with pytest.raises(InputError, match=message):
            hidden_singular_vector(smooth(), random(2, *SHAPE), layer="1", **options)
    with pytest.raises(InputError, match="at least one image"):
        hidden_singular_vector(smooth(), random(0, *SHAPE), layer="1")


def state(module: nn.Module) -> object:
    """Return whatever a run could have left on a module."""
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]
    parameters = [(p.requires_grad, p.grad, p.tolist()) for p in module.parameters()]
    return hooks, parameters, module.training


def test_the_module_is_left_as_it_came() -> None:
    classifier = smooth()
    next(classifier.module.parameters()).requires_grad_(False)
    before = deepcopy(state(classifier.module))
    singular_perturbation(classifier, random(4, *SHAPE), Ball(1.0), layer="3", iterations=2)
    assert state(classifier.module) == before


def test_names_of_layers() -> None:
    assert layer_names(smooth_network()) == ["0", "1", "2", "3", "4", "5"]
    assert layer_names(Attention()) == [
        "attention",
        "attention.out_proj",
        "after",
        "last",
    ]


def test_a_traced_module_says_nothing_on_the_way(capfd: pytest.CaptureFixture[str]) -> None:
    module, images = smooth_network(), random(4, *SHAPE)
    one, two = (
        hidden_singular_vector(Classifier(m, (-9, 9)), images, 2, layer="3", iterations=3)
        for m in (module, faster(module))
    )
    assert torch.allclose(one.vector, two.vector)
    assert capfd.readouterr() == ("", "")
