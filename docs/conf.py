"""The documentation as a site: `make docs` builds it, warnings being errors, without a network."""

import re
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import GoogleDocstring

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "boundary-geometry"
author = "the authors of boundary-geometry"
project_copyright = author
version = release = installed(project)

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "command_line",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]  # of a table that is also there as text

nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "AXES, ROWS, DERIVED, FORMAT"}
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_type_aliases = {"ArrayLike": "numpy.typing.ArrayLike"}
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
default_role = "code"

nitpicky = True
nitpick_ignore_regex = [
    # Other libraries, whose inventories are on the network.
    (r"py:.*", r"(torch|numpy|np|scipy|matplotlib|pandas|xarray|sklearn|h5py|tqdm|nn)(\..*)?"),
    (r"py:class", r"(Tensor|NDArray|ArrayLike|Figure)"),
    # The standard library, likewise.
    (r"py:.*", r"(collections|pathlib|typing|types|enum|abc|Path|Any)(\..*)?"),
    # Type variables.
    (r"py:class", r"(.*\.)?(Value|Result|Part)"),
]

html_theme = "furo"
html_title = "boundary-geometry"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
copybutton_exclude = ".linenos, .gp, .go"
pygments_style, pygments_dark_style = "friendly", "monokai"

_OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files beside docs/, to which a page links as files, and the pages that include them."""

# Of `(N,), float64: what it is` napoleon would take what is before the colon for a type.
GoogleDocstring._parse_attribute_docstring = GoogleDocstring._consume_to_end


def _link_to_pages(_: Sphinx, __: str, source: list[str]) -> None:
    """Have links to files beside docs/ lead to the pages that include them."""
    for file, page in _OUTSIDE.items():
        source[0] = source[0].replace(f"](../{file}", f"]({page}")


def _with_titles(app: Sphinx, tree: nodes.document, _: str) -> None:
    """Have a link whose text is the name of a file, as on GitHub, show the title of the page."""
    for link in tree.findall(nodes.reference):
        name = re.fullmatch(r"(?:docs/)?([\w-]+)\.md", link.astext())
        if name and name[1].lower() in app.env.titles:
            link.children = [nodes.Text(app.env.titles[name[1].lower()].astext())]


def _without_fields(_: Sphinx, what: str, __: str, made: Any, *___: Any) -> tuple[str, str] | None:
    """Return no signature for a dataclass: its fields follow, each with its meaning."""
    return ("", "") if what == "class" and hasattr(made, "__dataclass_fields__") else None


def _with_bars(_: Sphinx, __: str, ___: str, ____: Any, _____: Any, lines: list[str]) -> None:
    """Have |v| outside code mean a norm, as in the docstrings, and no substitution."""
    for place, line in enumerate(lines):
        parts = re.split(r"(`+.*?`+)", line)
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[place] = "".join(parts)


def setup(app: Sphinx) -> None:
    """Connect what this site needs beside its settings."""
    app.connect("source-read", _link_to_pages)
    app.connect("doctree-resolved", _with_titles)
    app.connect("autodoc-process-signature", _without_fields)
    app.connect("autodoc-process-docstring", _with_bars)
