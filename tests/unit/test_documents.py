"""The documents lead where they say: every relative link resolves to a file, and to a heading where it names one."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.unit.test_house_rules import ROOT, tracked

_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def links(text: str) -> Iterator[str]:
    """Yield the relative links of a Markdown text, outside of code."""
    for found in _LINK.finditer(_CODE.sub("", text)):
        target = found[1] or found[2]
        if not _ABSOLUTE.match(target):
            yield target


def anchors(text: str) -> set[str]:
    """Return the anchors of a Markdown text's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(document: Path, target: str) -> bool:
    """Return whether a link of a document leads to a file or folder of the repository, and to a heading where it names one."""
    name, _, anchor = target.partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.is_relative_to(ROOT) or not path.exists():
        return False
    return not anchor or path.suffix != ".md" or anchor in anchors(path.read_text(encoding="utf-8"))


def test_every_relative_link_of_a_document_leads_somewhere() -> None:
    documents = tracked("*.md")
    assert documents
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in links(document.read_text(encoding="utf-8"))
        if not leads_somewhere(document, target)
    ]
    assert broken == []


def test_links_are_found_outside_of_code_only() -> None:
    text = "[a](b.md) `[c](d.md)` ![e](f.png)\n```\n[g](h.md)\n```\n[i](https://example.org) [j](#k-l)\n\n[m]: n.md\n"
    assert list(links(text)) == ["b.md", "f.png", "#k-l", "n.md"]
    assert anchors("# K, `l`\n## M (n)\n") == {"k-l", "m-n"}
