"""`python -m relay.protocol.typescript`: the messages of `/live` as TypeScript, for the page to be checked against.

Owns: the form of that file.  Must never know: a message by name.
"""

import sys
from collections.abc import Iterator
from enum import StrEnum

from relay.protocol import page, wire
from relay.protocol.schema import Facts, enums, facts_of, inner_classes, type_text

NAMES: dict[type, str] = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def render() -> str:
    """Return the file."""
    return "\n".join([*_head(), *_enums(), *_classes(), *_union("ToPage", page.ToPage), *_union("FromPage", page.FromPage)])


def _head() -> Iterator[str]:
    yield "// Made from relay/protocol/page.py by scripts/types.  Do not edit."
    yield ""
    yield f"export const PROTOCOL_VERSION = {wire.VERSION};"
    yield ""


def _enums() -> Iterator[str]:
    found: dict[type[StrEnum], None] = dict.fromkeys((*enums(page.ToPage), *enums(page.FromPage)))
    for enum in found:
        yield from _alternatives(enum.__name__, [f'"{value.value}"' for value in enum])


def _classes() -> Iterator[str]:
    for facts in (*inner_classes(page.ToPage), *facts_of(page.ToPage), *facts_of(page.FromPage)):
        yield from _interface(facts)


def _interface(facts: Facts) -> Iterator[str]:
    yield from _comment(facts.meaning, "")
    yield f"export interface {facts.name} {{"
    if facts.tag is not None:
        yield f'  readonly t: "{facts.tag}";'
    for field in facts.fields:
        yield from _comment(field.meaning, "  ")
        yield f"  readonly {field.name}{'?' if field.optional else ''}: {type_text(field.type, NAMES)};"
    yield "}"
    yield ""


def _comment(meaning: str, indent: str) -> Iterator[str]:
    yield f"{indent}/** {' '.join(meaning.split())} */"


def _union(name: str, union: object) -> Iterator[str]:
    yield from _alternatives(name, [facts.name for facts in facts_of(union)])


def _alternatives(name: str, parts: list[str]) -> Iterator[str]:
    yield f"export type {name} ="
    yield "\n".join(f"  | {part}" for part in parts) + ";"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(render())
