"""A directive that writes the reference of the command line, from the parser itself."""

import argparse
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from study.parser import COMMANDS, build_parser


class Commands(SphinxDirective):
    """A section for each command: what it does, how it is called, its options."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        parser = build_parser()
        (commands,) = (action for action in parser._actions if action.dest == "subcommand")
        text = "".join(
            f"## {name}\n\n{about.text}\n\n    boundary {name} {about.usage}\n\nFor example\n\n"
            f"    {about.example}\n\n{''.join(_options(commands.choices[name]))}"
            for name, about in COMMANDS.items()
        )
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _options(command: argparse.ArgumentParser) -> Iterator[str]:
    for action in command._actions:
        if action.default is argparse.SUPPRESS or {"-q", "-v"} & {*action.option_strings}:
            continue  # --help and its like, and what every command has
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
        yield f"{names}\n: {action.help}{_facts(action)}\n\n"


def _facts(action: Any) -> str:
    kind = getattr(action, "_typehint", None) or action.type
    facts = [getattr(kind, "__name__", str(kind)).replace("typing.", "")] if kind else []
    if action.option_strings and action.default is not None:
        facts.append(f"by default {action.default}")
    return f" `{'; '.join(facts)}`" if facts else ""


def setup(app: Sphinx) -> None:
    """Add the directive."""
    app.add_directive("boundary-commands", Commands)
