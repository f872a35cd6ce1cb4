"""Classifiers whose boundaries are known in closed form."""

import torch
from torch import Tensor, nn

EXACT = {"alignment_tol": 1 - 1e-12, "residual_tol": 1e-12, "max_gradients": 300}
"""Options of a search that ends at an exact answer in float64."""


class Linear(nn.Module):
    """K classes with logits W x + b: the boundary of a pair is a hyperplane."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


class Gap(nn.Module):
    """Two classes with logits (0, g(x)) for a given g: the boundary is g = 0."""

    def __init__(self, gap: nn.Module) -> None:
        super().__init__()
        self.gap = gap

    def forward(self, images: Tensor) -> Tensor:
        gap = self.gap(images.flatten(1))
        return torch.stack([torch.zeros_like(gap), gap], dim=1)


class Quadric(nn.Module):
    """sum_j (x_j - c_j)^2 / a_j^2 - 1: an ellipsoid; inside is class 0."""

    def __init__(self, centre: Tensor, axes: Tensor) -> None:
        super().__init__()
        self.centre, self.axes = nn.Buffer(centre), nn.Buffer(axes)

    def forward(self, points: Tensor) -> Tensor:
        return (((points - self.centre) / self.axes) ** 2).sum(1) - 1


class Bowed(nn.Module):
    """Three classes: one boundary seems nearest at x = 0 and bows away, the other is a plane.

    The gaps are x_0 - 1 - 2 x_0^2 / 9, zero at x_0 = 1.5 where its slope is 1/3, and x_1 - 1.05.
    """

    def forward(self, images: Tensor) -> Tensor:
        first, second = images.flatten(1)[:, 0], images.flatten(1)[:, 1]
        gaps = [torch.zeros_like(first), first - 1 - 2 * first**2 / 9, second - 1.05]
        return torch.stack(gaps, dim=1)


class Constant(nn.Module):
    """Logits that do not depend on the image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Buffer(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


class Rotated(nn.Module):
    """A classifier that looks at its images through an orthogonal matrix."""

    def __init__(self, module: nn.Module, rotation: Tensor) -> None:
        super().__init__()
        self.module, self.rotation = module, nn.Buffer(rotation)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.module(images.flatten(1) @ self.rotation.T)
        return logits


class Scaled(nn.Module):
    """A classifier whose logits are multiplied by a positive number."""

    def __init__(self, module: nn.Module, factor: float) -> None:
        super().__init__()
        self.module, self.factor = module, factor

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.factor * self.module(images)
        return logits


def linear(classes: int, dimension: int, seed: int = 0) -> Linear:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, dimension, dtype=torch.float64, generator=generator)
    # Offsets that make every class win somewhere near the middle of the unit box.
    bias = -(weight @ torch.full((dimension,), 0.5, dtype=torch.float64))
    return Linear(weight, bias).eval()


def smooth_network(classes: int = 4, dimension: int = 12, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(dimension, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh()]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(32, classes)).double().eval()


def rough_network(seed: int = 0) -> nn.Module:
    """A network of ReLUs: its boundary has kinks."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5)]
        return nn.Sequential(nn.Flatten(), *layers).double().eval()


def random_images(count: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, *shape, dtype=torch.float64, generator=generator)


def orthogonal(dimension: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(dimension, dimension, dtype=torch.float64, generator=generator)
    return torch.linalg.qr(square).Q
