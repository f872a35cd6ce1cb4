"""Whether perturbations look like what occurs in nature: how natural images and S_f compare.

Three measures, each beside that of random vectors and of differences of two natural images:

- the radial power spectrum: where in frequency a vector has its energy;
- the energy that the leading principal components of the images and S_f have in common;
- how improbable a direction is under a Gaussian fitted to images. With Sigma the covariance of D
  numbers and mu = tr(Sigma) / D, the *improbability* of a vector v is

      m(v) = mu v' Sigma^-1 v / |v|^2.

  If Sigma is white, m is 1 for every v. Whatever Sigma is, draws of the Gaussian itself lie near 1
  (their mean of mu v' Sigma^-1 v is their mean of |v|^2), a direction of variance l has mu / l, and
  directions uniform on the sphere have mu tr(Sigma^-1) / D >= 1 in the mean.

Of fewer images than numbers the covariance has to be regularised: Sigma = (1 - a) S + a mu I, with
the shrinkage a of Ledoit and Wolf (2004). Outside the span of the images that fitted it, the
variance is a mu by assumption, so m there is 1 / a for every direction: a Gaussian of few images
cannot tell such directions apart. Everything goes through the Gram matrix of the images; no D x D
matrix is made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from analysis.eigen import eigenpairs
from analysis.gram import blocks
from analysis.halves import split_in_halves
from analysis.intervals import estimate_from_halves, percentile_interval
from analysis.subspace import Subspace
from analysis.surrogates import phase_randomised_rows
from boundary.errors import InputError
from boundary.result import Result

IMAGES, DIFFERENCES, SPHERE = "natural images", "natural differences", "sphere"
DIRECTIONS, PHASES = "directions of S_f", "S_f, random phases"
REFERENCES = (IMAGES, DIFFERENCES, SPHERE, DIRECTIONS, PHASES)
"""Names of the families that every result holds, first and in this order."""

COMPONENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Numbers of principal components P, where the images span as many."""

_REFERENCE_NORM = 0.04
"""Of the mean image norm: 2000 of about 50,000 in Moosavi-Dezfooli et al. (2017)."""
_SPLITS = 5
FEWEST_IMAGES = 6
"""Three in each half: two lie in one direction about their mean."""
_VECTORS_AT_ONCE = 16
_EPS = float(np.finfo(np.float64).eps)

Array = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class VectorFamily:
    """Where vectors have their energy, and how improbable they are; their lengths do not matter."""

    name: str
    improbability: Array
    """(m,), mu v' Sigma^-1 v / |v|^2 of each vector."""
    spectrum: Array
    """(m, bands), share of each vector's energy in each radial band; the rows sum to 1."""

    @property
    def median(self) -> float:
        """Median improbability."""
        return float(np.median(self.improbability))

    @property
    def log10_mean(self) -> float:
        """Mean of log10 m."""
        return float(np.log10(self.improbability).mean())

    @property
    def log10_spread(self) -> tuple[float, float]:
        """Quantiles of log10 m between which 95 % of the vectors lie."""
        spread = percentile_interval(np.log10(self.improbability))
        return spread.low, spread.high


@dataclass(frozen=True, eq=False)
class SharedEnergy:
    """Energy that the first P principal components of the images and the R directions share.

    Of it all, the sum of the squared cosines between the ones and the others, a component has 1 / P
    inside S_f and a direction 1 / R inside the components. Each is held against chance, R / D and
    P / D, of which both are the same multiple.
    """

    components: NDArray[np.int64]
    """(grid,), P."""
    captured: Array
    """(grid,), sum of squared cosines, of the components of all images."""
    of_halves: Array
    """(2 splits, grid), the same, of the components of random halves of the images."""
    of_phases: Array
    """(grid,), the same, of the directions with random phases in place of S_f."""
    directions: int
    """R."""
    dimension: int
    """D."""

    @property
    def components_in_subspace(self) -> Array:
        """Mean energy of the first P components inside S_f, (grid,)."""
        return np.asarray(self.captured / self.components)

    @property
    def subspace_in_components(self) -> Array:
        """Mean energy of the directions of S_f inside the first P components, (grid,)."""
        return np.asarray(self.captured / self.directions)

    @property
    def chance(self) -> Array:
        """P R / D, (grid,): the energy shared with random directions, in the mean."""
        return np.asarray(self.components * (self.directions / self.dimension))

    @property
    def times_chance(self) -> Array:
        """The energy shared as a multiple of chance, (grid,)."""
        return np.asarray(self.captured / self.chance)

    def interval(self) -> tuple[Array, Array]:
        """Return the ends of the 95 % interval of ``captured`` over samples of images.

        It comes from the components of random halves, S_f staying as it is.
        """
        whole, halves = (np.maximum(part, _EPS**2) for part in (self.captured, self.of_halves))
        found = [
            estimate_from_halves(value, of_halves).interval
            for value, of_halves in zip(whole, halves.T, strict=True)
        ]
        high = np.array([interval.high for interval in found])
        most = np.minimum(self.components, self.directions)
        return np.array([interval.low for interval in found]), np.minimum(high, most)


