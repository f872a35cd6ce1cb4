"""A run as LaTeX: a macro for every number, and a report whose parts go into a paper as they are.

Names of models, classes and families are a stranger's text: whatever they hold, they are set as
text, and letters that LaTeX cannot set without more packages as a question mark.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from figures import formats

_TEMPLATES = Path(__file__).with_name("templates")
_LONGEST_LIST = 8
"""Numbers of a list that get macros; longer ones are curves, which the CSV files have."""

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
_UNFIT = re.compile(r"[^A-Za-z0-9_ .-]")
_SPACES = re.compile(r"[ \t\r\n]+")
_CODE = re.compile("`([^`]+)`")
_SUBSPACE = re.compile(r"\bS\\_([cf])\b")
_POWER = re.compile(r"(?<=\d)e\\ensuremath\{-\}0*(\d+)\b")

_PREAMBLE = r"""% Every number of a run. In a paper: \input{numbers}, then
%   \boundary{KEY}         three significant digits
%   \boundaryexact{KEY}    all digits
%   \boundarypercent{KEY}  a share as a percentage, without its sign
% A key is a path in numbers.json; an unknown one is an error. A paper on several runs puts a
% prefix before the keys of each, here a/ as in \boundary{a/fooling/images}:
%   \def\boundaryprefix{a/}\input{A/numbers}  \def\boundaryprefix{b/}\input{B/numbers}
\providecommand{\boundaryprefix}{}
\providecommand{\boundaryset}[4]{%
  \expandafter\def\csname boundary@\boundaryprefix#1\endcsname{{#2}{#3}{#4}}}
\providecommand{\boundaryget}[2]{\ifcsname boundary@#2\endcsname
  \expandafter\expandafter\expandafter#1\csname boundary@#2\endcsname\else
  \PackageError{boundary}{There is no number `\detokenize{#2}'}{Keys are in numbers.tex.}\fi}
\providecommand{\boundaryfirst}[3]{#1}
\providecommand{\boundarysecond}[3]{#2}
\providecommand{\boundarythird}[3]{#3}
\providecommand{\boundary}[1]{\boundaryget\boundaryfirst{#1}}
\providecommand{\boundaryexact}[1]{\boundaryget\boundarysecond{#1}}
\providecommand{\boundarypercent}[1]{\boundaryget\boundarythird{#1}}
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


def fit_key(name: str) -> str:
    """Return a name as LaTeX reads it back: of few letters, with single spaces."""
    return " ".join(_UNFIT.sub("-", name).split())


def latex_macros(numbers: Mapping[str, Any]) -> str:
    """Return the macros of every number of a run, as a file for a paper to read in.

    Args:
        numbers: What ``numbers.json`` holds. A row of a table has a comment that says what it is.
    """
    return _PREAMBLE + "".join(f"{line}\n" for line in _lines(numbers, ""))


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


def _lines(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        told = [f"{name} {item}" for name, item in value.items() if isinstance(item, str | bool)]
        if told and key and key.rpartition("/")[2].isdigit():
            yield f"% {key}: {_comment(', '.join(told))}"
        for name, item in value.items():
            fit = fit_key(str(name))
            yield from _lines(item, f"{key}/{fit}" if key else fit)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) <= _LONGEST_LIST or any(isinstance(item, Mapping) for item in value):
            for place, item in enumerate(value):
                yield from _lines(item, f"{key}/{place}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        share = formats.percent(value).replace(f"{formats.SPACE}%", "")
        shown = escaped(formats.number(value)), repr(value), escaped(share)
        yield rf"\boundaryset{{{key}}}" + "".join(f"{{{part}}}" for part in shown)


def _comment(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:200]


def _plain(letter: str) -> str:
    """Return a letter that needs no escape: printable ASCII, or Latin that T1 fonts have."""
    fit = " " <= letter <= "~" or ("\N{LATIN CAPITAL LETTER A WITH GRAVE}" <= letter <= "ÿ")
    return letter if fit else "?"
