import sys
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

import made
from analysis import (
    Ball,
    CollectionResult,
    CurvatureResult,
    FoolingRate,
    FoolingResult,
    LabelFlows,
    SpectrumResult,
    UniversalPerturbation,
    captured_energy,
    compare,
    compare_all,
    in_subspace,
    isotropic_null,
    load_result,
    singular_spectrum,
    table,
)
from analysis.curvature_sweep import CurvatureCurve
from analysis.questions import SharedNormals
from analysis.results import Examples
from analysis.saved import save_result
from boundary import BoundaryPoints, Classifier, InputError, nearest_boundary_points
from boundary.result import Result
from surfaces import linear, random_images

IMAGES = random_images(6, (1, 2, 2))
CLASSIFIER = Classifier(linear(3, 4))
ROWS = np.eye(4)[[0, 1, 1, 2, 0]]


def points() -> BoundaryPoints:
    return nearest_boundary_points(CLASSIFIER, IMAGES)


def rate(family: str = "sphere", share: float = 0.5, norm: float = 0.5) -> FoolingRate:
    return FoolingRate(family, 4, norm, False, made.outcomes(share, draws=2, images=10))


def collection() -> CollectionResult:
    found = points()
    whole = {
        name: getattr(found, name).numpy()
        for name in ("status", "source", "target", "forward_passes", "backward_passes")
    }
    real = {name: getattr(found, name).numpy() for name in ("margin", "alignment", "residual")}
    choosing = np.arange(6) % 5 == 0
    return CollectionResult(6, 3, 6, 5, 1.0, choosing, **whole, **real, unreadable=("a.png: <torn>",))


def fooling_result() -> FoolingResult:
    pictures = np.zeros((2, 1, 2, 2), np.float32)
    examples = Examples(
        pictures, np.zeros(2, int), pictures[None], np.zeros((1, 2), int), ("a",), 0.5
    )
    return FoolingResult(
        rates=(rate("sphere", 0.2), rate("subspace", 0.6)),
        shared=SharedNormals(2, np.ones(4) / 2, np.ones((5, 4)) / 4, np.array([0.3]), ()),
        examples=examples,
        image_ids=tuple(f"<img src={place}>" for place in range(10)),
        predictions=np.arange(10) % 3,
        labels=np.full(10, -1),
        class_names=("cat", "dog & bone", "x" * 500),
        mean_image_norm=1.0,
        reference_norm=0.5,
        reference_dimension=2,
        noise_dimension=2,
        median_margin=0.25,
        seed=0,
    )


def universal() -> UniversalPerturbation:
    trace = tuple((10 * look, 0.1 * look) for look in range(9))
    return UniversalPerturbation(torch.ones(1, 2, 2) / 4, Ball(0.5), 6, 60, 50, trace)


@cache
def results() -> list[Result]:
    spectrum = singular_spectrum(ROWS)
    subspace = spectrum.subspace(2)
    drawn = in_subspace(subspace, (1, 2, 2), 3, 0.5, torch.Generator().manual_seed(0))
    return [
        points(),
        collection(),
        spectrum,
        isotropic_null(5, 4, draws=3),
        captured_energy(spectrum, ROWS),
        drawn,
        universal(),
        rate(),
        compare(rate(), rate("subspace", 0.7)),
        fooling_result(),
        made.universal_result(),
        made.universal_result().found[0],
        made.transfer_result(),
        made.curvature_result(),
        made.curvature_result().curves[0],
        LabelFlows("sphere", 0.5, 2.0, False, 3, np.arange(6) % 3, np.zeros(6, int), ()),
    ]


NAMES = [type(one).__name__ for one in results()]


@pytest.fixture(params=range(len(NAMES)), ids=NAMES)
def result(request: pytest.FixtureRequest) -> Result:
    return results()[request.param]


def test_a_result_prints_in_a_few_short_lines(result: Result) -> None:
    text = repr(result)
    assert text.startswith(f"{type(result).__name__}(")
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 120
    for field in fields(result):  # type: ignore[arg-type]
        assert f"{field.name}=" in text


def test_no_dataclass_has_a_repr_of_its_own() -> None:
    kinds = Result.__subclasses__()
    assert [kind.__name__ for kind in kinds if kind.__repr__ is not Result.__repr__] == []


def test_a_result_is_a_table_in_a_notebook(result: Result) -> None:
    page = result._repr_html_()
    assert page.startswith("<table>")
    assert page.count("<tr>") == page.count("</tr>") >= len(fields(result))  # type: ignore[arg-type]


def test_every_array_has_axes_that_fit(result: Result) -> None:
    arrays = {
        field.name: getattr(result, field.name)
        for field in fields(result)  # type: ignore[arg-type]
        if isinstance(getattr(result, field.name), (np.ndarray, torch.Tensor))
    }
    assert set(arrays) <= set(result.AXES)
    for name, axes in result.AXES.items():
        assert np.ndim(getattr(result, name)) == len(axes.split()), name


