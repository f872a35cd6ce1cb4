"""The charts of the report whose values can be read off: singular values and fooling rates.

They are Bokeh's, as JSON that its library draws in the page. No code is made from data, so that
the page can refuse every script but its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from bokeh.embed import json_item
from bokeh.models.annotations import Legend, LegendItem, Span
from bokeh.models.formatters import BasicTickFormatter
from bokeh.models.renderers import GlyphRenderer
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tickers import FixedTicker
from bokeh.models.tools import HoverTool
from bokeh.plotting import figure as Chart  # noqa: N812
from bokeh.resources import Resources
from numpy.typing import NDArray

from analysis.fooling import FoolingRate
from analysis.nulls import Null, marchenko_pastur_values
from analysis.perturbations import SPHERE
from analysis.results import FoolingResult, SpectrumResult
from figures.families import label_with_dimension
from figures.family import SUBSPACES, Family, family
from figures.fooling import is_wide
from figures.formats import number, percent, percent_interval, prose
from figures.listed import NULL_LABELS
from figures.rates import ranked_rates, rates_by_dimension, rates_by_norm, reference_rate
from figures.spectrum import shown_places
from figures.style import BLACK, BLUE, NULL_COLOURS

MARKER = "marker"
"""Name of the line in a chart that a slider moves."""
INK = "ink"
"""Tag of what is drawn in the colour of the page's text."""

_HEIGHT = 320
"""Of the frame, CSS pixels."""
_FEW_DECADES = 2.2
"""Of an axis that has room for 1, 2, 5, 10 in place of 1, 10, 100."""
_MARKERS = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "^": "triangle",
    "v": "inverted_triangle",
    "x": "x",
    "*": "star",
    "P": "cross",
    "X": "asterisk",
    "p": "hex",
    "h": "hex_dot",
}
_DASHES = {"-": "solid", "--": "dashed", "-.": "dashdot", ":": "dotted"}


Values = Sequence[float] | NDArray[Any]


class _Entry(NamedTuple):
    """A line of the legend, and what it hides."""

    label: str
    drawn: list[GlyphRenderer[Any]]


def chart_library() -> str:
    """Return the script that draws the charts, to be held by the page."""
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def spectrum_chart(result: SpectrumResult) -> dict[str, Any]:
    """Return the singular values over their index, read off beside every null's band."""
    spectrum = result.spectrum
    places = shown_places(result)
    values = spectrum.singular_values[places]
    chart = _chart("index of singular value", "singular value (dimensionless)", places + 1, values)
    bands = [_draw_null(chart, null, places) for null in result.nulls]
    law = marchenko_pastur_values(spectrum.count, spectrum.dimension)[places]
    dashed = chart.line((places + 1).tolist(), law, line_dash="dashed")
    dashed.glyph.tags = [INK]
    columns: dict[str, Any] = {
        "index": places + 1,
        "value": values,
        "normals": [number(value) for value in values.tolist()],
        **{null.name: _band_texts(null, places) for null in result.nulls},
    }
    line = chart.line("index", "value", source=ColumnDataSource(columns), color=BLUE, line_width=2)
    nulls = [(NULL_LABELS[null.name], f"@{null.name}") for null in result.nulls]
    _add_tip(chart, line, [("index", "@index"), ("normals", "@normals"), *nulls])
    entries = [_Entry("normals", [line]), *bands, _Entry("Marchenko–Pastur law", [dashed])]
    return _finished(chart, entries, marker=True)


def _draw_null(chart: Chart, null: Null, places: NDArray[np.intp]) -> _Entry:
    low, high = null.band
    within = places[places < len(low)]
    source = ColumnDataSource({"index": within + 1, "low": low[within], "high": high[within]})
    colour = NULL_COLOURS[null.name]
    area = chart.varea("index", "low", "high", source=source, color=colour, alpha=0.45)
    edge = chart.line("index", "high", source=source, color=colour, line_width=1.3)
    return _Entry(f"{NULL_LABELS[null.name]} ({len(null.singular_values)})", [area, edge])


def _band_texts(null: Null, places: NDArray[np.intp]) -> list[str]:
    low, high = (end.tolist() for end in null.band)
    return [
        f"{number(low[place])} to {number(high[place])}" if place < len(low) else "–"
        for place in places
    ]


def norm_chart(result: FoolingResult) -> dict[str, Any]:
    """Return the fooling rate of every family over the norm, not clipped."""
    families = [rate.family for rate in ranked_rates(result, clipped=False)]
    found = {name: rates_by_norm(result, name, False) for name in families}
    norms = [rate.norm for rates in found.values() for rate in rates]
    chart = _chart("norm (input units)", "fooling rate (%)", norms if is_wide(norms) else ())
    entries = [
        _Entry(
            label_with_dimension(family(name), result),
            _draw_rates(chart, [rate.norm for rate in rates], rates, family(name)),
        )
        for name, rates in found.items()
    ]
    _read_off(chart, "norm", {name: [(rate.norm, rate) for rate in found[name]] for name in found})
    reference = Span(location=result.reference_norm, dimension="height", line_dash="dotdash")
    reference.tags = [INK]
    chart.add_layout(reference)
    return _finished(chart, entries)


