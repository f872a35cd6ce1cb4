"""A network whose boundaries are planted: every image has planes, or bent planes, of its own.

Image x_i has, for each other class k, the gap

    g_ik(x) = <u_ik, x - x_i> - m_ik + kappa_ik/2 |P_S (x - x_i)|^2,

and its own class the logit 0. With unit u_ik and kappa_ik = 0 the boundary with class k is a plane
at the distance m_ik, and the nearest boundary point is x_i + m_ik u_ik of the smallest m_ik: the
foot of the nearest plane lies before all others.

An input takes the planes of the image that it is near to: an attention layer over the two nearest
images, w_i = softmax of -|x - x_i|^2 / temperature, retrieves the centre sum w_i x_i, and likewise
normals, margins and bends. Within `REACH` margins of x_i the other weight is below exp(-`CERTAIN`),
which is 0 in float32: there the retrieved numbers and all their derivatives are those of image i
alone.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from boundary.arrays import ArrayImages
from boundary.errors import InputError
from boundary.image_source import ImageSource

Rows = NDArray[np.float64]

FAR = 10.0
"""Distance of a boundary that plays no part, in median margins."""

REACH = 8.0
"""Distance within which an image's planes are its own, in median margins: four reference norms."""

CERTAIN = 110.0
"""Lead of the nearest image's key there: exp(-110) is 0 in float32, exp(-103) is not."""

SPREAD = 0.2
"""Margins lie within this share of their median, uniformly."""

_MARGIN = 1 / 64
"""The default median margin over sqrt(D): two of them, the reference norm, exceed 4 % of the mean
image norm, which is 0.0233 sqrt(D)."""

_LEVELS = (0.2, 0.8)
"""Pixels are one or the other: images far apart, with room to the bounds."""


@dataclass(frozen=True)
class Size:
    """How large a planted network is."""

    shape: tuple[int, int, int] = (1, 16, 16)
    """(C, H, W) of its images."""
    classes: int = 4
    """K, at least 3."""
    count: int = 600
    """n images."""
    margin: float | None = None
    """The median distance of a near boundary, input units; by default sqrt(D) / 64."""

    @property
    def dimension(self) -> int:
        """D."""
        return prod(self.shape)

    @property
    def median_margin(self) -> float:
        """In input units."""
        return _MARGIN * self.dimension**0.5 if self.margin is None else self.margin


DEFAULT = Size()


@dataclass(frozen=True, eq=False)
class Control:
    """A network whose answers are known, in eval mode, and its images."""

    module: nn.Module
    images: ImageSource


