"""Answers for a camera and for a viewer.

Owns: what we agree to, and the text that says so.  Must never know: sockets, cameras' names, policy.

Towards cameras: transport-wide feedback, so that a phone's encoder follows its radio.  Towards viewers it is left out,
because with it Chromium sends no REMB; `playout-delay` and abs-send-time are answered.

Nothing of an offer comes back in an answer but names of visible ASCII that both sides must write alike: kinds, protocols, mids,
rids, formats, known parameters.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from relay.transport.sdp_codecs import URIS, cname_of, extensions_of, rids_of, rtpmap_of, ssrcs_of
from relay.transport.sdp_fmtp import repeated
from relay.transport.sdp_lines import Choice, Wanted, choose_lines, is_srtp
from relay.transport.sdp_offer import MAX_BYTES, MediaOffer, Offer, is_visible, parse_offer
from relay.transport.sdp_types import (
    Codec,
    Extensions,
    Fingerprint,
    Local,
    MediaIn,
    MediaKind,
    MediaOut,
    PublisherAnswer,
    Remote,
    ViewerAnswer,
)

_FROM_CAMERA: Final = frozenset({"nack", "nack pli", "nack sli", "ccm fir", "goog-remb", "transport-cc"})
_FROM_VIEWER: Final = frozenset({"nack", "nack pli", "ccm fir", "goog-remb"})
_VIEWERS_PROFILE: Final = "42001f"
"""Chromium never offers High, yet decodes it, and anything else, on this one's payload type."""
_HOST: Final = 126
_HOST_TCP: Final = 90
_CAMERA_EXTENSIONS: Final = frozenset({"mid", "abs_send_time", "transport_cc", "rid", "rrid"})
_VIEWER_EXTENSIONS: Final = frozenset({"mid", "abs_send_time", "playout_delay"})
_SHORT_MID: Final = 16
"""Bytes of a value in the one-byte form of header extensions, the only form in which we send them (RFC 8285 §4.2)."""
_CAMERA: Final = Wanted(("sendonly", "sendrecv"), 1, _FROM_CAMERA)


def answer_publisher(
    offer: str, local: Local, *, sound: bool = True, more: Callable[[], Local] | None = None
) -> PublisherAnswer:
    """Answer a camera; without `sound` its audio m-line is answered inactive, and is no part of what was agreed.

    The first video line that can be served is taken, and the first such audio line of its transport; others are declined.
    `more` makes credentials for the sound of a camera that does not bundle it; without `more` such sound is declined.  Raises
    `TheirError`: INVALID (cannot be read, or breaks WebRTC's rules), TOO_LARGE, NOT_ACCEPTABLE; the detail names what the relay
    needs and the offer lacks.
    """
    parsed = parse_offer(offer)
    choice = choose_lines(parsed, _CAMERA if more is None or not sound else replace(_CAMERA, sound_apart=True))
    taken = {media: (_media_in(media, codec), local, choice.remote) for media, codec in choice.taken.items()}
    apart = choice.apart
    sound_apart = (more(), apart.remote) if more is not None and apart is not None else None
    if apart is not None and sound_apart is not None:
        taken[apart.media] = (_media_in(apart.media, apart.codec), *sound_apart)
    lines = _session(local, parsed, choice)
    for media in parsed.media:
        if media not in taken:
            lines += _not_taken(media, local, choice)
            continue
        entry, ours, theirs = taken[media]
        lines += _transport(media, ours, theirs, entry.codec)
        # Inactive rather than refused with port 0: the bundle's transport may hang on this very m-line.
        is_muted = entry.kind == "audio" and not sound
        lines += ["a=inactive", *_codec_lines(entry.codec)] if is_muted else _received(entry)
    entries = [entry for entry, *_ in taken.values()]
    video = next(entry for entry in entries if entry.kind == "video")
    audio = next((entry for entry in entries if entry.kind == "audio" and sound), None)
    has_other_sound = any(media.kind == "audio" and _would_send(media) for media in choice.reasons)
    is_sound_declined = sound and audio is None and has_other_sound
    return PublisherAnswer(_text(lines), choice.remote, video, audio, choice.declined, is_sound_declined, sound_apart)


def _would_send(media: MediaOffer) -> bool:
    return not media.is_disabled and media.direction in _CAMERA.directions


