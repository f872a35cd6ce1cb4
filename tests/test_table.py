"""Every number of a run stands once, is that of the results, and cannot harm a spreadsheet."""

import csv
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from figures.export import csv_text
from figures.latex import cited
from figures.listed import listed_tables
from figures.run_results import RunResults
from figures.table import COLUMNS, KEYS, PRIMARY, numbers_of, table_of_run
from made import curvature_result, transfer_result, universal_result
from test_report import HOSTILE, collection_result, fooling_result, spectrum_result


def results() -> RunResults:
    return RunResults(
        collection_result(),
        spectrum_result(),
        universal_result(HOSTILE),
        fooling_result(),
        curvature_result(),
        transfer_result(),
    )


def test_a_number_stands_once_and_has_a_name_of_its_own() -> None:
    table = table_of_run(results())
    assert list(table.columns) == list(COLUMNS)
    assert not table.duplicated(["quantity", *KEYS]).any()
    names = list(table["key"])
    assert len(set(names)) == len(names) > 500
    assert all(name.isascii() and not {"{", "}", "%", "#", "\\"} & set(name) for name in names)
    assert 100 < len(cited(table)) < 400


def test_numbers_are_those_of_the_results() -> None:
    found, run = numbers_of(table_of_run(results())), results()
    shared = run.fooling.shared.smoothness
    row = found["energy over that of a rival/matched noise/R 10"]
    assert (row["value"], row["low"], row["role"]) == (shared.value, shared.low, PRIMARY)
    weakest = run.fooling.beyond_noise.differences[1]
    row = found["fooling rate beyond matched noise/matched noise of its own best R/R 2"]
    assert (row["value"], row["high"]) == (weakest.estimate, weakest.interval.high)
    accuracy = found["clean accuracy"]
    assert (accuracy["value"], accuracy["n"]) == (0.9, 50)
    values = run.spectrum.spectrum.singular_values
    shown = [found[f"singular value/index {place}"]["value"] for place in (1, 10)]
    assert shown == [values[0], values[9]]
    assert "singular value/index 11" not in found
    energy = run.spectrum.energy
    assert found["captured energy/R 5/held out"]["value"] == energy.mean[4]
    (first, *_) = run.curvature.curves
    keys = (first.family, first.anchor, first.estimator, first.surface)
    told = found["/".join(["mean curvature", *keys, f"scale {first.scales[0]:g}"])]
    assert told["value"] == pytest.approx(first.mean[0])
    assert run.transfer is not None
    rate = run.transfer.matrices[0].at(0, 1)
    assert rate.rate in [row["value"] for name, row in found.items() if "net -b-" in name]


def test_what_is_not_finite_is_left_out_and_one_end_is_told() -> None:
    run = replace(results(), collection=replace(collection_result(), judged=0))
    table = table_of_run(run)
    assert "clean accuracy" not in set(table["quantity"])
    assert not np.isinf(table["high"].to_numpy(dtype=float)).any()
    for listed in listed_tables(table, HOSTILE):
        assert all(len(row) == len(listed.head) for row in listed.rows)
        assert not any("nan" in cell for row in listed.rows for cell in row)


def test_no_cell_is_a_formula() -> None:
    table = table_of_run(results())
    table.loc[0, "family"] = '=HYPERLINK("x")\nnext'
    rows = list(csv.DictReader(StringIO(csv_text(table))))
    assert rows[0]["family"] == '\'=HYPERLINK("x") next'
    assert float(rows[5]["value"]) == pytest.approx(table["value"][5])
    assert "made_on" in rows[0]
    assert "third" not in csv.DictReader(StringIO(csv_text(table[:3]))).fieldnames  # type: ignore[operator]
