"""Answers for a camera and for a viewer.

Owns: what we agree to, and the text that says so.  Must never know: sockets, cameras' names, policy.

Towards cameras: transport-wide feedback, so that a phone's encoder follows its radio.  Towards viewers it is left out,
because with it Chromium sends no REMB; `playout-delay` and abs-send-time are answered.
"""

import secrets
from typing import Final

from relay.transport.sdp_codecs import ACCEPTED, URIS, choose_codec, cname_of, extensions_of, rids_of, ssrcs_of
from relay.transport.sdp_offer import MediaOffer, not_acceptable, parse_offer
from relay.transport.sdp_types import (
    Codec,
    Extensions,
    Fingerprint,
    Local,
    MediaIn,
    MediaOut,
    PublisherAnswer,
    Remote,
    ViewerAnswer,
)

_FROM_CAMERA: Final = frozenset({"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"})
_FROM_VIEWER: Final = frozenset({"nack", "nack pli", "ccm fir", "goog-remb"})
_VIEWERS_PROFILE: Final = "42001f"
"""Chromium never offers High, yet decodes it, and anything else, on this one's payload type."""
_HOST: Final = 126
_HOST_TCP: Final = 90
_CAMERA_EXTENSIONS: Final = frozenset({"mid", "abs_send_time", "transport_cc", "rid", "rrid"})
_VIEWER_EXTENSIONS: Final = frozenset({"mid", "abs_send_time", "playout_delay"})


def answer_publisher(offer: str, local: Local, *, sound: bool = True) -> PublisherAnswer:
    """Answer a camera; without `sound` its audio m-line is answered inactive, and is no part of what was agreed.

    Raises `TheirError`: INVALID (cannot be parsed or breaks WebRTC's rules), TOO_LARGE, NOT_ACCEPTABLE (two videos, no H.264
    with packetization-mode 1, no BUNDLE ...; the detail says what is accepted).
    """
    parsed = parse_offer(offer)
    videos = [media for media in parsed.media if media.kind == "video"]
    audios = [media for media in parsed.media if media.kind == "audio"]
    if len(videos) != 1 or len(audios) > 1:
        raise not_acceptable(f"accepted: exactly one video and at most one audio; {ACCEPTED}")
    for media in parsed.media:
        if media.direction not in ("sendonly", "sendrecv"):
            raise not_acceptable("a camera must offer to send (sendonly)")
    video = _media_in(videos[0])
    heard = _media_in(audios[0]) if audios else None
    audio = heard if sound else None
    by_mid = {entry.mid: entry for entry in (video, heard) if entry is not None}
    lines = _session(local, parsed.media)
    for media in parsed.media:
        entry = by_mid[media.mid]
        lines += _transport(media, local, parsed.remote, entry.codec)
        # Inactive rather than refused with port 0: the bundle's transport may hang on this very m-line.
        lines += ["a=inactive", *_codec_lines(entry.codec)] if entry is heard and not sound else _received(entry)
    return PublisherAnswer(_text(lines), parsed.remote, video, audio)


def answer_viewer(offer: str, local: Local, max_slots: int = 16) -> ViewerAnswer:
    """Answer a viewer: every video m-line is a slot, one audio m-line at most.  Raises as `answer_publisher`."""
    parsed = parse_offer(offer)
    kinds = [media.kind for media in parsed.media]
    if not 1 <= kinds.count("video") <= max_slots or kinds.count("audio") > 1:
        raise not_acceptable(f"accepted: 1 to {max_slots} video m-lines and at most one audio; {ACCEPTED}")
    if any(media.direction == "sendonly" for media in parsed.media):
        raise not_acceptable("a viewer must offer to receive (recvonly)")
    cname = secrets.token_hex(8)
    ssrcs = _new_ssrcs(2 * len(parsed.media))
    out = [_media_out(media, ssrcs) for media in parsed.media]
    lines = _session(local, parsed.media)
    for media, entry in zip(parsed.media, out, strict=True):
        lines += _transport(media, local, parsed.remote, entry.codec)
        # Chromium plays sound and picture of one stream id in step: right for a single camera, wrong across a wall's slots.
        stream = "relay" if kinds.count("video") == 1 else f"relay-{entry.mid}"
        lines += _sent(entry, stream, cname)
    videos = tuple(entry for entry in out if entry.kind == "video")
    audio = next((entry for entry in out if entry.kind == "audio"), None)
    return ViewerAnswer(_text(lines), parsed.remote, videos, audio, cname)


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


