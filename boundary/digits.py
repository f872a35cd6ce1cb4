"""The built-in example: scikit-learn's 8x8 digits and a small smooth network that reads them."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from sklearn.datasets import load_digits
from torch import Tensor, nn

from boundary.files import write_whole
from boundary.weights import state_sha256

CLASS_NAMES = tuple("0123456789")
IMAGE_SHAPE = (1, 8, 8)
TRAINING_COUNT = 897
"""How many of the 1797 digits train the network; the other 900 are held out."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Recipe:
    """What decides the weights; its hash is in the name of the cached file."""

    version: int = 1  # raised when the code below changes what is learnt
    seed: int = 0
    width: int = 16
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 0.05
    warp: float = 0.1  # deviation of the six entries of the random affine map of each image


_RECIPE = _Recipe()


@dataclass(frozen=True, eq=False)
class DigitsImages:
    """Digits with their labels."""

    images: NDArray[np.float32]  # (n, 1, 8, 8) in [0, 1]
    labels: NDArray[np.int64]  # (n,)
    rows: NDArray[np.int64]  # (n,) rows of scikit-learn's set


class DigitsNetwork(nn.Module):
    """Three convolutions with GELU and a linear layer: smooth, so second derivatives are exact.

    Maps images in [0, 1], shape (N, 1, 8, 8), to logits, shape (N, 10), in float32. New ones have
    random weights.
    """

    def __init__(self) -> None:
        super().__init__()
        w, f32 = _RECIPE.width, torch.float32
        self.layers = nn.Sequential(
            nn.Conv2d(1, w, 3, padding=1, dtype=f32),
            nn.GELU(),
            nn.Conv2d(w, 2 * w, 3, stride=2, padding=1, dtype=f32),
            nn.GELU(),
            nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1, dtype=f32),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(16 * w, 10, dtype=f32),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, shape (N, 10), of images of shape (N, 1, 8, 8)."""
        # 0.3 and 0.37: mean and standard deviation of a pixel of the training digits
        return cast(Tensor, self.layers((images - 0.3) / 0.37))


def digits_images() -> DigitsImages:
    """Return the 900 digits that had no part in training the built-in network."""
    return _digits(_order()[TRAINING_COUNT:])


def training_digits() -> DigitsImages:
    """Return the 897 digits that train the built-in network."""
    return _digits(_order()[:TRAINING_COUNT])


def trained_digits_network() -> DigitsNetwork:
    """Return the built-in network in eval mode, trained the first time and then kept.

    It is kept in the user's cache folder under a name that carries a hash of the recipe. A damaged
    file is made again; a folder that cannot be written costs a training each time and a warning.
    """
    try:
        file = cache_folder() / f"digits-{_recipe_hash()}.safetensors"
    except RuntimeError as error:  # a user without a home
        _log.warning("the digits network is not kept: %s", error)
        return train_digits_network()
    network = _read(file)
    if network is None:
        network = train_digits_network()
        _keep(network, file)
    return network


def train_digits_network() -> DigitsNetwork:
    """Return the built-in network, trained now: a few seconds, the same weights every time.

    Torch's random state, its number of threads and the default dtype are left as they were.
    """
    digits = training_digits()
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    with repeatable(_RECIPE.seed), torch.enable_grad():
        network = DigitsNetwork()
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=_RECIPE.learning_rate, weight_decay=_RECIPE.weight_decay
        )
        steps = _RECIPE.epochs * -(-TRAINING_COUNT // _RECIPE.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, _RECIPE.learning_rate, total_steps=steps
        )
        for _ in range(_RECIPE.epochs):
            for rows in torch.split(torch.randperm(TRAINING_COUNT), _RECIPE.batch):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(network(_warped(images[rows])), labels[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    network.zero_grad()
    return network.eval()


def cache_folder() -> Path:
    """Return the folder that keeps what is made once, under ``$XDG_CACHE_HOME`` or ``~/.cache``.

    A RuntimeError says that the user has no home.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "boundary-geometry"


def _order() -> NDArray[np.int64]:
    return np.random.default_rng(_RECIPE.seed).permutation(1797)


def _digits(rows: NDArray[np.int64]) -> DigitsImages:
    every = load_digits()
    images = (every.images[rows, None] / 16).astype(np.float32)
    return DigitsImages(images, every.target[rows].astype(np.int64), rows)


def _warped(images: Tensor) -> Tensor:
    """Return each image under its own small random affine map."""
    maps = torch.eye(2, 3, dtype=images.dtype).repeat(len(images), 1, 1)
    maps += _RECIPE.warp * torch.randn(maps.shape, dtype=images.dtype)
    grid = nn.functional.affine_grid(maps, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Seed the CPU's generator, and use one thread: sums in one order, and faster at this size."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.random.fork_rng([]), torch.device("cpu"):
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _recipe_hash() -> str:
    return hashlib.sha256(json.dumps(asdict(_RECIPE)).encode()).hexdigest()[:12]


def _read(file: Path) -> DigitsNetwork | None:
    """Return the network of a file, or None where there is none that is whole."""
    if not file.is_file():
        return None
    network = DigitsNetwork().eval()
    try:
        with safe_open(file, "pt") as stored:
            network.load_state_dict({key: stored.get_tensor(key) for key in stored.keys()})  # noqa: SIM118
            whole = (stored.metadata() or {}).get("sha256") == state_sha256(network)
    except (SafetensorError, OSError, RuntimeError) as error:
        _log.warning("%s is damaged and is made again: %s", file, error)
        return None
    if not whole:
        _log.warning("%s is damaged and is made again: its weights changed", file)
        return None
    return network


def _keep(network: DigitsNetwork, file: Path) -> None:
    content = save(network.state_dict(), metadata={"sha256": state_sha256(network)})
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)
    except OSError as error:
        _log.warning("the digits network is not kept: %s", error)
