"""Offers, read and bounded (RFC 8866): text in, m-lines out.

Owns: SDP's syntax, and what an offer says about its lines.  Must never know: which lines and codecs we take, answers, sockets.

Clients write SDP in many ways.  The reader therefore refuses only text that it cannot divide into lines and m-lines, or that is
larger than its bounds.  What the relay does not need is not read: names, candidates (the relay is ICE-lite and sends no check),
unknown attributes, lines of another form.

The parser is ours because `aiortc.sdp` answers hostile text with AssertionError, KeyError or StopIteration, knows neither
rid nor simulcast, and would bring FFmpeg into the packets' process; it stays the oracle of the tests.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError

MAX_BYTES: Final = 160 << 10
"""Chromium's wall of 16 slots is 80 KB."""
MAX_LINES: Final = 6000
MAX_MEDIA: Final = 33

_BYTE_ORDER_MARK: Final = "\ufeff"
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}")
_PROTOCOL: Final = re.compile(r"[A-Za-z0-9.+-]{1,16}(?:/[A-Za-z0-9.+-]{1,16}){0,4}")
_PORT: Final = re.compile(r"([0-9]{1,10})(?:/[0-9]{1,10})?")
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_VISIBLE: Final = re.compile(r"[!-~]+")
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_RTCP: Final = range(64, 96)
"""Payload types that cannot be told from RTCP on one port (RFC 5761 §4)."""


@dataclass(slots=True)
class Section:
    """The session part or one m-line with its attributes, in order."""

    media: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> Iterator[str]:
        """Values of every attribute of this name, without white space around them."""
        return (value.strip() for key, value in self.attributes if key == name)

    def first(self, name: str) -> str | None:
        """Value of the first attribute of this name."""
        return next(self.all(name), None)

    def has(self, name: str) -> bool:
        """Return whether the attribute is there."""
        return self.first(name) is not None

    def direction(self) -> str | None:
        """Return the direction that stands here, None where none does."""
        return next((name for name, _ in self.attributes if name in _DIRECTIONS), None)


@dataclass(frozen=True, slots=True, eq=False)
class MediaOffer:
    """One m-line as it was offered.

    `number`: its place, from 1, as refusals name it.  `mid`: "" where it has none.  `is_disabled`: its port is 0 and it is not
    bundle-only.  `formats` as written; `payload_types` those of them that RTP can use here, in the offerer's order.
    """

    number: int
    kind: str
    mid: str
    protocol: str
    direction: str
    is_disabled: bool
    formats: tuple[str, ...]
    payload_types: tuple[int, ...]
    section: Section
    session: Section

    def all(self, name: str) -> Iterator[str]:
        """Values of an attribute of this line, then of those that the session part has for every line."""
        yield from self.section.all(name)
        yield from self.session.all(name)

    @property
    def is_bundle_only(self) -> bool:
        """Whether the line exists only inside its bundle (RFC 9143 §6); its transport may then stand on another line."""
        return self.section.has("bundle-only")


@dataclass(frozen=True, slots=True)
class Offer:
    """A whole offer.  `bundles`: the mids of each BUNDLE group, in its order, as far as they are those of m-lines."""

    session: Section
    media: tuple[MediaOffer, ...]
    bundles: tuple[tuple[str, ...], ...]

    def bundle_of(self, media: MediaOffer) -> tuple[MediaOffer, ...]:
        """Return the lines that share this line's transport, in the order of their group: itself alone without a group."""
        group = next((group for group in self.bundles if media.mid and media.mid in group), None)
        if group is None:
            return (media,)
        by_mid = {entry.mid: entry for entry in reversed(self.media)}
        return tuple(by_mid[mid] for mid in group)


def invalid(detail: str) -> TheirError:
    """The text breaks SDP's or WebRTC's rules."""
    return TheirError(Kind.INVALID, f"SDP: {detail}", code=Code.SDP_INVALID)


