"""A run as LaTeX: a macro for every number, and a report whose parts go into a paper as they are.

Names of models, classes and families are a stranger's text: whatever they hold, they are set as
text, and letters that LaTeX cannot set without more packages as a question mark.
"""

import re
from collections.abc import Hashable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.intervals import Interval
from figures import formats
from figures.table import RATE, SHARE

_TEMPLATES = Path(__file__).with_name("templates")
_LEADING = 5
"""Singular values that get macros."""
_CURVES = (
    "fooling rate on the way",
    "fooling rate on choosing images",
    "images that go from a class to another",
    "principal curvature",
    "curvature along another's direction",
    "median height of the boundary",
    "false alarms",
)
"""Quantities that CSV files have alone."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{MINUS SIGN}": r"\ensuremath{-}",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
    "\N{MULTIPLICATION SIGN}": r"\ensuremath{\times}",
    "\N{MIDDLE DOT}": r"\ensuremath{\cdot}",
    "\N{SUPERSCRIPT TWO}": r"\ensuremath{^2}",
    "\N{PRIME}": r"\ensuremath{'}",
    "\N{INFINITY}": r"\ensuremath{\infty}",
    "\N{SQUARE ROOT}": r"\ensuremath{\surd}",
    "\N{ALMOST EQUAL TO}": r"\ensuremath{\approx}",
    "\N{LESS-THAN OR EQUAL TO}": r"\ensuremath{\le}",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ensuremath{\ge}",
    "\N{NABLA}": r"\ensuremath{\nabla}",
    "\N{GREEK SMALL LETTER MU}": r"\ensuremath{\mu}",
    "\N{GREEK SMALL LETTER SIGMA}": r"\ensuremath{\sigma}",
    "\N{GREEK CAPITAL LETTER SIGMA}": r"\ensuremath{\Sigma}",
    "\N{GREEK SMALL LETTER RHO}": r"\ensuremath{\rho}",
    "\N{SUPERSCRIPT MINUS}": r"\ensuremath{^{-}}",
    "\N{SUPERSCRIPT ONE}": r"\ensuremath{^{1}}",
    "\N{LEFT SINGLE QUOTATION MARK}": "`",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
}
_UNFIT = re.compile(r"[^A-Za-z0-9_ ./-]")
_SPACES = re.compile(r"[ \t\r\n]+")
_CODE = re.compile("`([^`]+)`")
_SUBSPACE = re.compile(r"\bS\\_([cf])\b")
_POWER = re.compile(r"(?<=\d)e\\ensuremath\{-\}0*(\d+)\b")

_PREAMBLE = r"""% Numbers of a run. In a paper: \input{numbers}, then
%   \boundary{KEY}          three significant digits
%   \boundaryexact{KEY}     all digits
%   \boundarypercent{KEY}   a share as a percentage, without its sign
%   \boundaryinterval{KEY}  its 95 % interval, of a share in percent
% A key is one of numbers.json; an unknown one is an error. A paper on several runs puts a
% prefix before the keys of each, here a/ as in \boundary{a/reference norm}:
%   \def\boundaryprefix{a/}\input{A/numbers}  \def\boundaryprefix{b/}\input{B/numbers}
\providecommand{\boundaryprefix}{}
\providecommand{\boundaryset}[5]{%
  \expandafter\def\csname boundary@\boundaryprefix#1\endcsname{{#2}{#3}{#4}{#5}}}
\providecommand{\boundaryget}[2]{\ifcsname boundary@#2\endcsname
  \expandafter\expandafter\expandafter#1\csname boundary@#2\endcsname\else
  \PackageError{boundary}{There is no number `\detokenize{#2}'}{Keys are in numbers.tex.}\fi}
\providecommand{\boundaryfirst}[4]{#1}
\providecommand{\boundarysecond}[4]{#2}
\providecommand{\boundarythird}[4]{#3}
\providecommand{\boundaryfourth}[4]{#4}
\providecommand{\boundary}[1]{\boundaryget\boundaryfirst{#1}}
\providecommand{\boundaryexact}[1]{\boundaryget\boundarysecond{#1}}
\providecommand{\boundarypercent}[1]{\boundaryget\boundarythird{#1}}
\providecommand{\boundaryinterval}[1]{\boundaryget\boundaryfourth{#1}}
"""


def escaped(text: str) -> str:
    """Return a text as LaTeX that sets it, on one line; what is between backticks as code."""
    parts = _CODE.split(_SPACES.sub(" ", text))
    return "".join(_code(part) if turn % 2 else _prose(part) for turn, part in enumerate(parts))


def _prose(text: str) -> str:
    shown = "".join(_SPECIAL.get(letter, _plain(letter)) for letter in text)
    shown = _POWER.sub(r"\\ensuremath{\\times10^{-\1}}", shown)
    return _SUBSPACE.sub(r"\\ensuremath{S_{\\mathrm{\1}}}", shown)


def _code(text: str) -> str:
    shown = "".join(_SPECIAL.get(letter, _plain(letter)) for letter in text)
    return rf"\texttt{{{shown.replace('--', '-{}-')}}}"


def latex_macros(table: pd.DataFrame) -> str:
    """Return the macros of the numbers that a paper would cite, as a file for it to read in.

    Args:
        table: Of a run, or of several with a column `run`, which begins the keys.
    """
    return _PREAMBLE + "".join(f"{_macro(row)}\n" for row in cited(table).to_dict("records"))


def cited(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table without curves: one norm, one image part, the leading values."""
    whole = ~table["quantity"].isin(_CURVES) & table["source"].isna() & table["anchor"].isna()
    leading = ~(table["index"] > _LEADING)
    norms = table.loc[table["quantity"] == "reference norm", "value"]
    rates = (table["quantity"] != RATE) | table["norm"].isin(norms) & table["images"].isna()
    return table[whole & leading & rates & table["value"].notna()]


def _macro(row: Mapping[Hashable, Any]) -> str:
    parts = (row.get("run"), row["key"])
    key = "/".join(_fit(str(part)) for part in parts if isinstance(part, str))
    value, interval = float(row["value"]), Interval(row["low"], row["high"])
    told = formats.number_interval(interval)
    if str(row["unit"]).startswith(SHARE):
        told = formats.percent_interval(interval).replace(f"{formats.SPACE}%", "")
    ends = told if isfinite(interval.low) and isfinite(interval.high) else "--"
    share = formats.percent(value).replace(f"{formats.SPACE}%", "")
    digits = formats.cosine(value) if row["unit"] == "cosine" else _digits(value)
    shown = escaped(digits), repr(value), escaped(share), escaped(ends)
    return rf"\boundaryset{{{key}}}" + "".join(f"{{{part}}}" for part in shown)


def _digits(value: float) -> str:
    """Return three significant digits, zeros among them; whole numbers as they are."""
    if value == round(value) or abs(value) >= 1000 or abs(value) < 1e-4:
        return formats.number(value)
    return f"{value:#.3g}".rstrip(".").replace("-", "\N{MINUS SIGN}")


def _fit(name: str) -> str:
    """Return a name as LaTeX reads it back: of few letters, with single spaces."""
    return " ".join(_UNFIT.sub("-", name).split())


def latex_report(context: Mapping[str, Any], template: str = "report.tex.j2") -> str:
    """Return a report that a stock LaTeX compiles beside its figures.

    Args:
        context: What the page shows.
        template: Of one run, or of several side by side.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        finalize=lambda value: escaped(str(value)),
    )
    environment.filters.update(formats.FILTERS)
    return environment.get_template(template).render(context)


def _plain(letter: str) -> str:
    """Return a letter that needs no escape: printable ASCII, or Latin that T1 fonts have."""
    fit = " " <= letter <= "~" or ("\N{LATIN CAPITAL LETTER A WITH GRAVE}" <= letter <= "ÿ")
    return letter if fit else "?"