@dataclass(frozen=True, eq=False, repr=False)
class NaturalResult(Result):
    """How families of perturbations compare with natural images."""

    AXES: ClassVar = {"frequencies": "frequencies", "white": "frequencies"}
    ROWS = "frequencies"

    families: tuple[VectorFamily, ...]
    """The references, in the order of `REFERENCES`, then those that were given."""
    frequencies: Array
    """(bands,), mean radial frequency of each band, cycles per pixel, ascending from 0. A band is
    1 / max(H, W) wide; one last band, where there is one, holds the corners beyond 0.5."""
    white: Array
    """(bands,), share of each band in white noise: its share of all frequencies."""
    shared: SharedEnergy
    """Of the principal components and S_f."""
    images: int
    """n."""
    fitted: int
    """Images that the Gaussian was fitted to; the natural references come from the others."""
    shrinkage: float
    """a, in [0, 1], of Ledoit and Wolf."""
    variance: float
    """mu = tr(Sigma) / D, squared input units."""
    sphere_mean: float
    """mu tr(Sigma^-1) / D: the exact mean improbability over the sphere."""
    norm: float
    """At which log-densities are compared, input units."""
    image_shape: tuple[int, ...]
    """(C, H, W)."""
    seed: int
    """Of the halves and of all draws."""

    @property
    def ceiling(self) -> float:
        """1 / a, the improbability of every direction outside the span of the fitted images."""
        return 1 / self.shrinkage

    def family(self, name: str) -> VectorFamily:
        """Return a family by its name.

        Raises:
            InputError: If there is none.
        """
        for family in self.families:
            if family.name == name:
                return family
        names = ", ".join(family.name for family in self.families)
        raise InputError(f"`name` should be one of {names}. Found {name}.")

    def relative_power(self, name: str) -> Array:
        """Return a family's mean power per frequency by band, (bands,); white noise has 1."""
        return np.asarray(self.family(name).spectrum.mean(0) / self.white)

    def rank(self, name: str, reference: str) -> Array:
        """Return the share of a reference that is more probable than each vector, (m,).

        0 is a vector more probable than every one of the reference, 1 one less probable; a family
        among itself has 1/2 in the mean.
        """
        others = np.sort(self.family(reference).improbability)
        values = self.family(name).improbability
        below, up_to = (np.searchsorted(others, values, side) for side in ("left", "right"))
        return np.asarray((below + up_to) / (2 * len(others)))

    def log_density_gain(self, name: str) -> Array:
        """Return by how much log-density exceeds its mean over the sphere of ``norm``, nats, (m,).

        The density is that of N(0, Sigma), at each vector scaled to ``norm``.
        """
        less_improbable = self.sphere_mean - self.family(name).improbability
        return np.asarray(less_improbable * (self.norm**2 / (2 * self.variance)))