def answer_viewer(offer: str, local: Local, max_slots: int = 16) -> ViewerAnswer:
    """Answer a viewer: every video m-line is a slot, at most `max_slots`, one audio m-line.  Raises as `answer_publisher`."""
    parsed = parse_offer(offer)
    choice = choose_lines(parsed, Wanted(("recvonly", "sendrecv", "inactive"), max_slots, _FROM_VIEWER, _VIEWERS_PROFILE))
    cname = secrets.token_hex(8)
    ssrcs = _new_ssrcs(2 * len(choice.taken))
    taken = {media: _media_out(media, codec, ssrcs) for media, codec in choice.taken.items()}
    is_wall = len(choice.of_kind("video")) > 1
    lines = _session(local, parsed, choice)
    for media in parsed.media:
        entry = taken.get(media)
        if entry is None:
            lines += _not_taken(media, local, choice)
            continue
        lines += _transport(media, local, choice.remote, entry.codec)
        # Chromium plays sound and picture of one stream id in step: right for a single camera, wrong across a wall's slots.
        name = entry.mid if len(entry.mid) in range(1, _SHORT_MID + 1) else str(media.number)
        lines += _sent(entry, f"relay-{name}" if is_wall else "relay", f"{entry.kind}-{name}", cname)
    videos = tuple(entry for entry in taken.values() if entry.kind == "video")
    audio = next((entry for entry in taken.values() if entry.kind == "audio"), None)
    return ViewerAnswer(_text(lines), choice.remote, videos, audio, cname, choice.declined)


def setup_for(remote: Remote) -> str:
    """Our DTLS role as an attribute (RFC 8842 §5.3): passive wherever we may choose, so that we choose the SRTP profile."""
    return "active" if remote.setup == "passive" else "passive"


def candidate_lines(local: Local) -> list[str]:
    """Our host candidates (RFC 8839 §5.1, RFC 8445 §5.1.2.1; TCP below all of UDP), and that there are no more."""
    lines = [
        f"a=candidate:{at + 1} 1 udp {_priority(_HOST, 65535 - at)} {host} {port} typ host"
        for at, (host, port) in enumerate(local.candidates)
    ]
    if local.has_tcp:
        lines += [
            f"a=candidate:{at + 101} 1 tcp {_priority(_HOST_TCP, 65535 - at)} {host} {port} typ host tcptype passive"
            for at, (host, port) in enumerate(local.candidates)
        ]
    return [*lines, "a=end-of-candidates"]


def _priority(kind: int, preference: int) -> int:
    return kind << 24 | preference << 8 | 255


def credential_lines(local: Local) -> list[str]:
    """Our ICE credentials."""
    return [f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.pwd}"]


def _media_in(media: MediaOffer, codec: Codec) -> MediaIn:
    extensions = extensions_of(media, _CAMERA_EXTENSIONS if media.mid else _CAMERA_EXTENSIONS - {"mid"}, "recvonly")
    # Without the header extension the layers could not be told apart: then the camera sends one stream.
    rids = rids_of(media, codec.payload_type) if extensions.rid is not None else ()
    primaries, repairs = ssrcs_of(media)
    return MediaIn(
        kind=_kind(media),
        mid=media.mid,
        codec=codec,
        extensions=extensions if rids else replace(extensions, rid=None, rrid=None),
        ssrcs=primaries,
        rtx=repairs,
        rids=rids,
        cname=cname_of(media),
    )


def _media_out(media: MediaOffer, codec: Codec, ssrcs: list[int]) -> MediaOut:
    has_short_mid = 0 < len(media.mid) <= _SHORT_MID
    return MediaOut(
        kind=_kind(media),
        mid=media.mid,
        codec=codec,
        extensions=extensions_of(media, _VIEWER_EXTENSIONS if has_short_mid else _VIEWER_EXTENSIONS - {"mid"}, "sendonly"),
        ssrc=ssrcs.pop(),
        rtx_ssrc=None if codec.rtx_payload_type is None else ssrcs.pop(),
        active=media.direction != "inactive",
    )


def _kind(media: MediaOffer) -> MediaKind:
    return "video" if media.kind == "video" else "audio"


def _new_ssrcs(count: int) -> list[int]:
    """Random, distinct, never 0 (which some stacks read as `none`)."""
    found: set[int] = set()
    while len(found) < count:
        found.add(secrets.randbelow((1 << 32) - 1) + 1)
    return list(found)


def _session(local: Local, offer: Offer, choice: Choice) -> list[str]:
    """The session part.  Of several transports we have one, so that there is one group at most (RFC 9143 §7.3)."""
    mids = [media.mid for media in choice.group if media in choice.taken or _is_kept(media, choice)]
    return [
        "v=0",
        f"o=- {secrets.randbits(62)} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        *([f"a=group:BUNDLE {' '.join(mids)}"] if choice.has_group else []),
        "a=msid-semantic: WMS *",
    ]


def _is_kept(media: MediaOffer, choice: Choice) -> bool:
    """Whether a line that is not wanted stays, inactive, because it is the first of its bundle.

    A line that is declined takes its transport with it (RFC 9143 §7.3.1).  That is the bundle's: bundle-only lines have none of
    their own, and Chromium under the policy max-bundle cannot apply such an answer.
    """
    is_first = choice.has_group and media is choice.group[0] and media not in choice.taken
    can_stay = media.kind in ("video", "audio") and is_srtp(media) and not media.is_disabled
    return bool(is_first and can_stay and media.payload_types)


