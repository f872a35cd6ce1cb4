"""Planes whose normals span a planted subspace of few dimensions."""

import numpy as np

from boundary.controls.planted import DEFAULT, Control, Scene, Size, unit


def ridge(seed: int = 0, size: Size = DEFAULT, *, dimension: int = 5) -> Control:
    """Return a network whose boundaries are planes with normals in a planted subspace S of R = 5.

    What is known of it:

    - *normals share directions beyond smoothness*: every normal is uniform on the unit sphere of S,
      so that N has rank R and its leading R directions hold all of the energy of any image's
      normal. S is spanned by white noise. Normals of random phases keep the mean spectrum of R
      white fields, which is nearly flat: R of their directions hold a little over R / D.
    - *random vectors of S fool beyond matched noise*: at two margins, where <u, v> is 2 m times the
      cosine of two random unit vectors of R = 5 dimensions, above 1/2 with probability 5/32 for
      each of K - 1 planes; for matched noise the cosine has deviation 1 / sqrt(D), which is 0.06.
    - *the boundary does not bend*: kappa is 0.
    - *the universal perturbation fools by planes*: within reach there is nothing else.

    Args:
        seed: From 0 on.
        size: Of images and classes.
        dimension: R.
    """
    scene = Scene("ridge", seed, size)
    subspace = np.linalg.qr(scene.fields(1.0, dimension).T).Q.T
    within = scene.random.standard_normal((size.count, size.classes, dimension))
    return scene.control(unit(within) @ subspace)
