"""The report of a run: figures, one self-contained page, and every number as CSV, JSON and TeX.

Everything is read from the run directory. Names of models, classes and images, the configuration
and the provenance are a stranger's text: the page escapes them and the figures draw them as they
are.
"""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Any

from analysis.answers import answers
from boundary.errors import StoreError
from boundary.files import write_text
from figures import charts
from figures.export import chosen_plates, csv_text
from figures.findings import list_findings
from figures.latex import latex_macros, latex_report
from figures.listed import listed_tables
from figures.page import Script, drawn_plate, page_script, write_page
from figures.run_results import OPTIONAL, RunResults
from figures.sliders import dimension_steps, vector_steps
from figures.table import numbers_of, table_of_run

MAIN_FIGURES = (("spectrum",), ("causes", "families", "fooling_dimension"), ("endpoints",))
"""Of each question, those that are not in the appendix."""
_UNREADABLE_SHOWN = 50
_NOT_RECORDED = "not recorded"


def write_report(directory: Path, optional: Collection[str] = OPTIONAL) -> Path:
    """Write the figures of a run, ``report.html``, ``report.tex`` and ``numbers.csv``.

    The title is read from the provenance: ``model`` and ``images`` (a text, or a mapping with a
    ``name`` or a ``spec``), and the latest time at which one of its ``stages`` ``finished``.

    Args:
        directory: Of the run: ``collect.h5``, ``spectrum.h5``, ``universal.h5``, ``fooling.h5``,
            ``curvature.h5``, ``study.yaml`` and ``provenance.json``.
        optional: Stages whose results are shown too, where they are there.

    Returns:
        The path of the page.

    Raises:
        StoreError: If one of the files is missing or damaged.
    """
    results = RunResults.read(directory, optional)
    study = _read_text(directory / "study.yaml")
    provenance = _read_json(directory / "provenance.json")
    table = table_of_run(results)
    class_names = results.fooling.class_names
    found = answers(results.universal, results.fooling, results.curvature)
    findings = list_findings(results.collection, found, class_names, results.transfer)
    numbers = {"answers": found, "summary": findings.summary, "numbers": numbers_of(table)}
    main = [name for names in MAIN_FIGURES for name in names]
    chosen = sorted(chosen_plates(results), key=lambda plate: plate.name not in main)
    plates = [
        {**drawn_plate(plate, results, directory / "figures", table), "number": place}
        for place, plate in enumerate(chosen, start=1)
    ]
    context = {
        "findings": findings,
        "listed": listed_tables(table, class_names),
        "results": results,
        "study": study,
        "provenance": provenance,
        "model": _name(provenance.get("model")),
        "images": _name(provenance.get("images")),
        "date": _date(provenance),
        "plates": plates,
        "main": [
            (one, [plate for plate in plates if plate["name"] in shown])
            for one, shown in zip(findings.answers, MAIN_FIGURES, strict=True)
        ],
        "others": [plate for plate in plates if plate["name"] not in main],
        "explored": _explored(results),
        "kept": len(results.spectrum.spectrum.directions),
        "colours": results.spectrum.image_shape[0] == 3,
        "unreadable": results.collection.unreadable[:_UNREADABLE_SHOWN],
        "run": quote(directory.resolve().name),
        "again": quote(f"{directory.resolve().name}-again"),
    }
    write_text(directory / "numbers.json", json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    write_text(directory / "numbers.csv", csv_text(table))
    write_text(directory / "numbers.tex", latex_macros(table))
    write_text(directory / "report.tex", latex_report(context))
    page = directory / "report.html"
    write_page(
        page,
        context,
        scripts=[Script(charts.chart_library()), page_script("explore.js")],
    )
    return page


def _explored(results: RunResults) -> dict[str, Any]:
    """Return what the page's script shows: charts by name, and the steps of its sliders."""
    spectrum, fooling = results.spectrum, results.fooling
    return {
        "charts": {
            "spectrum": charts.spectrum_chart(spectrum),
            "dimension": charts.dimension_chart(fooling),
            "norm": charts.norm_chart(fooling),
        },
        "vectors": vector_steps(spectrum),
        "dimensions": dimension_steps(spectrum, fooling),
    }


def _name(value: Any) -> str:
    """Return the name in a part of the provenance: a text, or a mapping with a name or a spec."""
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("spec")
    return value if isinstance(value, str) and value else _NOT_RECORDED


def _date(provenance: Mapping[str, Any]) -> str:
    """Return when the last stage finished."""
    stages = provenance.get("stages")
    facts = stages.values() if isinstance(stages, Mapping) else ()
    times = [
        str(fact["finished"]) for fact in facts if isinstance(fact, Mapping) and "finished" in fact
    ]
    try:
        return f"{datetime.fromisoformat(max(times)):%d %B %Y, %H:%M %Z}".lstrip("0")
    except ValueError:  # none, or not a time
        return _NOT_RECORDED


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"`{path}` cannot be read: {error}.") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"`{path}` is damaged: {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"`{path}` is damaged: it should hold a mapping.")
    return found