def _not_taken(media: MediaOffer, local: Local, choice: Choice) -> list[str]:
    """A line that is not wanted: port 0 (RFC 8829 §5.3.1), or kept inactive for the sake of its bundle."""
    if _is_kept(media, choice):
        payload_type = media.payload_types[0]
        lines = [*_transport_lines(media, local, choice.remote, str(payload_type)), "a=inactive"]
        return [*lines, *rtpmap_of(media, payload_type)]
    # aiortc wants credentials on every line, also on one that is declined.
    return [*_transport_lines(media, local, choice.remote, _first_format(media), port=0), "a=inactive"]


def _first_format(media: MediaOffer) -> str:
    """One format, which an answer needs on a declined line too; those of RTP are numbers."""
    if media.payload_types:
        return str(media.payload_types[0])
    is_name = media.kind not in ("video", "audio") and is_visible(media.formats[0], 64)
    return media.formats[0] if is_name else "0"


def _transport(media: MediaOffer, local: Local, remote: Remote, codec: Codec) -> list[str]:
    formats = [codec.payload_type] if codec.rtx_payload_type is None else [codec.payload_type, codec.rtx_payload_type]
    return _transport_lines(media, local, remote, " ".join(map(str, formats)))


def _transport_lines(media: MediaOffer, local: Local, remote: Remote, formats: str, port: int | None = None) -> list[str]:
    """Candidates stand in every section, not in the bundle's first alone: aiortc takes those of the last one.

    `port`: 0 declines the line; None is the port of our first candidate.
    """
    host, ours = local.candidates[0]
    return [
        f"m={media.kind} {ours if port is None else port} {media.protocol} {formats}",
        f"c=IN {'IP6' if ':' in host else 'IP4'} {host}",
        *candidate_lines(local),
        *credential_lines(local),
        f"a=fingerprint:{_fingerprint(local.fingerprint)}",
        f"a=setup:{setup_for(remote)}",
        *([f"a=mid:{media.mid}"] if is_visible(media.mid, MAX_BYTES) else []),
        "a=rtcp-mux",
        *(["a=rtcp-rsize"] if media.section.has("rtcp-rsize") else []),
    ]


def _received(entry: MediaIn) -> list[str]:
    lines = ["a=recvonly", *_extension_lines(entry.extensions), *_codec_lines(entry.codec)]
    if entry.rids:
        lines += [f"a=rid:{rid} recv" for rid in entry.rids]
        lines.append(f"a=simulcast:recv {';'.join(entry.rids)}")
    return lines


def _sent(entry: MediaOut, stream: str, track: str, cname: str) -> list[str]:
    lines = [*_extension_lines(entry.extensions), *_codec_lines(entry.codec)]
    if not entry.active:
        return ["a=inactive", *lines]
    lines = ["a=sendonly", f"a=msid:{stream} {track}", *lines]
    if entry.rtx_ssrc is not None:
        lines.append(f"a=ssrc-group:FID {entry.ssrc} {entry.rtx_ssrc}")
        return [*lines, f"a=ssrc:{entry.ssrc} cname:{cname}", f"a=ssrc:{entry.rtx_ssrc} cname:{cname}"]
    return [*lines, f"a=ssrc:{entry.ssrc} cname:{cname}"]


def _codec_lines(codec: Codec) -> list[str]:
    payload_type = codec.payload_type
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    lines = [f"a=rtpmap:{payload_type} {codec.name}/{codec.clock_rate}{channels}"]
    lines += [f"a=rtcp-fb:{payload_type} {feedback}" for feedback in sorted(codec.feedback)]
    fmtp = repeated(codec.fmtp)
    if fmtp:
        lines.append(f"a=fmtp:{payload_type} {fmtp}")
    if codec.rtx_payload_type is not None:
        lines.append(f"a=rtpmap:{codec.rtx_payload_type} rtx/{codec.clock_rate}")
        lines.append(f"a=fmtp:{codec.rtx_payload_type} apt={payload_type}")
    return lines


def _extension_lines(extensions: Extensions) -> list[str]:
    ids = ((getattr(extensions, name), uri) for name, uri in URIS.items())
    return [f"a=extmap:{identifier} {uri}" for identifier, uri in ids if identifier is not None]


def _fingerprint(fingerprint: Fingerprint) -> str:
    return f"{fingerprint.algorithm} {fingerprint.digest.hex(':').upper()}"


def _text(lines: list[str]) -> str:
    return "\r\n".join(lines) + "\r\n"