class PlantedNetwork(nn.Module):
    """Maps images, shape (N, C, H, W), to logits, shape (N, K), in float32; see the module's text.

    All that is planted is in its buffers, each with a row for each of n images.

    Args:
        centres: x_i, (n, D).
        normals: u_ik, (n, K, D); zero for the image's own class.
        margins: m_ik, (n, K), input units; zero for the image's own class.
        bends: kappa_ik, (n, K), 1 / input units.
        subspace: Orthonormal rows that span S, (R, D); R may be 0.
        reach: Distance within which an image's planes are its own, input units.

    Raises:
        InputError: If images are too near to each other for that.
    """

    centres: Tensor
    normals: Tensor
    margins: Tensor
    bends: Tensor
    subspace: Tensor

    def __init__(
        self, centres: Rows, normals: Rows, margins: Rows, bends: Rows, subspace: Rows, reach: float
    ) -> None:
        super().__init__()
        self.temperature = _temperature(centres, reach)
        parts = {
            "centres": centres,
            "normals": normals,
            "margins": margins,
            "bends": bends,
            "subspace": subspace,
        }
        for name, values in parts.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, shape (N, K), of images of shape (N, C, H, W)."""
        points, keys = images.flatten(1) - 0.5, self.centres - 0.5
        nearness = 2 * points @ keys.T - keys.square().sum(1)  # less |x|^2, the same for all keys
        nearest, places = nearness.topk(2, dim=1)
        weights = torch.softmax(nearest / self.temperature, dim=1)  # (N, 2)

        def retrieved(values: Tensor) -> Tensor:
            return torch.einsum("ni,ni...->n...", weights, values[places])

        away = images.flatten(1) - retrieved(self.centres)
        planes = (retrieved(self.normals) @ away[:, :, None])[:, :, 0] - retrieved(self.margins)
        squares = (away @ self.subspace.T).square().sum(1, keepdim=True)
        logits: Tensor = planes + retrieved(self.bends) * squares / 2
        return logits

    def reset_parameters(self) -> None:
        """Unplant everything: each plane takes a white random normal of its own, and none bends."""
        fresh = nn.functional.normalize(torch.randn(self.normals.shape), dim=2)
        self.normals.copy_(fresh.to(self.normals) * (self.margins > 0)[:, :, None])
        self.bends.zero_()


class Scene:
    """Images of random grey patterns, their classes and margins, all drawn from a seed.

    Args:
        name: Of the control.
        seed: From 0 on.
        size: How many of what.
        sources: Classes that images have; by default all.
    """

    def __init__(self, name: str, seed: int, size: Size, sources: list[int] | None = None) -> None:
        self.name, self.seed, self.size = name, seed, size
        self.random = np.random.default_rng([seed, *name.encode()])
        count, classes = size.count, size.classes
        self.images = self.random.choice(np.array(_LEVELS, np.float32), (count, *size.shape))
        every = np.arange(classes) if sources is None else np.array(sources)
        self.source = self.random.permutation(every[np.arange(count) % len(every)])
        self.is_other = np.arange(classes) != self.source[:, None]  # (n, K)
        spread = self.random.uniform(1 - SPREAD, 1 + SPREAD, (count, classes))
        self.margins = size.median_margin * spread * self.is_other

    def only_near(self, near: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Keep one other class of each image near, (n,), and put all others far away.

        Returns:
            Which class is near, (n, K).
        """
        chosen: NDArray[np.bool_] = np.arange(self.size.classes) == near[:, None]
        self.margins = np.where(chosen, self.margins, FAR * self.size.median_margin) * self.is_other
        return chosen

    def fields(self, amplitude: Rows | float, *leading: int) -> Rows:
        """Return random fields of one power spectrum as unit rows, shape (*leading, D).

        Args:
            amplitude: Of each frequency of ``rfft2``, (H, W // 2 + 1); a number for white noise.
            leading: How many.
        """
        shape = self.size.shape
        noise = self.random.standard_normal((*leading, *shape))
        found = np.fft.irfft2(amplitude * np.fft.rfft2(noise), s=shape[1:])
        return unit(found.reshape(*leading, -1))

    def control(
        self, normals: Rows, bends: Rows | None = None, subspace: Rows | None = None
    ) -> Control:
        """Return the network with these normals, (n, K, D), and its images.

        Args:
            normals: Unit rows; those of an image's own class are left out.
            bends: (n, K), 1 / input units; by default nothing bends.
            subspace: S, (R, D).
        """
        module = PlantedNetwork(
            self.images.reshape(self.size.count, -1).astype(np.float64),
            normals * self.is_other[:, :, None],
            self.margins,
            np.zeros_like(self.margins) if bends is None else bends,
            np.empty((0, self.size.dimension)) if subspace is None else subspace,
            REACH * self.size.median_margin,
        )
        source = ArrayImages(
            f"control:{self.name}:{self.seed}",
            tuple(f"{self.name}/{row:04d}" for row in range(self.size.count)),
            self.images,
            torch.from_numpy(self.source),
            tuple(f"class {k}" for k in range(self.size.classes)),
        )
        return Control(module.eval(), source)


def unit(rows: Rows) -> Rows:
    """Return rows, along the last axis, divided by their norms."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def frequencies(shape: tuple[int, int, int]) -> Rows:
    """Return the radial frequencies of ``rfft2``, cycles per image, (H, W // 2 + 1)."""
    _, height, width = shape
    columns = np.fft.rfftfreq(width, 1 / width)
    return np.asarray(np.hypot(np.fft.fftfreq(height, 1 / height)[:, None], columns))


def _temperature(centres: Rows, reach: float) -> float:
    """Return the highest temperature at which no displacement within reach feels a hand-over.

    At x_i + v the key of x_i leads that of x_j by d^2 + 2 <v, x_i - x_j>, at least d (d - 2 |v|),
    d their distance.

    Raises:
        InputError: If there is none.
    """
    squares = (centres**2).sum(1)
    between = squares[:, None] + squares - 2 * centres @ centres.T
    np.fill_diagonal(between, np.inf)
    nearest = float(between.min()) ** 0.5
    if nearest <= 2 * reach:
        raise InputError(
            f"images should be more than {2 * reach:.3g} apart, twice the reach of a planted "
            f"boundary. Found {nearest:.3g}; take fewer or larger images, or smaller margins."
        )
    return float(nearest * (nearest - 2 * reach) / CERTAIN)
