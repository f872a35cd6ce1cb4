"""Smooth normals that share nothing but their smoothness."""

from boundary.controls.planted import DEFAULT, Control, Rows, Scene, Size, frequencies

CORNER = 1.3
"""Square of the frequency where the spectrum begins to fall, cycles^2 per image^2: grey fields
then have 1 / tr C^2 = 13 effective dimensions, about 3 pi CORNER, in images of any size."""


def smooth(seed: int = 0, size: Size = DEFAULT) -> Control:
    """Return a network of planes whose normals are random fields of one power spectrum.

    Every image has for every class a normal of its own: white noise times the amplitude
    1 / (CORNER + f^2), f in cycles per image, to unit length. What is known of it:

    - *normals share no direction beyond smoothness*: given its power spectrum, each row's phases
      are those of white noise, independent of all else. To give it other such phases is to draw it
      again: N and N of random phases have the same distribution, and so has whatever is
      made of them, energies of other images' normals included.
    - *random vectors of S_f do not fool beyond matched noise*: hence neither do these.
    - *the boundary does not bend*: kappa is 0.
    - *the universal perturbation fools by planes*: within reach there is nothing else.

    Random fields of that spectrum fool some 5 % of the images at two margins, white noise none: the
    cosine of two fields has the deviation 1 / sqrt(13), and that of K - 1 planes has to exceed some
    1/2.

    Args:
        seed: From 0 on.
        size: Of images and classes.
    """
    scene = Scene("smooth", seed, size)
    return scene.control(scene.fields(amplitude(size), size.count, size.classes))


def amplitude(size: Size) -> Rows:
    """Return the amplitude of each frequency of ``rfft2``, (H, W // 2 + 1)."""
    return 1 / (CORNER + frequencies(size.shape) ** 2)
