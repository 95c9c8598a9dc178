"""What an m-line offers: codecs, feedback, header extensions, streams (RFC 8866, RFC 4585, RFC 4588, RFC 5576, RFC 8285,
RFC 8853).

Owns: reading an m-line's attributes into facts, and the choice of one payload type.  Must never know: answers.
"""

import re
from dataclasses import dataclass
from typing import Final

from relay.transport.sdp_offer import MediaOffer, invalid, not_acceptable, number
from relay.transport.sdp_types import Codec, Extensions

ACCEPTED: Final = "accepted: video H264/90000 with packetization-mode=1 (any profile), audio opus/48000/2"
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
_FMTP: Final = re.compile(r"[A-Za-z0-9 =;,+/._-]{0,256}")
# Of RFC 6184 §8.1, RFC 7587 §6.1 and RFC 4588 §8.6: the parameters whose value is a number.
_NUMBERS: Final = frozenset(
    [
        "packetization-mode",
        "level-asymmetry-allowed",
        "max-mbps",
        "max-fs",
        "max-cpb",
        "max-dpb",
        "max-br",
        "max-fr",
        "minptime",
        "maxptime",
        "ptime",
        "maxplaybackrate",
        "sprop-maxcapturerate",
        "maxaveragebitrate",
        "stereo",
        "sprop-stereo",
        "cbr",
        "useinbandfec",
        "usedtx",
        "apt",
        "rtx-time",
    ]
)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,24}")
_RID: Final = re.compile(r"[A-Za-z0-9]{1,16}")
_CNAME: Final = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    clock_rate: int
    channels: int
    fmtp: str

    def parameter(self, name: str) -> str | None:
        for item in self.fmtp.split(";"):
            key, _, value = item.strip().partition("=")
            if key.lower() == name:
                return value
        return None


def choose_codec(media: MediaOffer, feedback: frozenset[str], first_choice: str = "") -> Codec:
    """Choose the payload type to use and its RTX: H.264 with packetization-mode 1, or Opus, in the offerer's order.

    H.264's profile is not matched, since the relay never decodes; among those usable one whose profile-level-id is
    `first_choice` goes first.  Raises `TheirError` NOT_ACCEPTABLE naming what was offered and what is accepted.
    """
    formats = _formats(media)
    usable = [pt for pt in media.payload_types if pt in formats and _is_ours(media.kind, formats[pt])]
    if not usable:
        offered = sorted({entry.name for entry in formats.values()})[:8]
        raise not_acceptable(f"{media.kind}: offered {', '.join(offered) or 'nothing'}; {ACCEPTED}")
    wanted = [pt for pt in usable if (formats[pt].parameter("profile-level-id") or "").lower() == first_choice]
    chosen = (wanted or usable)[0]
    entry = formats[chosen]
    rtx = [pt for pt in media.payload_types if pt in formats and _repairs(formats[pt], chosen)]
    return Codec(
        payload_type=chosen,
        name=entry.name,
        clock_rate=entry.clock_rate,
        channels=entry.channels,
        fmtp=_well_formed(entry.fmtp),
        feedback=_feedback(media, chosen) & feedback,
        rtx_payload_type=rtx[0] if rtx else None,
    )


def extensions_of(media: MediaOffer, wanted: frozenset[str]) -> Extensions:
    """Ids of the header extensions that both sides want; only ids that fit the one-byte form (1 to 14)."""
    ids: dict[str, int] = {}
    seen: set[int] = set()
    for value in media.section.all("extmap"):
        words = value.split(" ")
        if len(words) < 2:
            raise invalid("an extmap of a wrong form")
        identifier = number(words[0].partition("/")[0], 1, 4351, "an extmap id")
        if identifier in seen:
            raise invalid("an extmap id used twice")
        seen.add(identifier)
        name = next((name for name, uri in URIS.items() if uri == words[1]), None)
        if name in wanted and identifier <= 14:
            ids.setdefault(name, identifier)
    return Extensions(**ids)