def test_arrays_become_xarrays(result: Result) -> None:
    if not result.AXES:
        with pytest.raises(InputError, match=rf"Found a.* {type(result).__name__} without"):
            result.to_xarray()
        return
    found = result.to_xarray()
    assert set(found.variables) == set(result.AXES)
    for name, axes in result.AXES.items():
        assert found[name].dims == tuple(axes.split())
        np.testing.assert_array_equal(found[name].values, np.asarray(getattr(result, name)))
    assert found.copy().identical(found)
    found.drop_vars([name for name in found if found[name].dtype.kind == "U"]).to_netcdf()


def test_every_result_gives_a_table(result: Result) -> None:
    found = result.to_pandas()
    assert isinstance(found, pd.DataFrame)
    assert len(found) > 0
    assert not any(found[column].map(is_dataclass).any() for column in found.columns)


def test_a_table_of_images_has_a_row_an_image() -> None:
    found = points()
    data = found.to_pandas()
    assert (data.index.name, len(data)) == ("image", 6)
    assert "normal" not in data.columns
    np.testing.assert_array_equal(data["margin"], found.margin.numpy())
    np.testing.assert_array_equal(data["on_boundary"], found.on_boundary.numpy())


def test_a_table_of_rates_has_a_row_a_rate() -> None:
    for data in (fooling_result().to_pandas(), table(fooling_result().rates)):
        assert data["family"].tolist() == ["sphere", "subspace"]
        assert data["rate"].tolist() == [0.2, 0.6]
        assert (data["interval_low"] < data["rate"]).all()
        assert (data["count"] == [4, 12]).all()
    assert len(made.universal_result().to_pandas()) == len(made.universal_result().rates)
    pairs = table(compare_all([rate(), rate("subspace", 0.7)]))
    assert pairs["difference"].tolist() == pytest.approx([-0.2])
    assert table([]).empty


def test_a_law_is_a_row() -> None:
    result = made.curvature_result()
    assert isinstance(result, CurvatureResult)
    assert result.to_pandas()["law"].tolist() == [row.law for row in result.theory]
    curve = result.curves[0]
    assert isinstance(curve, CurvatureCurve)
    assert curve.to_pandas()["scales"].tolist() == curve.scales.tolist()
    chosen = curve.to_xarray().sel(scales=curve.scales[1])["curvature"]
    np.testing.assert_array_equal(chosen, curve.curvature[1])


def test_what_takes_time_is_shown_once_it_is_known() -> None:
    one = rate()
    assert "rate=0.5" in repr(one)
    assert "interval" not in repr(one)
    assert "interval" not in vars(one)
    assert one.interval.low < 0.5
    assert "interval=Interval(low=0." in repr(one)


def test_texts_of_strangers_are_escaped_and_cut() -> None:
    hostile = replace(rate(), family="<script>alert('x')</script>" + "y" * 500)
    page = hostile._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert len(page) < 2000
    assert "\n" not in repr(replace(rate(), family="a\nb")).replace("\n    ", "").replace("\n)", "")


@dataclass(frozen=True, eq=False, repr=False)
class Odd(Result):
    AXES: ClassVar = {"values": "row"}

    values: NDArray[np.float64]
    nothing: None
    number: np.float32
    big: int
    found: dict[str, int]
    short: tuple[int, ...]
    long: tuple[float, ...]
    none: tuple[str, ...]
    other: object


def test_what_a_result_may_hold_is_shown() -> None:
    one = Odd(np.ones(3), None, np.float32(1 / 3), 7, {"a": 1}, (1,), (0.0,) * 7, (), object())
    assert repr(one).splitlines() == [
        "Odd(",
        "    values=float64 (3,),",
        "    nothing=None,",
        "    number=0.3333,",
        "    big=7,",
        "    found=1 entries,",
        "    short=(1,),",
        "    long=7 x float,",
        "    none=(),",
        "    other=object,",
        ")",
    ]


def test_saved_results_are_read_as_before_and_print_the_same(tmp_path: Path) -> None:
    kept: list[Any] = [collection(), fooling_result(), made.universal_result()]
    for one in kept:
        save_result(tmp_path / "result.h5", one, {})
        loaded = load_result(tmp_path / "result.h5", type(one))
        assert repr(loaded) == repr(one)
        pd.testing.assert_frame_equal(loaded.to_pandas(), one.to_pandas())


def test_nested_results_are_named_as_the_way_out() -> None:
    spectrum = singular_spectrum(ROWS)
    empty = dict.fromkeys(field.name for field in fields(SpectrumResult))
    whole = SpectrumResult(**{**empty, "spectrum": spectrum, "seed": 3})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a SpectrumResult without.*its parts: `spectrum`\."):
        whole.to_xarray()
    assert whole.to_pandas()["spectrum_count"].tolist() == [5]
    with pytest.raises(InputError, match=r"use `to_pandas`\."):
        compare(rate(), rate()).to_xarray()
    with pytest.raises(InputError, match=r"UniversalResult without.*`found`, `noise`"):
        made.universal_result().to_xarray()


@pytest.mark.parametrize(("package", "convert"), [("pandas", "to_pandas"), ("xarray", "to_xarray")])
def test_a_missing_package_is_named(
    package: str, convert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package} .*boundary-geometry\[tables\]"):
        getattr(points(), convert)()
