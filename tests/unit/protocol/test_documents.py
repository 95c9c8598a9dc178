"""LIVE.md and the page's types say what the message classes say, and every message and field has a meaning."""

import pytest

from relay.base.codes import Code
from relay.protocol import page
from relay.protocol.reference import DIRECTIONS, DOCUMENT, rendered
from relay.protocol.schema import facts_of, inner_classes
from relay.protocol.typescript import render


def test_the_tables_of_live_md_are_current() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == rendered(document), "run: python -m relay.protocol.reference"


def test_a_document_without_a_place_for_a_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="relay to camera"):
        rendered("# The live protocol")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_message_and_field_has_a_meaning_and_stands_in_live_md(direction: str) -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    union = DIRECTIONS[direction]
    for facts in (*facts_of(union), *inner_classes(union)):
        assert facts.meaning
        assert facts.meaning in document
        for field in facts.fields:
            assert field.meaning, f"{facts.name}.{field.name}"
            assert f"| `{field.name}`" in document


def test_the_names_of_messages_are_unique_in_each_direction() -> None:
    for union in DIRECTIONS.values():
        tags = [facts.tag for facts in facts_of(union)]
        assert len(tags) == len(set(tags))


def test_the_page_gets_every_message_field_and_code_as_a_type() -> None:
    made = render()
    for facts in (*facts_of(page.ToPage), *facts_of(page.FromPage)):
        assert f"export interface {facts.name} {{" in made
        assert f'readonly t: "{facts.tag}";' in made
    assert all(f'"{code.value}"' in made for code in Code)
    assert "readonly cameras: readonly CameraState[];" in made
    assert 'readonly layer?: "high" | "low" | "key";' in made
    assert "readonly echo: number | null;" in made
    assert 'readonly warnings?: readonly ("b_frames" | "sound_declined")[];' in made
