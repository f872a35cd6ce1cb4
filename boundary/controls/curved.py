"""Boundaries that bend along a shared subspace, and share nothing else."""

import numpy as np

from boundary.controls.planted import DEFAULT, SPREAD, Control, Rows, Scene, Size, frequencies
from boundary.errors import InputError


def curved(
    seed: int = 0, size: Size = DEFAULT, *, dimension: int = 5, bend: float = 0.65
) -> Control:
    """Return a network whose boundaries bend by kappa along a planted subspace S at every image.

    One class is near to each image, the others are flat and ten median margins away. Frequencies
    are cut in two halves: all normals are white noise of the low one, S is spanned by R white
    fields of the high one, so that every normal u is orthogonal to S, and stays so whatever its
    phases. What is known of it:

    - *nearest point and normal*: x + m u and u. Displacements t u + s to the boundary, s in S, have
      |s|^2 = 2 (m - t) / kappa, and |t u + s|^2 = t^2 + 2 (m - t) / kappa falls with t up to
      1 / kappa, which is beyond m as kappa m is below 1 at every image.
    - *the boundary of the pair bends towards the image*: the section at x + m u along a unit s of S
      is t = -kappa s^2 / 2, which at every scale has curvature kappa; across S it is 0.
      Noise of S's own spectrum has about R over half of D of its power in S.
    - *vectors of S fool*: -m + kappa |v|^2 / 2 is positive from |v| = m sqrt(2 / (kappa m)) on,
      1.75 median margins at the median and 1.93 at the largest margin: at two median margins all
      images are fooled, by any vector of S. No plane is passed, as <u, v> = 0: *bending* is the
      cause.
    - *normals share no direction beyond smoothness*, and *random vectors of S_f do not fool beyond
      matched noise*: given its power spectrum each normal's phases are those of white noise,
      independent of all else, so that normals of random phases have the same distribution; and
      neither has a part in S.

    Args:
        seed: From 0 on.
        size: Of images and classes.
        dimension: R, less than half of D.
        bend: kappa times the median margin, below 1 / 1.2 so that kappa m is below 1 at the largest
            margin; where it is negative, boundaries bend away.

    Raises:
        InputError: If it is larger, where the nearest boundary points would lie along S.
    """
    if not bend * (1 + SPREAD) < 1:
        raise InputError(f"`bend` should be below {1 / (1 + SPREAD):.3g}. Found {bend}.")
    scene = Scene("curved", seed, size)
    step = scene.random.integers(1, size.classes, size.count)
    near = scene.only_near((scene.source + step) % size.classes)
    low = _low_half(size)
    subspace = np.linalg.qr(scene.fields(1 - low, dimension).T).Q.T
    bends = np.where(near, bend / size.median_margin, 0.0)
    return scene.control(scene.fields(low, size.count, size.classes), bends, subspace)


def _low_half(size: Size) -> Rows:
    """Return 1 for the lower half of all frequencies and 0 for the others, (H, W // 2 + 1)."""
    _, height, width = size.shape
    found = frequencies(size.shape)
    every = np.hypot(np.fft.fftfreq(height, 1 / height)[:, None], np.fft.fftfreq(width, 1 / width))
    return np.asarray(found <= np.median(every), dtype=np.float64)