def _media_in(media: MediaOffer) -> MediaIn:
    rids = rids_of(media)
    wanted = _CAMERA_EXTENSIONS if rids else _CAMERA_EXTENSIONS - {"rid", "rrid"}
    primaries, repairs = ssrcs_of(media)
    return MediaIn(
        kind=media.kind,
        mid=media.mid,
        codec=choose_codec(media, _FROM_CAMERA),
        extensions=extensions_of(media, wanted),
        ssrcs=primaries,
        rtx=repairs,
        rids=rids,
        cname=cname_of(media),
    )


def _media_out(media: MediaOffer, ssrcs: list[int]) -> MediaOut:
    codec = choose_codec(media, _FROM_VIEWER, _VIEWERS_PROFILE)
    return MediaOut(
        kind=media.kind,
        mid=media.mid,
        codec=codec,
        extensions=extensions_of(media, _VIEWER_EXTENSIONS),
        ssrc=ssrcs.pop(),
        rtx_ssrc=None if codec.rtx_payload_type is None else ssrcs.pop(),
        active=media.direction != "inactive",
    )


def _new_ssrcs(count: int) -> list[int]:
    """Random, distinct, never 0 (which some stacks read as `none`)."""
    found: set[int] = set()
    while len(found) < count:
        found.add(secrets.randbelow((1 << 32) - 1) + 1)
    return list(found)


def _session(local: Local, media: tuple[MediaOffer, ...]) -> list[str]:
    return [
        "v=0",
        f"o=- {secrets.randbits(62)} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {' '.join(entry.mid for entry in media)}",
        "a=msid-semantic: WMS *",
    ]


def _transport(media: MediaOffer, local: Local, remote: Remote, codec: Codec) -> list[str]:
    """Candidates stand in every section, not in the bundle's first alone: aiortc takes those of the last one."""
    host, port = local.candidates[0]
    formats = [codec.payload_type] if codec.rtx_payload_type is None else [codec.payload_type, codec.rtx_payload_type]
    return [
        f"m={media.kind} {port} {media.protocol} {' '.join(map(str, formats))}",
        f"c=IN {'IP6' if ':' in host else 'IP4'} {host}",
        *candidate_lines(local),
        *credential_lines(local),
        f"a=fingerprint:{_fingerprint(local.fingerprint)}",
        f"a=setup:{setup_for(remote)}",
        f"a=mid:{media.mid}",
        "a=rtcp-mux",
        *(["a=rtcp-rsize"] if media.section.has("rtcp-rsize") else []),
    ]


def _received(entry: MediaIn) -> list[str]:
    lines = ["a=recvonly", *_extension_lines(entry.extensions), *_codec_lines(entry.codec)]
    if entry.rids:
        lines += [f"a=rid:{rid} recv" for rid in entry.rids]
        lines.append(f"a=simulcast:recv {';'.join(entry.rids)}")
    return lines


def _sent(entry: MediaOut, stream: str, cname: str) -> list[str]:
    lines = [*_extension_lines(entry.extensions), *_codec_lines(entry.codec)]
    if not entry.active:
        return ["a=inactive", *lines]
    lines = ["a=sendonly", f"a=msid:{stream} {entry.kind}-{entry.mid}", *lines]
    if entry.rtx_ssrc is not None:
        lines.append(f"a=ssrc-group:FID {entry.ssrc} {entry.rtx_ssrc}")
        return [*lines, f"a=ssrc:{entry.ssrc} cname:{cname}", f"a=ssrc:{entry.rtx_ssrc} cname:{cname}"]
    return [*lines, f"a=ssrc:{entry.ssrc} cname:{cname}"]


def _codec_lines(codec: Codec) -> list[str]:
    payload_type = codec.payload_type
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    lines = [f"a=rtpmap:{payload_type} {codec.name}/{codec.clock_rate}{channels}"]
    lines += [f"a=rtcp-fb:{payload_type} {feedback}" for feedback in sorted(codec.feedback)]
    if codec.fmtp:
        lines.append(f"a=fmtp:{payload_type} {codec.fmtp}")
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
