"""Image sources for tests, made through the public door: an array file."""

from pathlib import Path

import numpy as np

from boundary import ImageSource, open_images


def array_source(folder: Path, count: int, shape: tuple[int, int, int] = (1, 2, 2)) -> ImageSource:
    """Return random images in [0, 1], with labels 0 and 1."""
    generator = np.random.default_rng(0)
    path = folder / "images.npz"
    images = generator.random((count, *shape), dtype=np.float32)
    np.savez(path, images=images, labels=generator.integers(0, 2, count))
    return open_images(str(path))
