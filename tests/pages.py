"""Pages as a browser takes them apart."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote


def markup(page: Path) -> str:
    """Return a page without its scripts, which are those that its policy allows and no others."""
    source = page.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', source)
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in scripts]
    assert re.findall(r"'(sha256-.*?)'", policy) == [f"sha256-{found}" for found in hashes]
    assert "default-src 'none'" in policy
    data = re.compile(r'<script(?: type="application/json" id="explored")?>.*?</script>', re.DOTALL)
    return data.sub("", source)


class Tags(HTMLParser):
    """All tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def self_contained(page: Path) -> Tags:
    """Return the tags of a page that asks for nothing and runs nothing but its own scripts."""
    source = markup(page)
    tags = Tags(source)
    for tag, attributes in tags.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "b", "i", "u"}
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
        assert (attributes.get("href") or "#").startswith("#")
    drawings = re.findall(r'data:image/svg\+xml,([^"]+)', source)
    assert all(re.findall(r"https?:|<!--|<script", unquote(one)) == ["http:"] for one in drawings)
    text = re.sub(r'data:image/(?:png;base64|svg\+xml),[^"]+', "", source)
    assert not re.search(r"https?://|@import|url\(|file:", text)
    return tags
