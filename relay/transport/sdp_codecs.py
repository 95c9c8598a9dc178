"""What an m-line offers: codecs, feedback, header extensions, streams (RFC 8866, RFC 4585, RFC 4588, RFC 5576, RFC 8285,
RFC 8853).

Owns: reading an m-line's attributes into facts, and the choice of one payload type.  Must never know: answers.

An attribute that cannot be read is as good as absent.  It costs what it would have brought, never the offer.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from relay.transport.sdp_fmtp import Fmtp
from relay.transport.sdp_offer import MediaOffer, number
from relay.transport.sdp_types import Codec, Extensions

NEEDED: Final = {
    "video": "H264/90000 with packetization-mode 1 or 0, of any profile",
    "audio": "opus/48000/2",
}
"""What we take, by kind of line."""
URIS: Final = {
    "mid": "urn:ietf:params:rtp-hdrext:sdes:mid",
    "abs_send_time": "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "playout_delay": "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    "transport_cc": "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "rid": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "rrid": "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
}
MAX_LAYERS: Final = 3
MAX_SSRCS: Final = 16
MAX_EXTMAPS: Final = 128
"""Lines that are read for one m-line; browsers offer less than twenty."""
MAX_RID: Final = 255
"""Bytes that a header extension can carry (RFC 8285 §4.3)."""
_STATIC: Final = {0: "PCMU", 3: "GSM", 4: "G723", 5: "DVI4", 7: "LPC", 8: "PCMA", 9: "G722", 13: "CN", 18: "G729", 26: "JPEG",
                  31: "H261", 32: "MPV", 33: "MP2T", 34: "H263"}  # fmt: skip
"""Payload types that need no rtpmap (RFC 3551 §6): none is ours, but a refusal names them."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,24}")
_RID: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_RID}}}")
_CNAME: Final = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    clock_rate: int
    channels: int
    fmtp: Fmtp

    def __str__(self) -> str:
        """Its name; of H.264 also what decides whether we take it."""
        if self.name.lower() != "h264":
            return self.name
        return f"{self.name}/{self.clock_rate} with packetization-mode {self.mode}"

    @property
    def mode(self) -> str:
        """The packetization-mode of H.264, "?" where it is malformed; absent means 0 (RFC 6184 §8.1)."""
        found = self.fmtp.get("packetization-mode") or "0"
        return found if found in ("0", "1", "2") else "?"

    @property
    def profile(self) -> str:
        """The profile-level-id of H.264, "" where it is absent."""
        return (self.fmtp.get("profile-level-id") or "").lower()


def choose_codec(media: MediaOffer, feedback: frozenset[str], first_choice: str = "") -> Codec | None:
    """Choose the payload type to use and its RTX: H.264, or Opus; None where the line offers neither.

    H.264's profile is not matched, since the relay never decodes.  Of several payload types one with packetization-mode 1 goes
    first, then one whose profile-level-id is `first_choice`, then the offerer's order.
    """
    formats = _formats(media)
    usable = [pt for pt in media.payload_types if pt in formats and _is_ours(media.kind, formats[pt])]
    if not usable:
        return None
    chosen = min(usable, key=lambda pt: (formats[pt].mode != "1", formats[pt].profile != first_choice))
    entry = formats[chosen]
    rtx = [pt for pt in media.payload_types if pt in formats and _repairs(formats[pt], chosen)]
    return Codec(
        payload_type=chosen,
        name=entry.name,
        clock_rate=entry.clock_rate,
        channels=entry.channels,
        fmtp=entry.fmtp.text,
        feedback=_feedback(media, chosen) & feedback,
        rtx_payload_type=rtx[0] if rtx else None,
        packetization_mode=int(entry.mode) if media.kind == "video" else None,
    )


def offered_names(media: MediaOffer) -> str:
    """Name the encodings that a line offers, for a refusal."""
    formats = _formats(media)
    names = (str(formats[pt]) if pt in formats else _STATIC.get(pt, "") for pt in media.payload_types)
    return ", ".join(sorted({name for name in names if name})[:8]) or "nothing that has an rtpmap"


def rtpmap_of(media: MediaOffer, payload_type: int) -> list[str]:
    """Return the rtpmap line of a payload type as an answer repeats it, none where it has no readable one."""
    entry = _formats(media).get(payload_type)
    channels = f"/{entry.channels}" if entry is not None and entry.channels > 1 else ""
    return [] if entry is None else [f"a=rtpmap:{payload_type} {entry.name}/{entry.clock_rate}{channels}"]


def extensions_of(media: MediaOffer, wanted: frozenset[str], not_for_us: str) -> Extensions:
    """Ids of the header extensions that both sides want; only ids that fit the one-byte form (1 to 14).

    `not_for_us`: the direction, as the offerer writes it, in which we do not use extensions.  An id that stands for two
    extensions stands for none.
    """
    uris: dict[int, str] = {}
    ambiguous: set[int] = set()
    for identifier, uri, direction in _extmaps(media):
        if uris.setdefault(identifier, uri) != uri:
            ambiguous.add(identifier)
        if direction in (not_for_us, "inactive"):
            uris[identifier] = ""
    ids: dict[str, int] = {}
    for identifier, uri in uris.items():
        name = next((name for name, known in URIS.items() if known == uri), None)
        if name in wanted and identifier not in ambiguous:
            ids.setdefault(name, identifier)
    return Extensions(**ids)