def rids_of(media: MediaOffer) -> tuple[str, ...]:
    """Simulcast layers that the peer would send (RFC 8853 §5.1), the first alternative of each, at most three."""
    simulcast = media.section.first("simulcast")
    if simulcast is None:
        return ()
    words = simulcast.split()
    if "send" not in words[:-1:2]:
        return ()
    streams = words[words.index("send") + 1].split(";")
    rids = [stream.split(",")[0].lstrip("~") for stream in streams]
    declared = {words[0] for value in media.section.all("rid") if (words := value.split()) and words[1:2] == ["send"]}
    if len(set(rids)) != len(rids) or any(_RID.fullmatch(rid) is None or rid not in declared for rid in rids):
        raise invalid("simulcast names rids that are not declared")
    return tuple(rids[:MAX_LAYERS])


def ssrcs_of(media: MediaOffer) -> tuple[tuple[int, ...], dict[int, int]]:
    """Primary SSRCs in order, and RTX SSRC -> primary (a=ssrc, a=ssrc-group:FID)."""
    announced: dict[int, None] = {}
    for value in media.section.all("ssrc"):
        announced[_ssrc(value.partition(" ")[0])] = None
        if len(announced) > MAX_SSRCS:
            raise invalid(f"more than {MAX_SSRCS} SSRCs on an m-line")
    repairs: dict[int, int] = {}
    for value in media.section.all("ssrc-group"):
        words = value.split()
        if words[:1] == ["FID"] and len(words) == 3:
            repairs[_ssrc(words[2])] = _ssrc(words[1])
    if len(repairs) > MAX_SSRCS:
        raise invalid(f"more than {MAX_SSRCS} SSRC groups on an m-line")
    return tuple(ssrc for ssrc in announced if ssrc not in repairs), repairs


def cname_of(media: MediaOffer) -> str | None:
    """The CNAME that the peer's SSRCs carry."""
    for value in media.section.all("ssrc"):
        _, _, attribute = value.partition(" ")
        if attribute.startswith("cname:") and _CNAME.fullmatch(attribute[6:]):
            return attribute[6:]
    return None


def _formats(media: MediaOffer) -> dict[int, _Format]:
    parameters: dict[int, str] = {}
    for value in media.section.all("fmtp"):
        text, _, rest = value.partition(" ")
        parameters[number(text, 0, 127, "a payload type")] = rest
    formats: dict[int, _Format] = {}
    for value in media.section.all("rtpmap"):
        text, _, rest = value.partition(" ")
        payload_type = number(text, 0, 127, "a payload type")
        fmtp = parameters.get(payload_type, "")
        formats.setdefault(payload_type, _format(rest.strip(), fmtp))
    return formats


def _format(encoding: str, fmtp: str) -> _Format:
    name, *rest = encoding.split("/")
    if _NAME.fullmatch(name) is None or not 1 <= len(rest) <= 2:
        raise invalid("an rtpmap of a wrong form")
    clock_rate = number(rest[0], 1, 1_000_000, "a clock rate")
    channels = number(rest[1], 1, 255, "a channel count") if len(rest) == 2 else 1
    return _Format(name, clock_rate, channels, fmtp)


def _is_ours(kind: str, entry: _Format) -> bool:
    """`fmtp` goes back into our answer, so it must be harmless."""
    if _FMTP.fullmatch(entry.fmtp) is None:
        return False
    if kind == "video":
        return entry.name.lower() == "h264" and entry.clock_rate == 90000 and entry.parameter("packetization-mode") == "1"
    return entry.name.lower() == "opus" and entry.clock_rate == 48000


def _well_formed(fmtp: str) -> str:
    """Without the items whose value must be a number and is not: they would come back in our answer, and break its reader."""
    items = (item.strip() for item in fmtp.split(";"))
    return ";".join(item for item in items if not _is_malformed(*item.partition("=")[::2]))


def _is_malformed(name: str, value: str) -> bool:
    return name.lower() in _NUMBERS and not (value.isascii() and value.isdigit())


def _repairs(entry: _Format, payload_type: int) -> bool:
    return entry.name.lower() == "rtx" and entry.parameter("apt") == str(payload_type)


def _feedback(media: MediaOffer, payload_type: int) -> frozenset[str]:
    found = set()
    for value in media.section.all("rtcp-fb"):
        text, _, rest = value.partition(" ")
        if text in ("*", str(payload_type)):
            found.add(rest.strip())
    return frozenset(found)


def _ssrc(text: str) -> int:
    return number(text, 0, (1 << 32) - 1, "an SSRC")
