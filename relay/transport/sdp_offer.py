"""Offers, parsed and bounded (RFC 8866): text in, checked m-lines out.

Owns: SDP's syntax and the rules every offer must obey (one BUNDLE group, rtcp-mux, ICE, DTLS).
Must never know: which codecs we like, answers, sockets.

The parser is ours because `aiortc.sdp` answers hostile text with AssertionError, KeyError or StopIteration, knows neither
rid nor simulcast, and would bring FFmpeg into the packets' process; it stays the oracle of the tests.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.transport.sdp_types import Fingerprint, MediaKind, Remote, Setup

MAX_BYTES: Final = 160 << 10
"""Chromium's wall of 16 slots is 80 KB."""
MAX_LINES: Final = 6000
MAX_LINE: Final = 1024
MAX_MEDIA: Final = 33
MAX_CANDIDATES: Final = 100

_PROTOCOLS: Final = ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "TCP/TLS/RTP/SAVPF")
_DIGEST_SIZES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_ICE: Final = re.compile(r"[A-Za-z0-9+/]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(slots=True)
class Section:
    """The session part or one m-line with its attributes, in order."""

    media: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> Iterator[str]:
        """Values of every attribute of this name."""
        return (value for key, value in self.attributes if key == name)

    def first(self, name: str) -> str | None:
        """Value of the first attribute of this name."""
        return next(self.all(name), None)

    def has(self, name: str) -> bool:
        """Return whether the attribute is there."""
        return self.first(name) is not None


@dataclass(frozen=True, slots=True)
class MediaOffer:
    """One m-line that obeys the rules.  `payload_types` in the offerer's order of preference."""

    kind: MediaKind
    mid: str
    protocol: str
    direction: str
    payload_types: tuple[int, ...]
    section: Section


@dataclass(frozen=True, slots=True)
class Offer:
    """A whole offer.  All m-lines stand in one BUNDLE group."""

    remote: Remote
    media: tuple[MediaOffer, ...]


def invalid(detail: str) -> TheirError:
    """The text breaks SDP's or WebRTC's rules."""
    return TheirError(Kind.INVALID, f"SDP: {detail}", code=Code.SDP_INVALID)


def not_acceptable(detail: str) -> TheirError:
    """The text is right, but nothing we can serve."""
    return TheirError(Kind.NOT_ACCEPTABLE, detail, code=Code.SDP_UNSUPPORTED)


def parse_offer(text: str) -> Offer:
    """Parse and check an offer.  Raises `TheirError` INVALID, TOO_LARGE or NOT_ACCEPTABLE."""
    lines = split_lines(text)
    if not lines or lines[0] != "v=0":
        raise invalid("does not begin with v=0")
    session, *sections = sections_of(lines)
    if not sections:
        raise invalid("no m-line")
    if session.has("ice-lite"):
        raise not_acceptable("the offer is ICE-lite and so are we: one side must send checks")
    media = tuple(_media(section) for section in sections)
    _check_mids(session, media)
    return Offer(_remote(session, sections), media)


def split_lines(text: str) -> list[str]:
    """Split into lines, bounded.  Raises `TheirError`."""
    if len(text) > MAX_BYTES:
        raise TheirError(Kind.TOO_LARGE, f"SDP: more than {MAX_BYTES} bytes", code=Code.SDP_TOO_LARGE)
    if not text.isascii() or "\0" in text:
        raise invalid("not plain ASCII")
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if len(lines) > MAX_LINES:
        raise TheirError(Kind.TOO_LARGE, f"SDP: more than {MAX_LINES} lines", code=Code.SDP_TOO_LARGE)
    for line in lines:
        if len(line) > MAX_LINE:
            raise TheirError(Kind.TOO_LARGE, f"SDP: a line of more than {MAX_LINE} bytes", code=Code.SDP_TOO_LARGE)
        if line[1:2] != "=" or "\r" in line:
            raise invalid("a line that is not `x=...`")
    return lines


def sections_of(lines: list[str]) -> list[Section]:
    """Group lines: the session part first, then one per m-line.  Raises `TheirError` where m-lines are too many."""
    sections = [Section()]
    for line in lines:
        kind, value = line[0], line[2:]
        if kind == "m":
            sections.append(Section(value))
        elif kind == "a":
            name, _, rest = value.partition(":")
            sections[-1].attributes.append((name, rest))
    if len(sections) > MAX_MEDIA + 1:
        raise TheirError(Kind.TOO_LARGE, f"SDP: more than {MAX_MEDIA} m-lines", code=Code.SDP_TOO_LARGE)
    return sections


def number(text: str, low: int, high: int, what: str) -> int:
    """Read a bounded decimal.  Raises `TheirError` INVALID."""
    if _DIGITS.fullmatch(text) is None or not low <= int(text) <= high:
        raise invalid(f"{what} is not a number from {low} to {high}")
    return int(text)


def credentials_of(sections: list[Section]) -> tuple[str, str] | None:
    """The (ufrag, pwd) that the sections agree on, None where they name none.  Raises `TheirError` INVALID."""
    ufrags = {value for section in sections for value in section.all("ice-ufrag")}
    pwds = {value for section in sections for value in section.all("ice-pwd")}
    if not ufrags and not pwds:
        return None
    if len(ufrags) != 1 or len(pwds) != 1:
        raise invalid("one ice-ufrag and one ice-pwd are needed")
    ufrag, pwd = ufrags.pop(), pwds.pop()
    if not _is_ice(ufrag, 4) or not _is_ice(pwd, 22):
        raise invalid("ice-ufrag or ice-pwd of a wrong form")
    return ufrag, pwd


def check_candidates(sections: list[Section]) -> int:
    """Check every a=candidate (RFC 8839 §5.1) and return their number.  Raises `TheirError` INVALID or TOO_LARGE."""
    candidates = [value for section in sections for value in section.all("candidate")]
    if len(candidates) > MAX_CANDIDATES:
        raise TheirError(Kind.TOO_LARGE, f"SDP: more than {MAX_CANDIDATES} candidates", code=Code.SDP_TOO_LARGE)
    for value in candidates:
        _check_candidate(value)
    return len(candidates)


def check_mid(mid: str | None) -> str:
    """Return a usable mid: a token short enough for a one-byte header extension.  Raises `TheirError` INVALID."""
    if mid is None or len(mid) > 16 or _TOKEN.fullmatch(mid) is None:
        raise invalid("every m-line needs a mid of at most 16 characters")
    return mid


def _media(section: Section) -> MediaOffer:
    kind, _, rest = section.media.partition(" ")
    words = rest.split(" ")
    if len(words) < 3:
        raise invalid("an m-line without port, protocol and formats")
    port, protocol, *formats = words
    if kind not in ("video", "audio"):
        raise not_acceptable("m-lines other than video and audio are not accepted")
    if protocol not in _PROTOCOLS:
        raise not_acceptable("accepted: m-lines over UDP/TLS/RTP/SAVPF")
    if number(port, 0, 65535, "a port") == 0 and not section.has("bundle-only"):
        raise not_acceptable("disabled m-lines are not accepted")
    if not section.has("rtcp-mux"):
        raise not_acceptable("accepted: rtcp-mux on every m-line")
    types = tuple(number(text, 0, 127, "a payload type") for text in formats)
    if any(64 <= payload_type <= 95 for payload_type in types):
        raise invalid("payload types 64 to 95 cannot be told from RTCP (RFC 5761)")
    return MediaOffer(
        kind=cast(MediaKind, kind),
        mid=check_mid(section.first("mid")),
        protocol=protocol,
        direction=next((name for name, _ in section.attributes if name in _DIRECTIONS), "sendrecv"),
        payload_types=types,
        section=section,
    )


def _check_mids(session: Section, media: tuple[MediaOffer, ...]) -> None:
    mids = [entry.mid for entry in media]
    if len(set(mids)) != len(mids):
        raise invalid("two m-lines of the same mid")
    groups = [value.split()[1:] for value in session.all("group") if value.split()[:1] == ["BUNDLE"]]
    if len(groups) != 1 or sorted(groups[0]) != sorted(mids):
        raise not_acceptable("accepted: one BUNDLE group of all m-lines")


def _remote(session: Section, sections: list[Section]) -> Remote:
    """What holds for the one transport of the bundle; the first m-line goes before the session part."""
    carriers = [sections[0], session]
    credentials = credentials_of(sections) or credentials_of([session])
    if credentials is None:
        raise invalid("ice-ufrag and ice-pwd are missing")
    check_candidates([session, *sections])
    setups = [value for section in carriers for value in section.all("setup")]
    if not setups or setups[0] not in ("actpass", "active", "passive"):
        raise invalid("a=setup must be actpass, active or passive")
    fingerprints = next((found for section in carriers if (found := _fingerprints(section))), ())
    if not fingerprints:
        raise not_acceptable(f"accepted: a fingerprint of {', '.join(_DIGEST_SIZES)}")
    return Remote(*credentials, fingerprints, cast(Setup, setups[0]))


def _fingerprints(section: Section) -> tuple[Fingerprint, ...]:
    found = []
    for value in section.all("fingerprint"):
        algorithm, _, text = value.partition(" ")
        size = _DIGEST_SIZES.get(algorithm.lower())
        if size is None:
            continue
        if _FINGERPRINT.fullmatch(text) is None or len(text) != 3 * size - 1:
            raise invalid("a fingerprint of a wrong form")
        found.append(Fingerprint(algorithm.lower(), bytes.fromhex(text.replace(":", ""))))
    return tuple(found[:8])


def _check_candidate(value: str) -> None:
    words = value.split(" ")
    if len(words) < 8 or words[6] != "typ" or len(value) > 512:
        raise invalid("a candidate of a wrong form")
    if not _is_ice(words[0], 1) or len(words[0]) > 32:
        raise invalid("a candidate's foundation of a wrong form")
    number(words[1], 1, 256, "a candidate's component")
    number(words[3], 0, (1 << 32) - 1, "a candidate's priority")
    number(words[5], 0, 65535, "a candidate's port")
    if any(not word.isprintable() for word in words):
        raise invalid("a candidate of a wrong form")


def _is_ice(text: str, shortest: int) -> bool:
    return shortest <= len(text) <= 256 and _ICE.fullmatch(text) is not None