def not_acceptable(detail: str) -> TheirError:
    """The text is right, but lacks what we need to serve it."""
    return TheirError(Kind.NOT_ACCEPTABLE, detail, code=Code.SDP_UNSUPPORTED)


def too_large(detail: str) -> TheirError:
    """The text is beyond one of our bounds."""
    return TheirError(Kind.TOO_LARGE, f"SDP: {detail}", code=Code.SDP_TOO_LARGE)


def parse_offer(text: str) -> Offer:
    """Read an offer.  Raises `TheirError` INVALID or TOO_LARGE."""
    lines = split_lines(text)
    if not lines or lines[0].rstrip() != "v=0":
        raise invalid("it does not begin with v=0")
    session, *sections = sections_of(lines)
    if not sections:
        raise invalid("it has no m-line")
    media = tuple(_media(number, section, session) for number, section in enumerate(sections, 1))
    return Offer(session, media, _bundles(session, {entry.mid for entry in media}))


def _bundles(session: Section, mids: set[str]) -> tuple[tuple[str, ...], ...]:
    groups = itertools.islice((value.split() for value in session.all("group")), MAX_MEDIA)
    return tuple(tuple(mid for mid in dict.fromkeys(words[1:]) if mid in mids) for words in groups if words[:1] == ["BUNDLE"])


def split_lines(text: str) -> list[str]:
    """Split into lines `x=...`, bounded; drop lines of another form.  Raises `TheirError`."""
    if len(text) > MAX_BYTES:
        raise too_large(f"more than {MAX_BYTES} bytes")
    if "\0" in text:
        raise invalid("it has a character of value 0")
    lines = re.split("[\r\n]+", text.removeprefix(_BYTE_ORDER_MARK))
    if len(lines) > MAX_LINES:
        raise too_large(f"more than {MAX_LINES} lines")
    return [line for line in lines if line[1:2] == "=" and line[0].isalpha()]


def sections_of(lines: list[str]) -> list[Section]:
    """Group lines: the session part first, then one per m-line.  Raises `TheirError` where m-lines are too many."""
    sections = [Section()]
    for line in lines:
        kind, value = line[0], line[2:]
        if kind == "m":
            sections.append(Section(value.strip()))
        elif kind == "a":
            name, _, rest = value.partition(":")
            sections[-1].attributes.append((name.strip(), rest))
    if len(sections) > MAX_MEDIA + 1:
        raise too_large(f"more than {MAX_MEDIA} m-lines")
    return sections


def number(text: str, low: int, high: int) -> int | None:
    """Read a bounded decimal; None where it is none."""
    return int(text) if _DIGITS.fullmatch(text) and low <= int(text) <= high else None


def is_visible(text: str, longest: int) -> bool:
    """Return whether text is of visible ASCII and at most so long: then it may come back in our answer."""
    return len(text) <= longest and _VISIBLE.fullmatch(text) is not None


def _media(place: int, section: Section, session: Section) -> MediaOffer:
    words = section.media.split()
    if len(words) < 4:
        raise invalid(f"m-line {place} lacks kind, port, protocol or format")
    kind, port, protocol, *formats = words
    count = _PORT.fullmatch(port)
    if _TOKEN.fullmatch(kind) is None or count is None or _PROTOCOL.fullmatch(protocol) is None:
        raise invalid(f"m-line {place} has a malformed kind, port or protocol")
    types = (number(text, 0, 127) for text in formats)
    return MediaOffer(
        number=place,
        kind=kind.lower(),
        mid=section.first("mid") or "",
        protocol=protocol,
        direction=section.direction() or session.direction() or "sendrecv",
        is_disabled=int(count[1]) == 0 and not section.has("bundle-only"),
        formats=tuple(formats),
        payload_types=tuple(dict.fromkeys(found for found in types if found is not None and found not in _RTCP)),
        section=section,
        session=session,
    )
