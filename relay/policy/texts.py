"""Free text that comes from people and cameras: one rule for every field.

Owns: which characters a text may hold, and how its length counts.  Must never know: who wrote a text, what it is for.

A text is shown in pages, journals, terminals and extractions, and read in court: what is shown must be what is stored.
So control characters, characters that change the direction of writing (Unicode TR 36 §2.3) and characters that are not
seen are refused, and so are stacks of combining marks, which paint over the lines above.  Lengths are bytes of UTF-8,
because that is what is stored.
"""

import unicodedata

from relay.base.clip import clip
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError

MAX_BYTES = 1000
"""Bytes of a text where a field sets no bound of its own."""
SHORT_BYTES = 200
"""Bytes of a name, a number or a reference."""
MAX_MARKS = 4
"""Combining marks in a row; Vietnamese needs two, Hebrew with accents three."""
MAX_GROWTH = 4
"""A text may be this many times longer before it is put into NFC and folded: normalising a run of marks costs its square."""
_UNSEEN = frozenset({"Cc", "Cs", "Co", "Cf"})
_MARKS = frozenset({"Mn", "Me"})


def clean_text(text: str, field: str, *, max_bytes: int = MAX_BYTES, required: bool = True) -> str:
    """Return the text in NFC, trimmed, inner white space folded.

    Raises TheirError INCOMPLETE where `required` and nothing is left; INVALID for control, direction and unseen
    characters, for more than `MAX_MARKS` combining marks in a row, and for more than `max_bytes` bytes of UTF-8.
    """
    if _length(text) > max_bytes * MAX_GROWTH:
        raise _too_long(field, max_bytes)
    folded = " ".join(unicodedata.normalize("NFC", text).split())
    if not folded and required:
        raise TheirError(Kind.INCOMPLETE, f"{field} is required", code=Code.FIELD_REQUIRED, facts={"field": field})
    if not _is_clean(folded):
        raise TheirError(
            Kind.INVALID, f"{field} holds characters that cannot be seen", code=Code.CONTROL_CHARACTERS, facts={"field": field}
        )
    if _length(folded) > max_bytes:
        raise _too_long(field, max_bytes)
    return folded


def trimmed_text(text: str, *, max_bytes: int = MAX_BYTES) -> str:
    """Return a text without what `clean_text` refuses, cut to `max_bytes`: no text can cost a camera its alarm."""
    text = clip(text, max_bytes * MAX_GROWTH)
    normal = unicodedata.normalize("NFC", text)
    if not _is_clean(normal):
        normal = "".join(" " if unicodedata.category(char) in _UNSEEN else char for char in _few_marks(normal))
    return clip(" ".join(normal.split()), max_bytes).strip()


def visible_text(text: str) -> str:
    """Return a text with every unseen character, line ends too, written as an escape (`\\x1b`): for terminals."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def visible_lines(text: str) -> str:
    """Return `visible_text` of every line; the line ends stay."""
    return "\n".join(visible_text(line) for line in text.split("\n"))


def _is_clean(text: str) -> bool:
    if text.isascii():
        return text.isprintable()
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        if category in _UNSEEN:
            return False
        marks = marks + 1 if category in _MARKS else 0
        if marks > MAX_MARKS:
            return False
    return True


def _few_marks(text: str) -> str:
    kept, marks = [], 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in _MARKS else 0
        if marks <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _too_long(field: str, max_bytes: int) -> TheirError:
    return TheirError(
        Kind.INVALID,
        f"{field} is longer than {max_bytes} bytes",
        code=Code.TEXT_TOO_LONG,
        facts={"field": field, "max": max_bytes},
    )
