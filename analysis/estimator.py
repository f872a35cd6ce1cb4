"""The subspace of normals as an estimator of scikit-learn, around `analysis.spectrum`."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from analysis.gram import Matrix, blocks
from analysis.spectrum import Method, singular_spectrum
from analysis.subspace import Subspace
from boundary.errors import InputError
from boundary.store import NormalMatrix

Rows = ArrayLike | NormalMatrix
"""An array (n, D), or ``NormalsStore.normals()``, which is read in blocks."""


class NormalSubspace(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """S_f, the span of the leading right singular vectors of normals, not centred.

    Like `sklearn.decomposition.TruncatedSVD` of rows made unit vectors. In `fit` and `score` a row
    of an array counts by its direction alone: it is divided by its norm. Rows of zeros are points
    that failed, and are left out. The rows of a store are unit vectors or zero, and others are
    refused. `transform` and `inverse_transform` are linear and leave lengths as they are.

    Args:
        n_components: R, at most min(n, D), by default 100 or as many as there can be. Fewer
            components are kept where the normals span fewer.
        method: ``gram``, ``lapack`` or ``krylov``, as in `analysis.singular_spectrum`.

    Attributes:
        components_: (R, D), orthonormal; the largest number of each is positive.
        singular_values_: (R,), descending. Those of all min(n, D) are in ``spectrum_``.
        explained_energy_: (R,), squared singular values over n, the share of the normals' energy
            along each component. In the sample that made them it is too large: see `score`.
        n_components_: R.
        n_features_in_: D.
        spectrum_: The `analysis.SingularSpectrum`, with error bounds and counts.
    """

    def __init__(self, n_components: int | None = None, *, method: Method = "gram") -> None:
        self.n_components = n_components
        self.method = method

    def fit(self, X: Rows, y: None = None) -> "NormalSubspace":
        """Find the subspace.

        Args:
            X: Normals, (n, D).
            y: Not used.

        Returns:
            Itself.

        Raises:
            InputError: If ``n_components`` does not fit, no row is left, or the method is unknown.
        """
        rows = self._matrix(X)
        wanted, side = self.n_components, min(rows.shape)
        if wanted is not None and not (isinstance(wanted, Integral) and 1 <= wanted <= side):
            raise InputError(
                f"`n_components` should be a whole number in 1..{side}, as there are "
                f"{rows.shape[0]} normals of {rows.shape[1]} numbers, or None. Found {wanted!r}."
            )
        self.spectrum_ = singular_spectrum(rows, directions=wanted, method=self.method)
        self._take(self.spectrum_.directions)
        self.singular_values_ = self.spectrum_.singular_values[: self.n_components_]
        self.explained_energy_ = self.singular_values_**2 / self.spectrum_.count
        return self

    @classmethod
    def from_subspace(cls, subspace: Subspace) -> "NormalSubspace":
        """Return an estimator of a subspace that is known, as if fitted.

        It has components and no singular values, which belong to normals.
        """
        made = cls(subspace.dimension)
        made._take(subspace.basis)
        return made

    def subspace(self) -> Subspace:
        """Return the span of the components, to draw from and to measure angles with."""
        check_is_fitted(self, "components_")
        return Subspace(self.components_)

    def transform(self, X: Rows) -> NDArray[np.float64]:
        """Return the coordinates of rows in the subspace, (n, R).

        Args:
            X: Vectors, (n, D), of any lengths.
        """
        return np.concatenate([block @ self.components_.T for block in self._blocks(X)])

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the vectors of coordinates, (n, D).

        Args:
            X: Coordinates, (n, R).

        Raises:
            InputError: If there are not R of them.
        """
        check_is_fitted(self, "components_")
        coordinates = check_array(X, dtype=np.float64)
        if coordinates.shape[1] != self.n_components_:
            raise InputError(
                f"`X` should have shape (n, {self.n_components_}), a coordinate a component. "
                f"Found {coordinates.shape}."
            )
        return np.asarray(coordinates @ self.components_)

    def score(self, X: Rows, y: None = None) -> float:
        """Return the mean captured energy of normals, in [0, 1]: of a unit normal, |B n|^2.

        It is honest for normals that had no part in the fit. It grows with R: of random directions
        it is R / D.

        Args:
            X: Normals, (n, D).
            y: Not used.

        Raises:
            InputError: If all rows are zero.
        """
        inside, lengths = [], []
        for block in self._blocks(X):
            inside.append(((block @ self.components_.T) ** 2).sum(1))
            lengths.append((block**2).sum(1))
        energy, squares = np.concatenate(inside), np.concatenate(lengths)
        used = squares > 0
        if not used.any():
            raise InputError("`X` should have a row that is not zero. Found none.")
        return float((energy[used] / squares[used]).mean())

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _take(self, components: NDArray[np.float64]) -> None:
        self.components_ = components
        self.n_components_: int = components.shape[0]
        self.n_features_in_ = components.shape[1]

    def _matrix(self, X: Any) -> Matrix:
        """Return what a spectrum is taken of: unit rows, or zero."""
        if isinstance(X, NormalMatrix):
            return X
        rows = validate_data(self, X, dtype=np.float64)
        # Divided by the largest number first, whose square cannot overflow.
        rows = rows / _where_positive(np.abs(rows).max(1))
        unit: NDArray[np.float64] = rows / _where_positive(np.linalg.norm(rows, axis=1))
        return unit

    def _blocks(self, X: Any) -> Iterator[NDArray[np.float64]]:
        """Yield blocks of rows, each to be used before the next.

        Raises:
            InputError: If normals of a store have another number of features.
        """
        check_is_fitted(self, "components_")
        if not isinstance(X, NormalMatrix):
            yield validate_data(self, X, dtype=np.float64, reset=False)
            return
        if X.shape[1] != self.n_features_in_ or not len(X):
            raise InputError(
                f"`X` should have shape (n, {self.n_features_in_}) with n at least 1. "
                f"Found {X.shape}."
            )
        for _, block in blocks(X, by_rows=True):
            yield block


def _where_positive(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return divisors of rows, (n, 1): 1 where a row is zero."""
    return np.where(numbers > 0, numbers, 1.0)[:, None]
