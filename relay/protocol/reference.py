"""`python -m relay.protocol.reference`: writes the tables of messages in LIVE.md from the message classes.

Owns: the form of the tables, and where they stand in the document.  Must never know: a message by name.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from relay.protocol import camera, page
from relay.protocol.schema import Facts, FieldFacts, facts_of, inner_classes, type_text

DOCUMENT = Path(__file__).with_name("LIVE.md")
NAMES: dict[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    StrEnum: "string",
}
DIRECTIONS = {
    "relay to camera": camera.ToCamera,
    "camera to relay": camera.FromCamera,
    "relay to page": page.ToPage,
    "page to relay": page.FromPage,
}


def rendered(document: str) -> str:
    """Return the document with the tables of each direction made new between two marks; raises ValueError without marks."""
    for direction, union in DIRECTIONS.items():
        begin, end = f"<!-- {direction}: made by relay.protocol.reference -->", f"<!-- end of {direction} -->"
        before, begins, rest = document.partition(begin)
        _, ends, after = rest.partition(end)
        if not begins or not ends:
            raise ValueError(f"LIVE.md has no place for {direction}")
        document = before + "\n".join([begin, "", *_tables(union), end]) + after
    return document


def _tables(union: object) -> Iterator[str]:
    for facts in (*facts_of(union), *inner_classes(union)):
        yield from _table(facts)


def _table(facts: Facts) -> Iterator[str]:
    yield f"#### `{facts.tag or facts.name}`"
    yield ""
    yield facts.meaning
    yield ""
    if not facts.fields:
        return
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    yield from (_row(field) for field in facts.fields)
    yield ""


def _row(field: FieldFacts) -> str:
    kind = (
        type_text(field.type, NAMES)
        .replace("readonly ", "")
        .replace("Readonly<Record<", "map<")
        .replace(">>", ">")
        .replace("integer | number", "number")
    )
    meaning = " ".join(field.meaning.split())
    return f"| `{field.name}`{' (optional)' if field.optional else ''} | {_cell(kind)} | {_cell(meaning)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the tables into LIVE.md."""
    DOCUMENT.write_text(rendered(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
