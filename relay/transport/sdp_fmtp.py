"""Format parameters (a=fmtp) of H.264, Opus and RTX, read (RFC 6184 §8.1, RFC 7587 §6.1, RFC 4588 §8.6).

Owns: their syntax, and which of them we repeat in an answer.  Must never know: m-lines, which payload type is chosen.

An answer repeats only what both sides have to agree on, and only well-formed values.  What describes the offerer's own stream
(sprop-parameter-sets) is read here and not repeated: in our answer it would describe a stream of ours.
"""

import re
from collections.abc import Iterator
from typing import Final

MAX_PARAMETERS: Final = 128
"""Parameters that are read of one payload type: RFC 6184 has about thirty."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_PROFILE: Final = re.compile(r"[0-9A-Fa-f]{6}")
_REPEATED: Final = {
    "profile-level-id": _PROFILE,
    **dict.fromkeys(
        ("packetization-mode", "level-asymmetry-allowed", "minptime", "maxptime", "ptime", "maxplaybackrate",
         "maxaveragebitrate", "stereo", "cbr", "useinbandfec", "usedtx"),
        _NUMBER,
    ),
}  # fmt: skip


class Fmtp:
    """The parameters of one payload type, in their order; names in small letters, values without quotes around them.

    Of a parameter that stands twice the first counts.
    """

    __slots__ = ("_items",)

    def __init__(self, text: str) -> None:
        self._items: dict[str, str] = {}
        for name, value in _items(text):
            self._items.setdefault(name, value)

    def get(self, name: str) -> str | None:
        """Return the value of a parameter, None where it is absent."""
        return self._items.get(name)

    @property
    def text(self) -> str:
        """All parameters, one way of writing for all."""
        return ";".join(f"{name}={value}" for name, value in self._items.items())


def repeated(fmtp: str) -> str:
    """Return what an answer repeats of an offer's parameters, as `Fmtp.text` writes them."""
    return ";".join(f"{name}={value}" for name, value in _items(fmtp) if _is_repeated(name, value))


def _is_repeated(name: str, value: str) -> bool:
    form = _REPEATED.get(name)
    return form is not None and form.fullmatch(value) is not None


def _items(text: str) -> Iterator[tuple[str, str]]:
    for item in text.split(";", MAX_PARAMETERS)[:MAX_PARAMETERS]:
        name, _, value = (part.strip() for part in item.partition("="))
        if _NAME.fullmatch(name):
            yield name.lower(), value.strip('"').strip()
