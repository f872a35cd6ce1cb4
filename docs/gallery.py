"""Draw every figure of the report from runs, for the documentation.

    python docs/gallery.py RUN [RUN ...]

A figure is drawn from the first run that has it, images themselves from one of the built-in digits
alone: others are not ours to show. Written are `docs/figures/gallery/*.png` and
`docs/gallery.md`; of a run only names, counts and the seed are told, never a path.
"""

import json
import sys
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any

from PIL import Image

from figures.plates import PLATES, Plate
from figures.run_results import RunResults
from figures.style import save_figure

DOCS = Path(__file__).parent
PICTURES = DOCS / "figures" / "gallery"
SHOWING_IMAGES = {"examples"}
SHRUNK = 0.6
"""Of 300 points an inch."""
COLOURS = 256

HEAD = """\
# Gallery

Every figure that `boundary figures RUN` draws and `report.html` shows, under the name that `--only`
takes, with how to read it; the plates are drawn from these runs (`python docs/gallery.py RUN ...`):

| run | normals of | fooling rates on | seed |
|---|---|---|---|
"""


class _Run:
    """A run that figures are drawn from."""

    def __init__(self, directory: Path) -> None:
        self.results = RunResults.read(directory)
        facts = json.loads((directory / "provenance.json").read_text(encoding="utf-8"))
        model, self.images = (Path(facts[part]["name"]).name for part in ("model", "images"))
        self.name = f"{model} on {self.images}"
        counts = facts["images"]
        self.row = (
            f"| {self.name} | {counts['collected']} images | {counts['evaluated']} others "
            f"| {facts['seed']} |\n"
        )

    def may_show(self, plate: Plate) -> bool:
        """Return whether the figure is there, and may be shown."""
        own = self.images == "digits" or plate.name not in SHOWING_IMAGES
        return own and plate.there(self.results)


def main(directories: list[str]) -> None:
    """Draw the figures, and write the page."""
    runs = [_Run(Path(directory)) for directory in directories]
    PICTURES.mkdir(parents=True, exist_ok=True)
    page = HEAD + "".join(run.row for run in runs)
    for plate in PLATES:
        run = next((run for run in runs if run.may_show(plate)), None)
        if run is None:
            sys.exit(f"No run has the figure `{plate.name}`.")
        draw(plate, run.results)
        page += (
            f"\n## {plate.title}\n\n![{plate.title}](figures/gallery/{plate.name}.png)\n\n"
            f"{fill(plate.how_to_read, 110)}\n\n`{plate.name}`, drawn from {run.name}.\n"
        )
    (DOCS / "gallery.md").write_text(page, encoding="utf-8")


def draw(plate: Plate, results: Any) -> None:
    """Write a figure as a small picture."""
    path = PICTURES / f"{plate.name}.png"
    save_figure(plate.draw(results), path)
    picture = Image.open(BytesIO(path.read_bytes())).convert("RGB")
    width, height = (round(SHRUNK * side) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.LANCZOS)
    few = small.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
