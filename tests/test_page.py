"""The report in a browser: what it asks for, what a reader can do with it, and what it refuses."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from analysis.results import FoolingResult, SpectrumResult
from analysis.saved import load_result
from figures import write_report
from figures.compared import Comparison
from figures.comparison import PAGE, write_comparison
from figures.formats import number, percent
from figures.rates import rates_by_dimension
from study.cli import main
from test_compare import STRANGERS, made_run, of_strangers
from test_report import write_inputs

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium")

SMALL = (
    *("--collect=60", "--evaluate=20", "--untrained=1", "--universal.gradients=200"),
    *("--fooling.draws=2", "--spectrum.null_draws=2", "--spectrum.splits=2"),
)
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 360, "height": 740}
SECONDS = 1000
PATIENCE = 120 * SECONDS


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a small run of the digits."""
    directory = tmp_path_factory.mktemp("page") / "run"
    assert main(["run", *SMALL, "--out", str(directory)]) == 0
    return directory


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory whose names are markup, and scripts."""
    directory = tmp_path_factory.mktemp("hostile")
    write_inputs(directory)
    write_report(directory)
    return directory


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking"],
            timeout=PATIENCE,
        )
        yield opened
        opened.close()


@contextmanager
def opened(browser: Any, run: Path, **options: Any) -> Iterator[Any]:
    """Open the page of a run, or of several; nothing is asked of elsewhere, or said."""
    page = browser.new_page(**{"viewport": WIDE, "color_scheme": "light", **options})
    page.set_default_timeout(PATIENCE)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    report = run / "report.html"
    page.goto((report if report.exists() else run / PAGE).as_uri())
    if report.exists() and options.get("java_script_enabled", True):
        page.wait_for_selector("html[data-explored]")
    yield page
    assert [line for line in said if line.startswith(("error", "warning"))] == []
    assert [url for url in asked[1:] if not url.startswith(("data:", "blob:"))] == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("kind", ["real", "hostile"])
def test_it_opens_without_a_word_and_fits_the_window(
    browser: Any, kind: str, viewport: dict[str, int], scheme: str, request: Any
) -> None:
    run = request.getfixturevalue(kind)
    with opened(browser, run, viewport=viewport, color_scheme=scheme) as page:
        assert page.locator("#explore canvas").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = background == "rgb(253, 253, 252)"
        assert light == (scheme == "light")


def test_the_answers_are_on_the_first_screen(browser: Any, real: Path) -> None:
    with opened(browser, real, viewport=WIDE) as page:
        places = [one.bounding_box() for one in page.locator(".answers article").all()]
        assert len(places) == 3
        assert len({place["y"] for place in places}) == 1
        for one in page.locator(".answers .answer").all():
            assert one.bounding_box()["y"] < WIDE["height"]
    with opened(browser, real, viewport=PHONE) as page:
        places = [one.bounding_box() for one in page.locator(".answers article").all()]
        assert [place["y"] for place in places] == sorted({place["y"] for place in places})
        assert page.locator(".answers .answer").first.bounding_box()["y"] < PHONE["height"]


def test_what_is_folded_is_open_on_paper(browser: Any, real: Path) -> None:
    with opened(browser, real) as page:
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert not page.locator("#appendix table").first.is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        page.locator("#appendix > details > summary").click()
        folded = page.locator("details:not([open])").count()
        assert folded > 0
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() == folded


def test_legends_follow_the_width_of_the_window(browser: Any, real: Path) -> None:
    columns = "Object.values(Bokeh.index)[0].model.below.find((one) => one.type === 'Legend').ncols"
    with opened(browser, real, viewport=WIDE) as page:
        assert page.evaluate(columns) > 1
        page.set_viewport_size(PHONE)
        page.wait_for_function(f"{columns} === 1")


def test_names_stay_text_and_no_script_but_the_pages_own_runs(browser: Any, hostile: Path) -> None:
    with opened(browser, hostile) as page:
        assert page.locator("main b, main u, main i, main script, main iframe").count() == 0
        assert "net <b>{{ 7 * 7 }}</b>" in page.inner_text("h1")
    page = browser.new_page()
    page.goto((hostile / "report.html").as_uri())
    page.evaluate(
        "() => { const more = document.createElement('script');"
        " more.textContent = 'window.reached = true'; document.body.append(more); }"
    )
    assert page.evaluate("window.reached") is None
    page.close()


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_page_of_several_runs_opens_sorts_and_shows_figures_large(
    browser: Any, viewport: dict[str, int], tmp_path: Path
) -> None:
    names = ("<script>x()</script>", "<b>{{ 7 * 7 }}</b>")
    write_comparison(Comparison(tuple(made_run(name) for name in names)), tmp_path)
    with opened(browser, tmp_path, viewport=viewport) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert page.locator("main b, main script").count() == 0
        head = page.locator("#table th", has_text="difference").first
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        page.locator("#figure-spectra .enlarge").click()
        assert page.locator("dialog img").is_visible()


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_names_of_strangers_stay_text_on_the_page_of_several_runs(
    browser: Any, viewport: dict[str, int], tmp_path: Path
) -> None:
    runs = tuple(of_strangers(name) for name in STRANGERS)
    write_comparison(Comparison(runs), tmp_path)
    with opened(browser, tmp_path, viewport=viewport) as page:
        assert page.locator("main .plate > img").count() == page.locator("main figure").count()
        assert page.locator("main :is(script, iframe, b, u, a)").count() == 0
        heads = page.locator("#table thead th").all_inner_texts()
        assert heads[1 : 1 + len(runs)] == [*STRANGERS]
        for name in ("model", "images"):
            cells = page.locator("#table tr", has=page.get_by_text(name, exact=True)).first
            shown = cells.locator("td").nth(1).inner_text()
            assert shown in {STRANGERS[0], "<iframe src=//x.test>"}
        families = set(page.locator("#table td:first-child").all_inner_texts())
        assert {f"{stranger} (file)" for stranger in STRANGERS} <= families
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def slide(page: Any, name: str, place: int) -> None:
    page.evaluate(
        "([name, place]) => { const input = document.getElementById(name); input.value = place;"
        " input.dispatchEvent(new Event('input')); }",
        [name, place],
    )


def rows(page: Any, box: str) -> dict[str, str]:
    lines = page.locator(f"{box} .readout dl > div").all()
    return {line.locator("dt").inner_text(): line.locator("dd").inner_text() for line in lines}


def test_a_slider_goes_through_the_singular_vectors(browser: Any, real: Path) -> None:
    spectrum = load_result(real / "spectrum.h5", SpectrumResult).spectrum
    with opened(browser, real) as page:
        picture = page.locator("#explore-vectors img")
        first = picture.get_attribute("src")
        slide(page, "vector", 3)
        assert picture.get_attribute("src") != first
        assert page.inner_text("#explore-vectors output") == "4"
        shown = rows(page, "#explore-vectors")
        assert shown["singular value"] == number(float(spectrum.singular_values[3]))
        place = page.evaluate(
            "Bokeh.documents.map(found => found.get_model_by_name('marker')?.location)"
        )
        assert 4 in place


def test_a_slider_goes_through_r(browser: Any, real: Path) -> None:
    fooling = load_result(real / "fooling.h5", FoolingResult)
    rates = rates_by_dimension(fooling)
    with opened(browser, real) as page:
        seen = {}
        for place in range(int(page.locator("#dimension").get_attribute("max")) + 1):
            slide(page, "dimension", place)
            shown = rows(page, "#explore-dimensions")
            R = int(page.inner_text("#explore-dimensions output"))
            seen[R] = shown.get("fooled by random in Sf", "").split("(")[0].strip()
        for rate in rates:
            assert seen[rate.subspace_dimension] == percent(rate.rate)


def test_pointing_at_a_curve_reads_its_values(browser: Any, real: Path) -> None:
    with opened(browser, real) as page:
        chart = page.locator("[data-chart=spectrum]")
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        for share in (0.3, 0.5):
            page.mouse.move(box["x"] + share * box["width"], box["y"] + 100)
        tip = page.locator(".bk-Tooltip").first
        tip.wait_for()
        assert "random directions" in tip.evaluate("tip => tip.shadowRoot.textContent")


def test_the_reader_chooses_light_or_dark(browser: Any, real: Path) -> None:
    shown = """() => {
        const [chart] = Bokeh.documents[0].roots();
        const label = JSON.stringify(chart.left[0].axis_label_text_color);
        return [getComputedStyle(document.body).backgroundColor, label];
    }"""
    with opened(browser, real) as page:
        before = page.evaluate(shown)
        page.click("#theme")
        after = page.evaluate(shown)
        assert [one != other for one, other in zip(before, after, strict=True)] == [True, True]
        assert page.inner_text("#theme") == "light"


def test_a_table_sorts_by_a_click_on_its_head(browser: Any, real: Path) -> None:
    with opened(browser, real) as page:
        page.locator("#appendix > details > summary").click()
        rates = page.locator(
            "#numbers details", has_text="Fooling rates at the reference norm"
        ).first
        rates.locator("summary").click()
        table = rates.locator("table")
        head = table.locator("th", has_text="value").first
        column = head.evaluate("cell => cell.cellIndex")

        def values() -> list[float]:
            cells = table.locator(f"tbody td:nth-child({column + 1})").all_inner_texts()
            return [float(text.split("\xa0")[0]) for text in cells]

        before = values()
        head.click(position={"x": 2, "y": 2})  # beside its words
        assert values() == sorted(before)
        assert head.get_attribute("aria-sort") == "ascending"
        head.locator("button").click()
        assert values() == sorted(before, reverse=True)


def test_a_figure_opens_large(browser: Any, real: Path) -> None:
    with opened(browser, real) as page:
        page.locator("#figure-spectrum .enlarge").click()
        image = page.locator("dialog img")
        assert "Singular spectrum" in page.inner_text("dialog .bar span")
        before = image.bounding_box()["width"]
        page.click("dialog button[value=in]")
        assert image.bounding_box()["width"] == pytest.approx(1.5 * before, rel=0.01)
        page.click("dialog button[value=close]")
        assert not page.locator("dialog").is_visible()


def test_a_figure_is_whole_at_first_where_it_opens(browser: Any, real: Path) -> None:
    for viewport in (WIDE, PHONE):
        with opened(browser, real, viewport=viewport) as page:
            page.locator("#figure-spectrum .enlarge").click()
            image = page.locator("dialog img").bounding_box()
            pane = page.locator("dialog .pane").bounding_box()
            assert image["width"] < pane["width"] + 1
            assert image["height"] < pane["height"] + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_tip_tells_all_families_in_the_colours_of_the_page(
    browser: Any, real: Path, scheme: str
) -> None:
    with opened(browser, real, color_scheme=scheme) as page:
        chart = page.locator("[data-chart=norm]")
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        for share in (0.3, 0.5):
            page.mouse.move(box["x"] + share * box["width"], box["y"] + 100)
        tip = page.locator(".bk-Tooltip:visible")
        tip.first.wait_for()
        assert tip.count() == 1
        said = tip.evaluate("tip => tip.shadowRoot.textContent")
        assert "random in Sf" in said
        assert "random directions (sphere)" in said
        colours = "tip => [getComputedStyle(tip).backgroundColor, getComputedStyle(tip).color]"
        background, text = (
            int(found.split("(")[1].split(",")[0]) for found in tip.evaluate(colours)
        )
        assert (background > text) == (scheme == "light")


def test_paper_and_browsers_without_scripts_get_the_figures_alone(browser: Any, real: Path) -> None:
    with opened(browser, real, java_script_enabled=False) as page:
        assert not page.locator("#explore").is_visible()
        assert page.locator("#figure-spectrum img").is_visible()
    with opened(browser, real) as page:
        page.emulate_media(media="print")
        assert not page.locator("#explore").is_visible()
        assert not page.locator(".enlarge").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDE["width"]


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="no pdftotext")
def test_a_table_has_its_head_on_every_sheet(browser: Any, real: Path, tmp_path: Path) -> None:
    with opened(browser, real) as page:
        page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        page.pdf(path=tmp_path / "report.pdf", format="A4")
    command = ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"]
    sheets = run(command, capture_output=True, text=True, check=True).stdout.split("\f")
    heads = [bool(re.search(r"margins +draws +k +n", sheet)) for sheet in sheets]
    assert sum(heads) > 1  # of the table of every rate