def _extmaps(media: MediaOffer) -> Iterator[tuple[int, str, str]]:
    """Yield (id, URI, direction or "")."""
    for value in itertools.islice(media.all("extmap"), MAX_EXTMAPS):
        words = value.split()
        text, _, direction = words[0].partition("/") if words else ("", "", "")
        identifier = number(text, 1, 14)
        if identifier is not None and len(words) > 1:
            yield identifier, words[1], direction


def rids_of(media: MediaOffer, payload_type: int) -> tuple[str, ...]:
    """Simulcast layers that the peer would send with this payload type (RFC 8853 §5.1), at most three.

    Of each layer the first alternative that is declared.  () where the attribute names none, or none that can be told apart.
    """
    words = (media.section.first("simulcast") or "").split()
    if "send" not in words[:-1:2]:
        return ()
    declared = set(_declared_rids(media, payload_type))
    streams = words[words.index("send") + 1].removeprefix("rid=").split(";")
    rids = [next((rid for each in stream.split(",") if (rid := each.lstrip("~")) in declared), None) for stream in streams]
    found = tuple(dict.fromkeys(rid for rid in rids if rid is not None))
    return found[:MAX_LAYERS]


def _declared_rids(media: MediaOffer, payload_type: int) -> Iterator[str]:
    """Yield the rids of a=rid lines that send, and may carry this payload type (RFC 8851 §4)."""
    for value in media.section.all("rid"):
        rid, direction, restrictions = (*value.split(maxsplit=2), "", "", "")[:3]
        types = next((item.strip()[3:] for item in restrictions.split(";") if item.strip().startswith("pt=")), "")
        if direction == "send" and _RID.fullmatch(rid) and (not types or str(payload_type) in types.split(",")):
            yield rid


def ssrcs_of(media: MediaOffer) -> tuple[tuple[int, ...], dict[int, int]]:
    """Primary SSRCs in order, and RTX SSRC -> primary (a=ssrc, a=ssrc-group:FID); at most 16 of each."""
    words = (value.split() for value in media.section.all("ssrc"))
    announced = dict.fromkeys(ssrc for line in words if line and (ssrc := _ssrc(line[0])) is not None)
    repairs: dict[int, int] = {}
    for value in media.section.all("ssrc-group"):
        group = value.split()
        if group[:1] == ["FID"] and len(group) == 3 and len(repairs) < MAX_SSRCS:
            primary, repair = _ssrc(group[1]), _ssrc(group[2])
            if primary is not None and repair is not None:
                repairs[repair] = primary
    return tuple(ssrc for ssrc in announced if ssrc not in repairs)[:MAX_SSRCS], repairs


def cname_of(media: MediaOffer) -> str | None:
    """The CNAME that the peer's SSRCs carry."""
    for value in media.section.all("ssrc"):
        _, _, attribute = value.partition(" ")
        if attribute.startswith("cname:") and _CNAME.fullmatch(attribute[6:]):
            return attribute[6:]
    return None


def _formats(media: MediaOffer) -> dict[int, _Format]:
    """Payload types with a readable rtpmap; the first rtpmap of a payload type counts, and all of its fmtp lines."""
    parameters: dict[int, list[str]] = {}
    for payload_type, text in _by_payload_type(media, "fmtp"):
        parameters.setdefault(payload_type, []).append(text)
    formats: dict[int, _Format] = {}
    for payload_type, text in _by_payload_type(media, "rtpmap"):
        found = _format(text, ";".join(parameters.get(payload_type, [])))
        if found is not None:
            formats.setdefault(payload_type, found)
    return formats


def _by_payload_type(media: MediaOffer, attribute: str) -> Iterator[tuple[int, str]]:
    for value in media.section.all(attribute):
        text, _, rest = value.partition(" ")
        payload_type = number(text, 0, 127)
        if payload_type is not None:
            yield payload_type, rest.strip()


def _format(encoding: str, fmtp: str) -> _Format | None:
    name, *rest = encoding.split("/")
    clock_rate = number(rest[0], 1, 1_000_000) if rest else None
    channels = number(rest[1], 1, 255) if len(rest) > 1 else 1
    if clock_rate is None or channels is None or len(rest) > 2 or _NAME.fullmatch(name) is None:
        return None
    return _Format(name, clock_rate, channels, Fmtp(fmtp))


def _is_ours(kind: str, entry: _Format) -> bool:
    if kind == "video":
        return entry.name.lower() == "h264" and entry.clock_rate == 90000 and entry.mode in ("0", "1")
    return kind == "audio" and entry.name.lower() == "opus" and entry.clock_rate == 48000


def _repairs(entry: _Format, payload_type: int) -> bool:
    return entry.name.lower() == "rtx" and entry.fmtp.get("apt") == str(payload_type)


def _feedback(media: MediaOffer, payload_type: int) -> frozenset[str]:
    found = set()
    for value in media.section.all("rtcp-fb"):
        text, _, rest = value.partition(" ")
        if text in ("*", str(payload_type)):
            found.add(" ".join(rest.split()).lower())
    return frozenset(found)


def _ssrc(text: str) -> int | None:
    return number(text, 0, (1 << 32) - 1)
