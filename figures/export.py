"""The figures of a run as files, each with what it shows as CSV beside it."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from boundary.errors import InputError, did_you_mean
from boundary.files import write_text
from figures.plates import PLATES, Plate
from figures.run_results import OPTIONAL, RunResults
from figures.style import save_figure
from figures.table import table_of_run

FORMATS = ("pdf", "png", "svg")
"""That figures can have; the first two are what a report writes."""


def write_figures(
    directory: Path,
    folder: Path | None = None,
    *,
    only: Sequence[str] = (),
    formats: Sequence[str] = FORMATS[:2],
    optional: Collection[str] = OPTIONAL,
) -> list[Path]:
    """Draw figures of a run into files.

    Args:
        directory: Of the run, with the results of its stages up to fooling.
        folder: Where the files go, made if need be; by default ``directory / "figures"``.
        only: Names of the figures, or how names begin; by default all that the run has.
        formats: Of each: ``pdf``, ``png``, ``svg``.
        optional: Stages whose results are drawn too, where they are there.

    Returns:
        What was written, the CSV of a figure after its pictures.

    Raises:
        InputError: If a name or a format is not known, or the run has no such figure.
        StoreError: If a result is missing or damaged.
    """
    for kind in formats:
        if kind not in FORMATS:
            raise InputError(f"`format` should be one of {', '.join(FORMATS)}. Found {kind!r}.")
    results = RunResults.read(directory, optional)
    folder = directory / "figures" if folder is None else folder
    written: list[Path] = []
    table = table_of_run(results)
    for plate in chosen_plates(results, only):
        rows = table[table["quantity"].isin(plate.quantities)]
        written += save_plate(plate.name, plate.draw(results), folder, formats, rows)
    return written


def chosen_plates(results: RunResults, only: Sequence[str] = ()) -> list[Plate[RunResults]]:
    """Return the figures that a run has, or those of them that are asked for.

    Raises:
        InputError: If none has such a name.
    """
    there = [plate for plate in PLATES if plate.there(results)]
    for name in only:
        if not any(plate.name.startswith(name) for plate in there):
            known = [plate.name for plate in there]
            raise InputError(
                f"`only` should name figures of the run, which are {', '.join(known)}. "
                f"Found {name!r}{did_you_mean(name, known) or '.'}"
            )
    return [plate for plate in there if not only or plate.name.startswith(tuple(only))]


def save_plate(
    name: str,
    figure: Figure,
    folder: Path,
    formats: Sequence[str],
    rows: pd.DataFrame | None = None,
) -> list[Path]:
    """Write a drawn figure in several formats, and its numbers as CSV where it has any.

    Args:
        name: Of the files.
        figure: That was drawn.
        folder: Made if need be.
        formats: Of `FORMATS`.
        rows: Of the table of the run, those that the figure shows.

    Returns:
        The files, the CSV last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.{kind}" for kind in formats]
    for path in written:
        save_figure(figure, path)
    if rows is not None and len(rows):
        written.append(folder / f"{name}.csv")
        write_text(written[-1], csv_text(rows))
    return written


def csv_text(rows: pd.DataFrame) -> str:
    """Return rows of a table as CSV, columns that are empty left out, nothing a formula."""
    told = rows.dropna(axis=1, how="all")
    texts = told.select_dtypes(exclude="number").columns
    safe = {name: told[name].map(csv_label, na_action="ignore") for name in texts}
    return str(told.assign(**safe).to_csv(index=False, float_format="%.12g"))


def csv_label(text: object) -> object:
    """Return a stranger's text on one line, and as no formula of a spreadsheet."""
    if not isinstance(text, str):
        return text
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
