"""LaTeX of a run: every number has a macro, texts are set as texts, and the report compiles."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from figures.latex import escaped, fit_key, latex_macros
from figures.numbers import _by_name, plain
from study.cli import main

needs_latex = pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")

NUMBERS = {
    "fooling": {"reference_norm": 1.23456789, "seed": 0, "label": "x"},
    "rates": [{"family": "sphere 100 %", "rate": 0.125, "interval": {"low": 0.1, "high": None}}],
    "curve": [0.5] * 30,
    "not clipped": {"ratio": -3e-7},
}


def test_every_number_has_a_macro_but_those_of_curves() -> None:
    text = latex_macros(NUMBERS)
    entries = dict(re.findall(r"^\\boundaryset\{(.*?)\}(.*)$", text, re.M))
    assert entries == {
        "fooling/reference_norm": "{1.23}{1.23456789}{123.5}",
        "fooling/seed": "{0}{0}{0.0}",
        "rates/0/rate": "{0.125}{0.125}{12.5}",
        "rates/0/interval/low": "{0.1}{0.1}{10.0}",
        "not clipped/ratio": r"{\ensuremath{-}3.00\ensuremath{\times10^{-7}}}{-3e-07}{0.00}",
    }
    assert "% rates/0: family sphere 100 %" in text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a_b & 50 % of {x}", r"a\_b \& 50 \% of \{x\}"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("$x^2$ ~ #1", r"\$x\textasciicircum{}2\$ \textasciitilde{} \#1"),
        ("R² of S_c", r"R\ensuremath{^2} of \ensuremath{S_{\mathrm{c}}}"),
        ("naïve 猫 \x1b[2J", "naïve ? ?[2J"),
        ("one\n  line", "one line"),
        ("`--out a_b` of S_f", r"\texttt{-{}-out a\_b} of \ensuremath{S_{\mathrm{f}}}"),
        ("\N{MINUS SIGN}0.5 to 1\N{NO-BREAK SPACE}%", r"\ensuremath{-}0.5 to 1~\%"),
    ],
)
def test_texts_are_set_as_texts(text: str, wanted: str) -> None:
    assert escaped(text) == wanted


def test_keys_that_latex_reads_alike_stay_apart() -> None:
    assert fit_key("file a+b  <c>") == "file a-b -c-"
    rows = [{"family": f"file x{end}", "images": 1, "rate": end} for end in "+=-"]
    rows.append({"family": "file x- images 1 again 1", "images": 1, "rate": "?"})
    named = _by_name(rows, "learning")
    assert len(named) == len(rows)
    assert [row["rate"] for row in named.values()] == [row["rate"] for row in rows]
    assert len(_by_name({"a+": 1, "a=": 2}, "x")) == 2


def test_numbers_are_plain_ones() -> None:
    assert repr(plain({"x": np.float64(0.5), "y": (np.float64("nan"),)})) == (
        "{'x': 0.5, 'y': [None]}"
    )


@needs_latex
def test_the_macros_are_those_of_their_keys(tmp_path: Path) -> None:
    (tmp_path / "numbers.tex").write_text(latex_macros(NUMBERS))
    paper = (
        r"\documentclass{article}\input{numbers}\begin{document}"
        r"\typeout{<\boundary{fooling/reference_norm}|\boundaryexact{fooling/reference_norm}|"
        r"\boundarypercent{rates/0/rate}>}KEY\end{document}"
    )
    assert "<1.23|1.23456789|12.5>" in compiled(tmp_path, paper.replace("KEY", "x"))[1]
    status, said = compiled(tmp_path, paper.replace("KEY", r"\boundary{rates/7/rate}"))
    assert status != 0
    assert "There is no number `rates/7/rate'" in said.replace("\n", "")


@needs_latex
def test_a_paper_tells_the_numbers_of_two_runs_apart(tmp_path: Path) -> None:
    for run, rate in (("one", 0.25), ("two", 0.75)):
        (tmp_path / f"{run}.tex").write_text(latex_macros({"rate": rate}))
    read = "".join(rf"\def\boundaryprefix{{{run}/}}\input{{{run}}}" for run in ("one", "two"))
    shown = r"\boundary{one/rate}|\boundarypercent{two/rate}"
    body = rf"\begin{{document}}\typeout{{<{shown}>}}x\end{{document}}"
    assert "<0.25|75.0>" in compiled(tmp_path, rf"\documentclass{{article}}{read}{body}")[1]


@needs_latex
def test_the_report_of_a_run_compiles(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ["--collect=60", "--evaluate=20", "--untrained=0", "--universal.gradients=200"]
    quick = ["--fooling.draws=2", "--spectrum.null_draws=2", "--spectrum.splits=2"]
    quick += ["--curvature.images=9", "--curvature.judge=6", "--curvature.steps=3"]
    assert main(["run", *settings, *quick, "--out", str(run)]) == 0
    for _ in range(2):
        status, said = compiled(run, None)
    assert status == 0
    assert "undefined" not in said
    assert "Missing character" not in said
    assert (run / "report.pdf").stat().st_size > 50_000


def compiled(folder: Path, paper: str | None) -> tuple[int, str]:
    """Return the status of LaTeX and its log."""
    if paper is not None:
        (folder / "report.tex").write_text(paper)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    return done.returncode, (folder / "report.log").read_text(errors="replace")
