"""LaTeX of a run: every number has a macro, texts are set as texts, and the report compiles."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from figures.latex import escaped, latex_macros
from figures.table import COLUMNS
from study.cli import main

needs_latex = pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


NUMBERS = table(
    {
        "key": "reference norm",
        "quantity": "reference norm",
        "value": 1.23456789,
        "unit": "input units",
    },
    {"key": "R of S_f", "quantity": "R of S_f", "value": 5.0, "unit": ""},
    {"key": "energy over that of a rival/100 -", "quantity": "energy", "value": 0.9, "unit": ""},
    {"key": "fooling rate/sphere", "quantity": "fooling rate", "norm": 1.23456789}
    | {"value": 0.125, "low": 0.1, "high": 0.15, "unit": "share"},
    {"key": "another", "quantity": "fooling rate", "norm": 7.0, "value": 0.5, "unit": "share"},
    {"key": "x", "quantity": "principal curvature", "index": 1, "value": -3e-7, "unit": ""},
    {"key": "y", "quantity": "mean curvature", "anchor": "nearest", "value": -3e-7, "unit": ""},
)


def test_numbers_that_a_paper_cites_have_a_macro() -> None:
    entries = dict(re.findall(r"^\\boundaryset\{(.*?)\}(.*)$", latex_macros(NUMBERS), re.M))
    assert entries == {
        "reference norm": "{1.23}{1.23456789}{123.5}{--}",
        "R of S_f": "{5}{5.0}{500.0}{--}",
        "energy over that of a rival/100 -": "{0.900}{0.9}{90.0}{--}",
        "fooling rate/sphere": "{0.125}{0.125}{12.5}{10.0 to 15.0}",
    }


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


@needs_latex
def test_the_macros_are_those_of_their_keys(tmp_path: Path) -> None:
    (tmp_path / "numbers.tex").write_text(latex_macros(NUMBERS))
    paper = (
        r"\documentclass{article}\input{numbers}\begin{document}"
        r"\typeout{<\boundary{reference norm}|\boundaryexact{reference norm}|"
        r"\boundaryinterval{fooling rate/sphere}>}KEY\end{document}"
    )
    assert "<1.23|1.23456789|10.0 to 15.0>" in compiled(tmp_path, paper.replace("KEY", "x"))[1]
    status, said = compiled(tmp_path, paper.replace("KEY", r"\boundary{rates 7}"))
    assert status != 0
    assert "There is no number `rates 7'" in said.replace("\n", "")


@needs_latex
def test_a_paper_tells_the_numbers_of_two_runs_apart(tmp_path: Path) -> None:
    for run, rate in (("one", 0.25), ("two", 0.75)):
        (tmp_path / f"{run}.tex").write_text(
            latex_macros(table({"key": "rate", "value": rate, "unit": ""}))
        )
    read = "".join(rf"\def\boundaryprefix{{{run}/}}\input{{{run}}}" for run in ("one", "two"))
    shown = r"\boundary{one/rate}|\boundarypercent{two/rate}"
    body = rf"\begin{{document}}\typeout{{<{shown}>}}x\end{{document}}"
    assert "<0.250|75.0>" in compiled(tmp_path, rf"\documentclass{{article}}{read}{body}")[1]


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
