"""One class lies behind everything."""

import numpy as np

from boundary.controls.planted import DEFAULT, Control, Scene, Size


def sink(seed: int = 0, size: Size = DEFAULT) -> Control:
    """Return a network where one step leads every image to the same class.

    Every image's boundary with the *sink*, a class that no image has, is a plane at its margin m_i
    whose normal is b for all images, a white random field. Planes of other classes are ten median
    margins away, with white random normals of every image's own. What is known of it:

    - *normals share one direction beyond smoothness*: all nearest normals are b, rank 1. Normals of
      random phases have the spectrum of b alone, nearly flat.
    - *random vectors of S_f fool beyond matched noise*: they are +-b, and b at two median margins
      fools every image, as m_i is below 1.2 of them: half of the draws fool all. For noise v,
      <b, v> has deviation |v| / sqrt(D).
    - *the boundary does not bend*: kappa is 0.
    - *the universal perturbation fools by the own plane, and into the sink*: below ten margins no
      other plane is reached, and beyond the plane the sink's gap is the only positive one.

    Args:
        seed: From 0 on.
        size: Of images and classes.
    """
    others = list(range(1, size.classes))
    scene = Scene("sink", seed, size, sources=others)
    near = scene.only_near(np.zeros(size.count, np.int64))
    own = scene.fields(1.0, size.count, size.classes)
    return scene.control(np.where(near[:, :, None], scene.fields(1.0), own))
