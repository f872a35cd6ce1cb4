"""The README and the pages of docs/: examples run, links lead somewhere, commands are commands."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_table import results

import analysis
import boundary
import figures
from analysis.saved import save_result
from boundary import Classifier, collect_normals, load_model, open_images
from figures.export import csv_text
from figures.plates import PLATES
from figures.table import table_of_run
from made import universal_result
from study.parser import COMMANDS, build_parser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    if "_build" not in page.parts
)
EXAMPLES = {
    "README.md": (1, r"^[1-9]\d* singular values stand above(.|\n)*subspace 0\.(.|\n)*_interval"),
    "docs/curvature.md": (1, r"^largest principal curvature"),
    "docs/extend.md": (
        3,
        r"^low frequencies 0\.(.|\n)*stand above shifted(.|\n)*own\.pdf .*own\.png",
    ),
    "docs/many-processes.md": (1, ""),
    "docs/own-images.md": (2, ""),
    "docs/own-model.md": (3, r"tensor\("),
    "docs/paper.md": (1, r"energy over that of a rival/matched noise"),
    "docs/perturbations.md": (1, r"^subspace less sphere 0\."),
    "docs/python.md": (3, r"^energy 0\.\d+, at random 0\.078(.|\n)*universal smooth_rate"),
    "docs/spectrum.md": (1, r"^\d+ values stand above smooth noise"),
    "docs/universal.md": (1, r"^\d+ of 300 other images"),
}
"""How many examples in Python a page has, and what they print."""


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what examples take for granted: a run, and pictures."""
    folder = tmp_path_factory.mktemp("examples") / "ground"
    classifier = Classifier(load_model("digits").module)
    collect_normals(classifier, open_images("digits"), folder / "RUN/normals", positions=range(50))
    save_result(folder / "RUN/universal.h5", universal_result(), {})
    pixels = np.random.default_rng(0).integers(0, 256, (20, 260, 300, 3), dtype=np.uint8)
    for place, picture in enumerate(pixels):
        path = folder / "photos" / ("cat", "dog")[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    (folder / "RUN/study.yaml").write_text("collect: 50\n")
    (folder / "RUN/numbers.csv").write_text(csv_text(table_of_run(results())))
    return folder


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_python_of_a_page_runs(
    page: str,
    ground: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = shutil.copytree(ground, tmp_path / "own")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    count, printed = EXAMPLES[page]
    examples = re.findall(r"```python\n(.*?)```", read(page), re.DOTALL)
    assert len(examples) == count
    names: dict[str, object] = {}
    for code in examples:
        if file := re.match(r"# (\w+\.py)\n", code):
            Path(file[1]).write_text(code, encoding="utf-8")
        else:
            exec(compile(code, page, "exec"), names)
    assert re.search(printed, capsys.readouterr().out, re.MULTILINE)


def test_no_page_has_examples_that_are_not_run() -> None:
    assert [page for page in PAGES if "```python" in read(page)] == sorted(EXAMPLES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = []
    for target in links(read(page)):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def links(text: str) -> list[str]:
    """Return the relative targets of links and pictures outside code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if ":" not in target]


def anchors(file: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each whole command of a page, without the word ``boundary``."""
    found = re.findall(r"^ {4}boundary (.*)$", text, re.MULTILINE)
    found += re.findall(r"`boundary ([^`]*)`", text)
    found += re.findall(r"-m study (.*?)(?:`|$)", text, re.MULTILINE)
    for line in found:
        words = shlex.split(re.sub(r"\[OTHER \.\.\.\]|\.\.\.", "", line), comments=True)
        named = len(words) == 1 and words[0] not in {"run", "collect"}
        if words and words[0] in COMMANDS and not named and "--help" not in words:
            yield words


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_commands_are_understood(
    page: str, ground: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ground)  # settings are read from RUN/study.yaml
    refused = []
    for words in commands(read(page)):
        try:
            build_parser().parse_args(words, defaults=False)
        except SystemExit:
            refused.append((words, capsys.readouterr().err))
    assert not refused


def test_the_commands_of_the_readme_are_found() -> None:
    assert len(list(commands(read("README.md")))) > 12


def test_the_gallery_has_every_figure() -> None:
    shown = re.findall(r"\(figures/gallery/(\w+)\.png\)", read("docs/gallery.md"))
    assert shown == [plate.name for plate in PLATES]
    assert {path.stem for path in (DOCS / "figures/gallery").iterdir()} == set(shown)


def test_the_gallery_says_how_to_read_as_the_report_does() -> None:
    text = " ".join(read("docs/gallery.md").split())
    assert [plate.name for plate in PLATES if plate.how_to_read not in text] == []


def test_every_public_name_has_its_place_in_the_reference() -> None:
    told = " ".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    public = [
        f"{package.__name__}.{name}"
        for package in (boundary, analysis, figures)
        for name in package.__all__
    ]
    assert [name for name in public if not re.search(rf":: {re.escape(name)}$", told, re.M)] == []