def dimension_chart(result: FoolingResult) -> dict[str, Any]:
    """Return the fooling rate at the reference norm over R, beside that of the sphere."""
    found = {name: rates_by_dimension(result, name) for name in SUBSPACES}
    R = {name: [float(rate.subspace_dimension) for rate in found[name]] for name in found}
    every = [dimension for dimensions in R.values() for dimension in dimensions]
    chart = _chart("R, dimension of the subspace", "fooling rate (%)", every)
    entries = [
        _Entry(family(name).label, _draw_rates(chart, R[name], rates, family(name)))
        for name, rates in found.items()
        if rates
    ]
    places = {name: [*zip(R[name], found[name], strict=True)] for name in found}
    sphere = reference_rate(result, SPHERE, False)
    if sphere is not None and every:
        places[SPHERE] = [(dimension, sphere) for dimension in every]
        ends = [min(every), max(every)]
        drawn = _draw_rates(chart, ends, [sphere, sphere], family(SPHERE))
        label = f"{family(SPHERE).label}, R = D = {sphere.subspace_dimension}"
        entries.append(_Entry(label, drawn))
    _read_off(chart, "R", places)
    return _finished(chart, entries, marker=True)


def _chart(x: str, y: str, log_x: Values = (), log_y: Values = ()) -> Chart:
    """Return an empty chart; an axis is logarithmic where its values are given."""
    chart = Chart(
        x_axis_type="log" if len(log_x) else "linear",
        y_axis_type="log" if len(log_y) else "linear",
        x_axis_label=x,
        y_axis_label=y,
        frame_height=_HEIGHT,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset",
        active_drag=None,
        active_scroll=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
    )
    chart.toolbar.logo = None
    for axis in chart.axis:
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
    for axis, values in ((chart.xaxis[0], log_x), (chart.yaxis[0], log_y)):
        if len(values):
            axis.formatter = BasicTickFormatter()
            axis.ticker = _log_ticker(values)
    return chart


def _log_ticker(values: Values) -> FixedTicker:
    """Return plain numbers for a logarithmic axis, also beyond its values: a reader may move it."""
    few = np.log10(max(values) / min(values)) < _FEW_DECADES
    middle = round(np.log10(values[0]))
    return FixedTicker(
        ticks=[
            step * 10.0**power
            for power in range(middle - 6, middle + 7)
            for step in ((1, 2, 5) if few else (1,))
        ]
    )


def _draw_rates(
    chart: Chart, where: Sequence[float], rates: Sequence[FoolingRate], look: Family
) -> list[GlyphRenderer[Any]]:
    """Draw rates with their intervals.

    Returns:
        The points first, then their line and the intervals.
    """
    intervals = [rate.interval for rate in rates]
    source = ColumnDataSource(
        {
            "where": list(where),
            "rate": [100 * rate.rate for rate in rates],
            "low": [100 * interval.low for interval in intervals],
            "high": [100 * interval.high for interval in intervals],
        }
    )
    style: dict[str, Any] = {"source": source, "color": look.colour}
    if look.colour == BLACK:
        style["tags"] = [INK]
    points = chart.scatter("where", "rate", marker=_MARKERS[look.marker], size=8, **style)
    line = chart.line("where", "rate", line_dash=_DASHES[look.line], line_width=1.6, **style)
    bars = chart.segment("where", "low", "where", "high", line_width=1, **style)
    return [points, line, bars]


def _read_off(chart: Chart, where: str, places: dict[str, list[tuple[float, FoolingRate]]]) -> None:
    """Have a chart tell the rates of all families at the place that is pointed at.

    Args:
        chart: With the rates drawn.
        where: What its horizontal axis is, in a word.
        places: Of each family, places on the axis and the rates there.
    """
    every = sorted({place for found in places.values() for place, _ in found})
    columns: dict[str, Any] = {"where": every, "at": [number(place) for place in every]}
    tops = dict.fromkeys(every, 0.0)
    rows = [(where, "@at")]
    for turn, (name, found) in enumerate(places.items()):
        told = dict.fromkeys(every, "–")
        for place, rate in found:
            told[place] = f"{percent(rate.rate)} ({percent_interval(rate.interval)})"
            tops[place] = max(tops[place], 100 * rate.rate)
        columns[f"family{turn}"] = [*told.values()]
        rows += [(family(name).label, f"@family{turn}")] * bool(found)
    source = ColumnDataSource({**columns, "top": [*tops.values()]})
    _add_tip(chart, chart.line("where", "top", source=source, alpha=0), rows)


def _add_tip(chart: Chart, line: GlyphRenderer[Any], rows: Sequence[tuple[str, str]]) -> None:
    """Show names and columns of a line's source at the point of it nearest to the pointer."""
    cells = "".join(f"<tr><td>{_literal(name)}</td><td>{column}</td></tr>" for name, column in rows)
    tip = f"<table style='border-spacing: .8em 0; margin: 0 -.5em'>{cells}</table>"
    hover = HoverTool(renderers=[line], tooltips=tip, mode="vline", line_policy="nearest")
    chart.add_tools(hover)


def _literal(name: str) -> str:
    """Return a name as markup in which no column is meant."""
    return str(prose(name)).replace("@", "&#64;").replace("$", "&#36;")


def _finished(chart: Chart, entries: Sequence[_Entry], *, marker: bool = False) -> dict[str, Any]:
    """Give a chart its legend, whose lines hide what they name, and return it as JSON.

    Args:
        chart: With all that it draws.
        entries: Of its legend.
        marker: Whether a slider moves a line in it.

    Returns:
        What ``Bokeh.embed.embed_item`` takes.
    """
    if marker:
        line = Span(location=1, dimension="height", name=MARKER, line_width=1.5)
        line.tags = [INK]
        chart.add_layout(line)
    items = [LegendItem(label={"value": label}, renderers=drawn) for label, drawn in entries]
    legend = Legend(items=items, click_policy="hide", border_line_color=None, spacing=8)
    legend.background_fill_color = None
    legend.location = "top_left"
    chart.add_layout(legend, "below")
    return dict(json_item(chart))
