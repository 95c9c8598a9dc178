"""The SDP offer of a camera that sends clips.

Owns: the text.  Must never know: transports: it is given their parameters.
"""

import dataclasses
from collections.abc import Sequence

from sim_cameras.outstream import MID_EXTENSION, REPAIRED_RID_EXTENSION, RID_EXTENSION, TIME_EXTENSION, StreamId

VIDEO, VIDEO_RTX, AUDIO = 102, 103, 111

_EXTENSIONS = {
    MID_EXTENSION: "urn:ietf:params:rtp-hdrext:sdes:mid",
    TIME_EXTENSION: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    RID_EXTENSION: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    REPAIRED_RID_EXTENSION: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
}


@dataclasses.dataclass(frozen=True)
class Transport:
    """The ICE and DTLS parameters of the camera."""

    ufrag: str
    password: str
    fingerprint: str
    """sha-256, upper-case, with colons."""
    candidates: tuple[str, ...]
    """Values of a=candidate."""


def build(transport: Transport, video: Sequence[StreamId], audio: StreamId | None) -> str:
    """Return the offer: one video section (simulcast where there are several streams), at most one of sound; send only."""
    sections = [(video[0].mid, _video(video))] + ([(audio.mid, _audio(audio))] if audio is not None else [])
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines += [f"a=group:BUNDLE {' '.join(mid for mid, _ in sections)}", "a=extmap-allow-mixed", "a=msid-semantic: WMS camera"]
    for mid, (media, codecs) in sections:
        lines += [media, "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0", f"a=mid:{mid}", "a=sendonly", "a=rtcp-mux"]
        lines += [f"a=ice-ufrag:{transport.ufrag}", f"a=ice-pwd:{transport.password}", "a=ice-options:trickle"]
        lines += [f"a=fingerprint:sha-256 {transport.fingerprint}", "a=setup:actpass", f"a=msid:camera {mid}"]
        lines += codecs
        lines += [f"a=candidate:{candidate}" for candidate in transport.candidates] + ["a=end-of-candidates"]
    return "\r\n".join(lines) + "\r\n"


def _video(streams: Sequence[StreamId]) -> tuple[str, list[str]]:
    lines = [
        f"a=rtpmap:{VIDEO} H264/90000",
        f"a=fmtp:{VIDEO} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        f"a=rtcp-fb:{VIDEO} nack",
        f"a=rtcp-fb:{VIDEO} nack pli",
        f"a=rtcp-fb:{VIDEO} goog-remb",
        f"a=rtpmap:{VIDEO_RTX} rtx/90000",
        f"a=fmtp:{VIDEO_RTX} apt={VIDEO}",
        *_extmaps(simulcast=len(streams) > 1),
    ]
    if len(streams) > 1:
        rids = [stream.rid for stream in streams if stream.rid is not None]
        lines += [f"a=rid:{rid} send" for rid in rids] + [f"a=simulcast:send {';'.join(rids)}"]
    else:
        (only,) = streams
        lines += [f"a=ssrc-group:FID {only.ssrc} {only.rtx_ssrc}"]
        lines += [f"a=ssrc:{ssrc} cname:sim-camera" for ssrc in (only.ssrc, only.rtx_ssrc)]
    return f"m=video 9 UDP/TLS/RTP/SAVPF {VIDEO} {VIDEO_RTX}", lines


def _audio(stream: StreamId) -> tuple[str, list[str]]:
    lines = [
        f"a=rtpmap:{AUDIO} opus/48000/2",
        f"a=fmtp:{AUDIO} minptime=10;useinbandfec=1",
        *_extmaps(simulcast=False),
        f"a=ssrc:{stream.ssrc} cname:sim-camera",
    ]
    return f"m=audio 9 UDP/TLS/RTP/SAVPF {AUDIO}", lines


def _extmaps(simulcast: bool) -> list[str]:
    return [
        f"a=extmap:{number} {uri}"
        for number, uri in _EXTENSIONS.items()
        if simulcast or number in (MID_EXTENSION, TIME_EXTENSION)
    ]
