"""The messages of the live protocol as data: what the reference and the page's types are made from.

Owns: reading names, types, defaults and docstrings of the message classes.  Must never know: a
message by name, a form of output.
"""

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec


@dataclass(frozen=True)
class FieldFacts:
    """One field; `type` as Python's annotation, `optional` where it may be left out."""

    name: str
    type: Any
    optional: bool
    meaning: str


@dataclass(frozen=True)
class Facts:
    """One class; `tag` is its `t`, None for a class that only occurs inside a message."""

    name: str
    tag: str | None
    meaning: str
    fields: tuple[FieldFacts, ...]


def facts_of(union: Any) -> tuple[Facts, ...]:
    """Return the facts of each message in a union, in its order."""
    return tuple(_facts(kind) for kind in get_args(union))


def inner_classes(union: Any) -> tuple[Facts, ...]:
    """Return the classes without a tag that fields of these messages hold, each once."""
    found = {inner: None for message in facts_of(union) for field in message.fields for inner in _structs(field.type)}
    return tuple(_facts(inner) for inner in found)


def enums(union: Any) -> tuple[type[StrEnum], ...]:
    """Return the enumerations that fields of these messages hold, each once."""
    parts = [part for message in facts_of(union) for field in message.fields for part in _parts(field.type)]
    return tuple(dict.fromkeys(part for part in parts if isinstance(part, type) and issubclass(part, StrEnum)))


def type_text(annotation: Any, names: dict[type, str]) -> str:
    """Return an annotation in TypeScript's notation, in which `names` says how the simple types are called."""
    if isinstance(annotation, type) and annotation in names:
        return names[annotation]
    if get_origin(annotation) is Literal:
        return " | ".join(f'"{value}"' for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        element = type_text(get_args(annotation)[0], names)
        return f"readonly ({element})[]" if " | " in element else f"readonly {element}[]"
    if get_origin(annotation) is dict:
        key, value = (type_text(part, names) for part in get_args(annotation))
        return f"Readonly<Record<{key}, {value}>>"
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(type_text(part, names) for part in get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return names.get(StrEnum, annotation.__name__)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation.__name__
    raise TypeError(f"no notation for {annotation!r}")


def _facts(kind: type[msgspec.Struct]) -> Facts:
    meanings = dict(_meanings(kind))
    hints = get_type_hints(kind)
    found = [
        FieldFacts(field.name, hints[field.name], not field.required, meanings.get(field.name, ""))
        for field in msgspec.structs.fields(kind)
    ]
    tag = kind.__struct_config__.tag
    return Facts(kind.__name__, str(tag) if tag is not None else None, inspect.cleandoc(kind.__doc__ or ""), tuple(found))


def _meanings(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Yield each field's docstring: the string that follows it in the source, base classes first."""
    for owner in reversed(kind.__mro__):
        if not issubclass(owner, msgspec.Struct) or owner is msgspec.Struct:
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                yield field.target.id, inspect.cleandoc(str(ast.literal_eval(text.value)))


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of."""
    if get_origin(annotation) in (Union, types.UnionType, tuple, dict):
        for part in get_args(annotation):
            yield from _parts(part)
    else:
        yield annotation


def _structs(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            yield part