def naturalness(
    images: NDArray[np.floating],
    subspace: Subspace,
    families: Mapping[str, ArrayLike],
    *,
    components: Sequence[int] = COMPONENTS,
    draws: int = 200,
    norm: float | None = None,
    seed: int = 0,
) -> NaturalResult:
    """Return how natural the directions of S_f and families of perturbations are.

    Half of the images fit the Gaussian; the others, less the mean of the first, and their
    differences are the natural references. The principal components are those of all images, with
    intervals from random halves. The images should have had no part in making S_f.

    Args:
        images: Natural images, (n, C, H, W), n at least 6; float32 is read as it is, in blocks.
        subspace: S_f, R directions of D = C H W numbers.
        families: Perturbations by name, each (m, C, H, W), of any length but zero.
        components: Numbers of principal components P, ascending; those beyond what half of the
            images span are left out.
        draws: Vectors of the sphere, differences, and at most so many images.
        norm: Euclidean, of the log-densities; by default 4 % of the mean image norm.
        seed: Of the halves and of all draws.

    Returns:
        The measures, with the families `REFERENCES` before those given.

    Raises:
        InputError: If an argument is not as said, a number is not finite, or the images do not
            differ from one another.
    """
    rows, shape = _checked_images(images, subspace)
    given = {name: _checked_family(name, family, shape) for name, family in families.items()}
    if draws < 1 or (norm is not None and not norm > 0):
        raise InputError(f"`draws` and `norm` should be positive. Found {draws} and {norm}.")
    norms, gram = _norms(rows), _centred_gram(rows)
    _refuse_equal(float(np.trace(gram)), float((norms**2).sum()), len(rows))
    halves = split_in_halves(len(rows), _SPLITS, seed)
    generator = np.random.default_rng([seed, 1])
    phases = phase_randomised_rows(subspace.basis, shape, generator).astype(np.float64)
    fitted, held_out = halves[0]
    gaussian, bands = _fitted_gaussian(rows, gram, fitted), _radial_bands(shape)
    shared = _shared_energy(rows, gram, subspace, Subspace.spanned_by(phases), components, halves)
    references = _references(rows, fitted, held_out, draws, generator)
    own = ((DIRECTIONS, subspace.basis), (PHASES, phases))
    described = tuple(
        _described(name, vectors, gaussian, bands)
        for named in (references, own, given.items())
        for name, vectors in named
    )
    return NaturalResult(
        families=described,
        frequencies=bands.frequencies,
        white=bands.white,
        shared=shared,
        images=len(rows),
        fitted=len(fitted),
        shrinkage=gaussian.shrinkage,
        variance=gaussian.variance,
        sphere_mean=gaussian.sphere_mean,
        norm=_REFERENCE_NORM * float(norms.mean()) if norm is None else float(norm),
        image_shape=shape,
        seed=seed,
    )


def ledoit_wolf_shrinkage(gram: Array, dimension: int) -> float:
    """Return the shrinkage of Ledoit and Wolf (2004), in [0, 1], from traces alone.

    With S = X'X / n of centred rows, tr S = tr G / n, tr S^2 = |G|^2 / n^2 and |x_i|^2 = G_ii.

    Args:
        gram: G = X X' of the centred rows, (n, n).
        dimension: D, numbers in a row.
    """
    count = len(gram)
    squares = np.diag(gram)
    of_square = float((gram**2).sum()) / count**2
    error = (float((squares**2).mean()) - of_square) / count
    distance = of_square - float(squares.mean()) ** 2 / dimension
    return min(max(error, 0.0) / distance, 1.0) if distance > 0 else 1.0


@dataclass(frozen=True, eq=False)
class _Axes:
    """Principal axes of some images, each a combination of them: u_k = sum_i x_i turn[i, k]."""

    rows: NDArray[np.floating]
    places: Places
    variances: Array
    turn: Array

    def cosines(self, vectors: Array) -> Array:
        """Return <v, u_k> of unit rows v, (m, k)."""
        products = np.zeros((len(vectors), len(self.rows)))
        for part, block in blocks(self.rows, by_rows=False):
            products += vectors[:, part] @ block.T
        # Each column of turn sums to 0, so that the mean image falls out.
        return np.asarray(products[:, self.places] @ self.turn)


