"""Files of settings, YAML of the plainest kind: what a stranger may have put into one is refused.

No tag, so that nothing is made or imported; no alias, which can stand for far more than is written;
no depth that would exhaust a parser.
"""

from pathlib import Path
from typing import Any

import yaml

from boundary.errors import StoreError

_DEEPEST, _LARGEST = 8, 1 << 20


def read_settings(file: Path) -> dict[str, Any]:
    """Return the settings in a file.

    Raises:
        OSError: If it cannot be read.
        StoreError: If it is not plain YAML of names with values.
    """
    with file.open("rb") as opened:
        content = opened.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise StoreError(f"`{file}` should hold settings, in {_LARGEST} bytes at most.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StoreError(f"`{file}` should be a text file in UTF-8: {error}.") from error
    try:
        refused = _not_plain(text)
        settings = None if refused else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise StoreError(f"`{file}` is damaged: it is not YAML.") from error
    if refused:
        raise StoreError(f"`{file}` should hold plain settings. Found {refused}; take it out.")
    if not isinstance(settings, dict):
        raise StoreError(f"`{file}` is damaged: it holds no settings.")
    return settings


def _not_plain(text: str) -> str | None:
    """Return what in a text is more than names, values and lists; None if nothing is."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            return f"the alias `*{event.anchor}`"
        if (tag := getattr(event, "tag", None)) is not None:
            return f"the tag `{tag}`"
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return f"more than {_DEEPEST} levels"
    return None
