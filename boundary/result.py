"""What results have in common: they print in a few lines and convert to pandas and xarray.

A result is a frozen dataclass of numbers, texts, arrays and other results. `Result` reads its
fields; the class adds what they cannot say, the names of the axes of its arrays:

    @dataclass(frozen=True, eq=False, repr=False)
    class Margins(Result):
        AXES: ClassVar = {"margin": "image", "normal": "image coordinate"}
        ROWS = "image"

        margin: NDArray[np.float64]
        normal: NDArray[np.float64]

An array that is named as its own axis becomes the coordinate of that axis. None of this is saved.
"""

import html
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from boundary.errors import InputError, import_extra, type_of

if TYPE_CHECKING:
    import pandas
    import xarray

_EXTRA = "tables"
_LINE, _TEXT, _ITEMS = 100, 60, 6
"""Longest line, longest text in it, and most items of a tuple in it."""

_Number = (bool, int, float, np.bool_, np.integer, np.floating)


class Result:
    """A dataclass that prints well and converts; it is to be decorated with ``repr=False``."""

    AXES: ClassVar[Mapping[str, str]] = {}
    """Of every array, a field or a property, the names of its axes."""
    ROWS: ClassVar[str] = ""
    """What a row of `to_pandas` is: an axis, or a field or property of many results; if empty there
    is one row, of the numbers and texts."""
    DERIVED: ClassVar[tuple[str, ...]] = ()
    """Properties that count as numbers of the result. A cached one takes time: it is shown once it
    has been asked for."""

    def __repr__(self) -> str:
        shown = [f"{name}={text}" for name, text in _shown_fields(self)]
        name, line = type(self).__name__, ", ".join(shown)
        if len(line) + len(name) + 2 <= _LINE:
            return f"{name}({line})"
        lines = "".join(f"    {one},\n" for one in shown)
        return f"{name}(\n{lines})"

    def _repr_html_(self) -> str:
        """Return the same as a table, for notebooks."""
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in _shown_fields(self)
        )
        return f"<table><caption>{html.escape(type(self).__name__)}</caption>{rows}</table>"

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a table: a row an image, a rate or whatever there are many of, else one row.

        Raises:
            InputError: If pandas is not installed.
        """
        columns = [name for name, axes in self.AXES.items() if axes == self.ROWS]
        if not columns:
            return table(getattr(self, self.ROWS) if self.ROWS else [self])
        pandas = import_extra("pandas", _EXTRA)
        data = {name: _array(getattr(self, name)) for name in columns}
        return pandas.DataFrame(data).rename_axis(index=None if self.ROWS in data else self.ROWS)

    def to_xarray(self) -> "xarray.Dataset":
        """Return the arrays with their axes named; numbers and texts are attributes.

        Results inside this one are left out: they convert by themselves.

        Raises:
            InputError: If xarray is not installed, or the result has no arrays of its own.
        """
        if not self.AXES:
            parts = [f"`{name}`" for name, value in _values(self) if _holds_results(value)]
            raise InputError(
                "only a result with arrays of its own becomes an xarray.Dataset. Found "
                f"{type_of(self)} without; use `to_pandas`"
                f"{' or convert its parts: ' if parts else ''}{', '.join(parts)}."
            )
        xarray = import_extra("xarray", _EXTRA)
        arrays = {
            name: (axes.split(), _array(getattr(self, name))) for name, axes in self.AXES.items()
        }
        # Formats that xarray writes know no truth values.
        facts = {name: int(v) if isinstance(v, bool) else v for name, v in _facts(self).items()}
        return xarray.Dataset(arrays, attrs=facts)


def table(results: Iterable[Any]) -> "pandas.DataFrame":
    """Return the numbers and texts of many results as a table, a row each.

    A result inside a result, such as an interval, gives columns ``interval_low`` and
    ``interval_high``; arrays are left out.

    Args:
        results: Of one kind, such as the rates that `analysis.fooling_rates` returns.

    Raises:
        InputError: If pandas is not installed.
    """
    return import_extra("pandas", _EXTRA).DataFrame([_facts(one) for one in results])


def _holds_results(value: Any) -> bool:
    items = value if isinstance(value, tuple) else (value,)
    return any(isinstance(item, Result) for item in items)


def _values(result: Any) -> list[tuple[str, Any]]:
    names = [field.name for field in fields(result)]
    return [(name, getattr(result, name)) for name in names]


def _facts(result: Any) -> dict[str, Any]:
    """Return the numbers and texts, of results inside too."""
    derived = [(name, getattr(result, name)) for name in getattr(result, "DERIVED", ())]
    facts = {}
    for name, value in [*_values(result), *derived]:
        if is_dataclass(value):
            facts.update({f"{name}_{inner}": fact for inner, fact in _facts(value).items()})
        elif isinstance(value, (str, *_Number)):
            facts[name] = value
    return facts


def _shown_fields(result: Any) -> list[tuple[str, str]]:
    kind = type(result)
    known = [
        (name, getattr(result, name))
        for name in getattr(kind, "DERIVED", ())
        if name in vars(result) or not isinstance(getattr(kind, name), cached_property)
    ]
    return [(name, _shown(value)) for name, value in [*_values(result), *known]]


def _shown(value: Any) -> str:
    """Return a value in a few words: of arrays type and shape, of results their name."""
    if isinstance(value, (np.ndarray, Tensor)):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    if isinstance(value, str):
        return repr(value if len(value) <= _TEXT else f"{value[: _TEXT - 3]}...")
    if is_dataclass(value):
        return _shown_result(value)
    if isinstance(value, Mapping):
        return f"{len(value)} entries"
    if isinstance(value, (tuple, list)):
        return _shown_items(value)
    return str(value) if value is None or isinstance(value, _Number) else type(value).__name__


def _shown_result(result: Any) -> str:
    values = _values(result)
    if not all(isinstance(value, (str, *_Number)) for _, value in values):
        return f"{type(result).__name__}(...)"
    return f"{type(result).__name__}({', '.join(f'{n}={_shown(value)}' for n, value in values)})"


def _shown_items(items: "tuple[Any, ...] | list[Any]") -> str:
    if len(items) <= _ITEMS and all(isinstance(item, (str, *_Number)) for item in items):
        text = f"({', '.join(map(_shown, items))}{',' * (len(items) == 1)})"
        if len(text) <= _TEXT:
            return text
    return f"{len(items)} x {type(items[0]).__name__}"


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
