"""Bodies: a missing field is 422, a wrong one 400, an unknown one is refused."""

import inspect
import json
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.http import schemas
from relay.http.bodies import parse
from relay.http.fields import Act, FreeText, Secret
from tests.unit.policy.test_texts import HOSTILE

BODIES = tuple(
    model
    for _, model in inspect.getmembers(schemas, inspect.isclass)
    if issubclass(model, schemas.Body) and model is not schemas.Body
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{}", Kind.INCOMPLETE),
        ('{"camera":"pm-1"}', Kind.INCOMPLETE),
        ('{"camera":"PM 1","intervention":"0"}', Kind.INVALID),
        ('{"camera":"pm-1","intervention":"00000000000000000000000000000000","x":1}', Kind.INVALID),
        ("[]", Kind.INVALID),
        ("{", Kind.INVALID),
        ('{"camera":1}', Kind.INVALID),
    ],
)
def test_a_bad_body_is_refused_by_kind(text: str, kind: Kind) -> None:
    with pytest.raises(TheirError) as refused:
        parse(text, schemas.ViewTokenAsk)
    assert refused.value.kind is kind


def test_what_was_sent_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(TheirError) as refused:
        parse('{"user":"marie","password":["secret-word"]}', schemas.SignIn)
    assert "secret-word" not in refused.value.detail


def _texts(hint: Any, rules: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Yield the rules of every `str` inside a type."""
    if get_origin(hint) is Annotated:
        inner, *found = get_args(hint)
        yield from _texts(inner, (*rules, *found))
    elif hint is str:
        yield rules
    else:
        for part in get_args(hint):
            if not isinstance(part, str):  # the values of a Literal
                yield from _texts(part, rules)


def _rules(field: FieldInfo) -> list[tuple[object, ...]]:
    return list(_texts(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation))


def _has_pattern(rules: tuple[object, ...]) -> bool:
    return any(getattr(rule, "pattern", None) for rule in rules)


TEXTS = [(model, name, rules) for model in BODIES for name, field in model.model_fields.items() for rules in _rules(field)]
FREE = [text for text in TEXTS if any(isinstance(rule, FreeText) for rule in text[2])]


def _id(value: object) -> str:
    return value.__name__ if isinstance(value, type) else value if isinstance(value, str) else ""


def test_every_text_of_a_body_is_found() -> None:
    assert len(TEXTS) > 25
    assert {(schemas.SignIn, "user"), (schemas.UserAdd, "communes")} <= {(model, name) for model, name, _ in TEXTS}


@pytest.mark.parametrize(("model", "name", "rules"), TEXTS, ids=_id)
def test_every_text_of_a_body_says_how_it_is_checked(model: type[schemas.Body], name: str, rules: tuple[object, ...]) -> None:
    assert _has_pattern(rules) or any(isinstance(rule, FreeText | Act | Secret) for rule in rules)


@pytest.mark.parametrize("text", [*HOSTILE.values(), "x" * 50_000], ids=[*HOSTILE, "50 kB"])
@pytest.mark.parametrize(("model", "name", "rules"), FREE, ids=_id)
def test_no_free_text_reaches_a_handler_uncleaned(
    model: type[schemas.Body], name: str, rules: tuple[object, ...], text: str
) -> None:
    values: dict[str, object] = {
        other: "0" * 32 if field.metadata else "agents" for other, field in model.model_fields.items() if field.is_required()
    }
    listed = "list" in str(model.model_fields[name].annotation)
    with pytest.raises(TheirError) as refused:
        parse(json.dumps({**values, name: [text] if listed else text}), model)
    assert refused.value.code in {Code.CONTROL_CHARACTERS, Code.TEXT_TOO_LONG, Code.BODY_INVALID}
    assert refused.value.facts.get("field") in {name, None}


def test_the_name_of_an_unknown_field_is_cut_and_cleaned_in_the_refusal() -> None:
    with pytest.raises(TheirError) as refused:
        parse(json.dumps({"x\x1b[31m" * 5000: 1}), schemas.Motive)
    assert refused.value.detail.isprintable()
    assert len(refused.value.detail) <= 1000
