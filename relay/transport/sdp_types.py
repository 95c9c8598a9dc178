"""The facts of a session description, frozen.

Owns: the vocabulary of `relay.transport.sdp`.  Must never know: SDP's syntax, sockets, cameras' names, policy.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Setup: TypeAlias = Literal["actpass", "active", "passive"]
MediaKind: TypeAlias = Literal["video", "audio"]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """RFC 8122: `algorithm` is sha-256, sha-384 or sha-512; `digest` raw bytes."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Remote:
    """What the transport needs of an offer.  `pwd` is "" where the offer has none: an ICE-lite agent never uses it."""

    ufrag: str
    pwd: str
    fingerprints: tuple[Fingerprint, ...]
    setup: Setup


@dataclass(frozen=True, slots=True)
class Local:
    """What the transport puts into an answer; made by `Port.new_local()`.  `candidates`: (address, port) as advertised.

    `has_tcp`: the same addresses and port also take ICE over TCP (RFC 6544, passive).
    """

    ufrag: str
    pwd: str
    fingerprint: Fingerprint
    candidates: tuple[tuple[str, int], ...]
    has_tcp: bool = False


@dataclass(frozen=True, slots=True)
class Codec:
    """One chosen payload type and the RTX payload type that repairs it.

    `fmtp`: all parameters as offered, sprop-parameter-sets among them (`sdp_fmtp`).  `feedback` e.g. {"nack", "nack pli"}.
    `packetization_mode`: of H.264, 1, or 0 (single units only) where the peer knows nothing else; None for sound.
    """

    payload_type: int
    name: str
    clock_rate: int
    channels: int
    fmtp: str
    feedback: frozenset[str]
    rtx_payload_type: int | None
    packetization_mode: int | None = None


@dataclass(frozen=True, slots=True)
class Extensions:
    """Header extension ids agreed (RFC 8285), None where the peer does not have it."""

    mid: int | None = None
    abs_send_time: int | None = None
    playout_delay: int | None = None
    transport_cc: int | None = None
    rid: int | None = None
    rrid: int | None = None


@dataclass(frozen=True, slots=True)
class MediaIn:
    """One m-line of a camera; `mid` is "" where it has none.

    `ssrcs`: primary streams as announced (may be empty: learn from the first packet by mid/rid or payload type);
    `rtx`: RTX SSRC -> primary SSRC; `rids`: simulcast layers in the camera's own order, else empty.
    """

    kind: MediaKind
    mid: str
    codec: Codec
    extensions: Extensions
    ssrcs: tuple[int, ...]
    rtx: dict[int, int]
    rids: tuple[str, ...]
    cname: str | None


@dataclass(frozen=True, slots=True)
class MediaOut:
    """One m-line towards a viewer with our SSRCs; `rtx_ssrc` None where the viewer offered no RTX.

    `active` is False where the viewer asked for nothing (inactive).
    """

    kind: MediaKind
    mid: str
    codec: Codec
    extensions: Extensions
    ssrc: int
    rtx_ssrc: int | None
    active: bool


@dataclass(frozen=True, slots=True)
class PublisherAnswer:
    """Answer to a camera (WHIP).  `declined`: a sentence for each m-line that was not taken, for people.

    `is_sound_declined`: whether the camera would send sound, and none was taken although it was wanted.  `sound_apart`: both
    sides' transport of the sound, where it is not bundled with the picture.
    """

    text: str
    remote: Remote
    video: MediaIn
    audio: MediaIn | None
    declined: tuple[str, ...] = ()
    is_sound_declined: bool = False
    sound_apart: tuple[Local, Remote] | None = None


@dataclass(frozen=True, slots=True)
class ViewerAnswer:
    """Answer to a viewer (WHEP or wall): slot i is `videos[i]`, in the order of the video m-lines that were taken.

    `cname` for SDES; `declined` as for a camera.
    """

    text: str
    remote: Remote
    videos: tuple[MediaOut, ...]
    audio: MediaOut | None
    cname: str
    declined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SdpFragment:
    """An RFC 8840 fragment: ufrag (None where it has none), number of candidates, whether there are no more."""

    ufrag: str | None
    candidates: int
    complete: bool
    mids: tuple[str, ...]
