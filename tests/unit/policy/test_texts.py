"""What a text may hold, whoever wrote it; what is shown is what is stored."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.policy.texts import MAX_MARKS, clean_text, trimmed_text, visible_text

HOSTILE = {
    "NUL": "a\x00b",
    "terminal escape": "abc\x1b[31m",
    "right to left": "abc\u202edef",
    "isolate": "abc\u2066def",
    "no width": "ab\u200bc",
    "byte order mark": "\ufeffabc",
    "surrogate": "a\ud800b",
    "private use": "a\ue000b",
    "stack of marks": "a" + "\u0336" * (MAX_MARKS + 1),
}
"""Texts that no field takes."""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_text_with_characters_that_are_not_seen_is_refused(text: str) -> None:
    with pytest.raises(TheirError) as refused:
        clean_text(text, "a motive")
    assert (refused.value.kind, refused.value.code) == (Kind.INVALID, Code.CONTROL_CHARACTERS)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_text_of_a_camera_loses_them_and_keeps_the_rest(text: str) -> None:
    left = trimmed_text("Aide " + text)
    assert left.startswith("Aide ")
    assert clean_text(left, "a reason") == left


@pytest.mark.parametrize(
    "text", ["Renfort demandé à l’île d’Yeu", "Nguyễn Thị Ánh", "12 bis, rue «\xa0Nationale\xa0»", "🚓 patrouille"]
)
def test_ordinary_writing_passes(text: str) -> None:
    assert clean_text(text, "a label") == " ".join(unicodedata.normalize("NFC", text).split())


def test_a_length_is_counted_in_bytes() -> None:
    assert clean_text("é" * 40, "a label", max_bytes=80) == "é" * 40
    with pytest.raises(TheirError, match="longer than 80 bytes") as refused:
        clean_text("é" * 41, "a label", max_bytes=80)
    assert refused.value.facts == {"field": "a label", "max": 80}


def test_a_long_text_is_refused_before_the_work_that_grows_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    normalised: list[int] = []

    def count(form: str, text: str) -> str:
        normalised.append(len(text))
        return text

    monkeypatch.setattr(unicodedata, "normalize", count)
    marks = "\u0327\u0301" * 16_000  # NFC sorts a run of marks by their class
    with pytest.raises(TheirError, match="longer"):
        clean_text("a" + marks, "a motive")
    trimmed_text("a" + marks)
    assert all(length <= 4000 for length in normalised)


def test_an_empty_text_is_refused_only_where_one_is_required() -> None:
    assert clean_text(" \n ", "act_ref", required=False) == ""
    with pytest.raises(TheirError) as refused:
        clean_text(" \n ", "name")
    assert refused.value.code is Code.FIELD_REQUIRED


@given(st.text(st.characters(), max_size=60), st.integers(1, 40))
@example("e\u0301" * 30, 3)
@example("a" + "\u0336" * 30, 9)
def test_what_is_accepted_is_stable_and_what_is_trimmed_is_accepted(text: str, max_bytes: int) -> None:
    left = trimmed_text(text, max_bytes=max_bytes)
    assert clean_text(left, "a text", max_bytes=max_bytes, required=False) == left
    try:
        clean = clean_text(text, "a text", max_bytes=max_bytes, required=False)
    except TheirError:
        return
    assert clean == clean_text(clean, "a text", max_bytes=max_bytes, required=False)
    assert len(clean.encode()) <= max_bytes


@given(st.text(st.characters(), max_size=60))
def test_a_terminal_is_shown_no_character_that_it_would_obey(text: str) -> None:
    assert visible_text(text).isprintable()