@dataclass(frozen=True, eq=False)
class _Gaussian:
    axes: _Axes
    shrinkage: float
    variance: float
    dimension: int

    @property
    def along_axes(self) -> Array:
        return (1 - self.shrinkage) * self.axes.variances + self.shrinkage * self.variance

    @property
    def sphere_mean(self) -> float:
        beyond = (self.dimension - len(self.along_axes)) / self.shrinkage
        return float(((self.variance / self.along_axes).sum() + beyond) / self.dimension)

    def improbability(self, unit_rows: Array) -> Array:
        squares = self.axes.cosines(unit_rows) ** 2
        outside = (1 - squares.sum(1)).clip(min=0)
        return np.asarray(squares @ (self.variance / self.along_axes) + outside / self.shrinkage)


@dataclass(frozen=True, eq=False)
class _Bands:
    shape: tuple[int, ...]
    of_frequency: NDArray[np.intp]
    """(H W,), the band of each frequency of a Fourier transform."""
    frequencies: Array
    white: Array

    def shares(self, unit_rows: Array) -> Array:
        """Return the energy of each unit row in each band, (m, bands), summed over channels."""
        found = []
        for start in range(0, len(unit_rows), _VECTORS_AT_ONCE):
            some = unit_rows[start : start + _VECTORS_AT_ONCE].reshape(-1, *self.shape)
            power = (np.abs(scipy.fft.fft2(some, norm="ortho")) ** 2).sum(1)
            found += [np.bincount(self.of_frequency, one.ravel()) for one in power]
        return np.stack(found)


def _radial_bands(shape: tuple[int, ...]) -> _Bands:
    """Return rings of the width of the finest frequency, and what lies beyond 0.5 as the last."""
    _, height, width = shape
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"))
    rings = np.where(radius <= 0.5, np.rint(radius * max(height, width)), np.inf).ravel()
    _, band, counts = np.unique(rings, return_inverse=True, return_counts=True)
    frequencies = np.bincount(band, radius.ravel()) / counts
    return _Bands(shape, band, frequencies, counts / radius.size)


def _norms(rows: NDArray[np.floating]) -> Array:
    squares = np.zeros(len(rows))
    for _, block in blocks(rows, by_rows=False):
        squares += np.einsum("ij,ij->i", block, block)
    if not np.isfinite(squares).all():
        row = int(np.flatnonzero(~np.isfinite(squares))[0])
        raise InputError(f"`images` should be finite. Found NaN or infinity in image {row}.")
    return np.sqrt(squares)


def _centred_gram(rows: NDArray[np.floating]) -> Array:
    """Return the Gram matrix of the images less their mean."""
    gram = np.zeros((len(rows), len(rows)))
    for _, block in blocks(rows, by_rows=False):
        block -= block.mean(0)
        gram += block @ block.T
    return gram


def _refuse_equal(energy: float, scale: float, count: int) -> None:
    if not energy > 100 * _EPS * scale:
        raise InputError(
            f"`images` should differ from one another. Found {count} that are equal; bring other "
            "images, or more."
        )


def _gram_of(gram: Array, places: Places) -> Array:
    """Return the Gram matrix of some images less their own mean."""
    part = gram[np.ix_(places, places)]
    part -= part.mean(0)
    part -= part.mean(1, keepdims=True)
    _refuse_equal(float(np.trace(part)), float(np.trace(gram)), len(places))
    return part


def _principal_axes(
    rows: NDArray[np.floating], gram: Array, places: Places, most: int | None = None
) -> _Axes:
    """Return the principal axes of some images, all or the first, without those of no variance."""
    count, dimension = len(places), rows.shape[1]
    side = min(count, dimension, most or count)
    values, vectors = eigenpairs(np.asfortranarray(_gram_of(gram, places)), side)
    kept = int((values[:side] > values[0] * max(count, dimension) * _EPS).sum())
    turn = vectors[:, :kept] / np.sqrt(values[:kept])
    return _Axes(rows, places, values[:kept] / count, turn)


def _fitted_gaussian(rows: NDArray[np.floating], gram: Array, places: Places) -> _Gaussian:
    part, dimension = _gram_of(gram, places), rows.shape[1]
    shrinkage = ledoit_wolf_shrinkage(part, dimension)
    if shrinkage <= len(places) * _EPS:
        raise InputError(
            f"`images` should vary in more than one direction. Found that {len(places)} of them do "
            "not; bring other images, or more."
        )
    variance = float(np.trace(part)) / (len(places) * dimension)
    return _Gaussian(_principal_axes(rows, gram, places), shrinkage, variance, dimension)


