"""The numbers beside a figure are those that it shows."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from boundary import InputError
from figures.drawn import csv_text
from figures.export import FORMATS, save_plate, write_figures


def panel() -> tuple[Figure, Axes]:
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlabel="norm (input units)", ylabel="rate (%)")
    axes.set_title("held-out\nimages", loc="left")
    return figure, axes


def read(figure: Figure) -> list[dict[str, str]]:
    figure.draw_without_rendering()
    return list(csv.DictReader(StringIO(csv_text(figure))))


def test_a_line_its_band_and_a_rule() -> None:
    figure, axes = panel()
    axes.plot([1, 2], [0.25, 0.5], color="#0072b2", label="S_f")
    axes.plot([1, 2], [0.1, np.nan], color="#0072b2", ls="--")
    axes.fill_between([1, 2], [0.2, 0.4], [0.3, 0.6], color="#0072b2", alpha=0.2)
    axes.axhline(0.125, color="black", ls=":")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    axes.legend()
    rows = read(figure)
    assert {(row["panel"], row["title"]) for row in rows} == {("1", "held-out images")}
    assert {row["x_label"] for row in rows} == {"norm (input units)"}
    told = [(row["series"], row["kind"], row["x"], row["y"]) for row in rows]
    assert told == [
        ("S_f", "line", "1.0", "25.0"),
        ("S_f", "line", "2.0", "50.0"),
        ("", "line", "1.0", "10.0"),  # other dashes: another series, which has no name
        ("S_f", "band", "1.0", ""),
        ("S_f", "band", "2.0", ""),
        ("", "line", "", "12.5"),
    ]
    assert [(row["y_low"], row["y_high"]) for row in rows[3:5]] == [
        ("20.0", "30.0"),
        ("40.0", "60.0"),
    ]


def test_intervals_along_both_axes() -> None:
    figure, axes = panel()
    axes.errorbar(
        [1, 2],
        [3, 4],
        xerr=[[0.5, 0.5], [0.25, 0.25]],
        yerr=1,
        fmt="o",
        color="#d55e00",
        label="S_c",
    )
    first, second = read(figure)
    assert (first["series"], first["x"], first["y"]) == ("S_c", "1.0", "3.0")
    assert (first["x_low"], first["x_high"]) == ("0.5", "1.25")
    assert (second["y_low"], second["y_high"]) == ("3.0", "5.0")


def test_bars_of_classes_points_and_cells() -> None:
    figure, axes = panel()
    axes.barh([0, 1], [5, 7], color="#009e73")
    axes.set_yticks([0, 1], ["cat", "dog"])
    assert [(row["kind"], row["x"], row["y"]) for row in read(figure)] == [
        ("bar", "5.0", "cat"),
        ("bar", "7.0", "dog"),
    ]
    figure, axes = panel()
    axes.bar([1, 2], [5, 7], width=0.5)
    axes.scatter([3], [4], label="images")
    assert [(row["kind"], row["series"], row["x"], row["y"]) for row in read(figure)] == [
        ("bar", "", "1.0", "5.0"),
        ("bar", "", "2.0", "7.0"),
        ("points", "images", "3.0", "4.0"),
    ]
    figure, axes = panel()
    axes.imshow([[1.0, 2.0], [3.0, 4.5]])
    axes.set_xticks([0, 1], ["A", "B"])
    axes.text(0, 1, "own\nmodel")
    rows = read(figure)
    assert [(row["x"], row["y"], row["value"]) for row in rows] == [
        ("A", "0.0", "1.0"),
        ("B", "0.0", "2.0"),
        ("A", "1.0", "3.0"),
        ("B", "1.0", "4.5"),
        ("A", "1.0", "own model"),
    ]


def test_a_picture_has_no_numbers(tmp_path: Path) -> None:
    figure, axes = panel()
    axes.imshow(np.zeros((4, 4, 3)))
    figure.draw_without_rendering()
    assert csv_text(figure) == ""
    assert [path.name for path in save_plate("examples", figure, tmp_path / "new", FORMATS)] == [
        "examples.pdf",
        "examples.png",
        "examples.svg",
    ]


def test_formats_that_are_not_known_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`format` should be one of pdf, png, svg. Found 'gif'"):
        write_figures(tmp_path, formats=["gif"])