def _shared_energy(
    rows: NDArray[np.floating],
    gram: Array,
    subspace: Subspace,
    random_phases: Subspace,
    components: Sequence[int],
    halves: Sequence[tuple[Places, Places]],
) -> SharedEnergy:
    grid = np.asarray(components)
    if grid.ndim != 1 or grid.dtype.kind not in "iu" or grid[0] < 1 or (np.diff(grid) < 1).any():
        raise InputError(
            f"`components` should be ascending whole numbers from 1 on. Found {tuple(components)}."
        )
    parts = [half for split in halves for half in split]
    of_halves = [_principal_axes(rows, gram, places, int(grid[-1])) for places in parts]
    grid = grid[grid <= min(len(axes.variances) for axes in of_halves)]
    if not len(grid):
        raise InputError(
            f"`components` should start within what half of the images span. Found "
            f"{components[0]}; ask for fewer, or bring more images."
        )
    whole = _principal_axes(rows, gram, np.arange(len(rows)), int(grid[-1]))

    def captured(axes: _Axes, basis: Array) -> Array:
        energies = (axes.cosines(basis) ** 2).sum(0)
        return np.asarray(np.cumsum(energies)[grid - 1])

    return SharedEnergy(
        components=grid.astype(np.int64),
        captured=captured(whole, subspace.basis),
        of_halves=np.stack([captured(axes, subspace.basis) for axes in of_halves]),
        of_phases=captured(whole, random_phases.basis),
        directions=subspace.dimension,
        dimension=subspace.ambient_dimension,
    )


def _references(
    rows: NDArray[np.floating],
    fitted: Places,
    held_out: Places,
    draws: int,
    generator: np.random.Generator,
) -> Iterator[tuple[str, Array]]:
    """Yield held-out images, differences of two of them, and random directions, in turn."""
    yield IMAGES, rows[held_out[:draws]] - rows[fitted].mean(0, dtype=np.float64)
    first = generator.integers(len(held_out), size=draws)
    second = (first + generator.integers(1, len(held_out), size=draws)) % len(held_out)
    differences = rows[held_out[first]] - rows[held_out[second]].astype(np.float64)
    yield DIFFERENCES, differences[differences.any(1)]  # images that are there twice
    yield SPHERE, generator.standard_normal((draws, rows.shape[1]))


def _described(name: str, vectors: Array, gaussian: _Gaussian, bands: _Bands) -> VectorFamily:
    unit_rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return VectorFamily(name, gaussian.improbability(unit_rows), bands.shares(unit_rows))


def _checked_images(
    images: NDArray[np.floating], subspace: Subspace
) -> tuple[NDArray[np.floating], tuple[int, ...]]:
    found = np.shape(images)
    if len(found) != 4 or found[0] < FEWEST_IMAGES or 0 in found:
        raise InputError(
            f"`images` should have shape (n, C, H, W) with n at least {FEWEST_IMAGES}. "
            f"Found {found}."
        )
    rows = np.asarray(images).reshape(len(images), -1)
    if rows.shape[1] != subspace.ambient_dimension:
        raise InputError(
            f"`subspace` should lie in the space of the images, D = {rows.shape[1]}. Found "
            f"{subspace.ambient_dimension}; take images of the size it was made from."
        )
    return rows, tuple(int(side) for side in found[1:])


def _checked_family(name: str, family: ArrayLike, shape: tuple[int, ...]) -> Array:
    vectors = np.asarray(family, dtype=np.float64)
    if name in REFERENCES:
        raise InputError(f"`families` should not name one `{name}`, which is a reference.")
    if vectors.shape[1:] != shape or not len(vectors):
        raise InputError(
            f"the vectors of `{name}` should have shape (m, {', '.join(map(str, shape))}) with m "
            f"at least 1. Found {vectors.shape}."
        )
    rows = vectors.reshape(len(vectors), -1)
    if not np.isfinite(rows).all() or not rows.any(1).all():
        raise InputError(
            f"the vectors of `{name}` should be finite and not zero; leave out others."
        )
    return rows
