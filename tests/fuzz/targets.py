"""One target per part that meets hostile bytes: whatever comes in, only the documented errors may come out.

Each target takes bytes and returns; a seed of each kind lets a fuzzer begin beyond the first check.  For a parser the bytes are
its input.  For a part with a state they are a program of steps: `port`, `recording`, `handshake` and `live_socket` have modules
of their own, which say what must hold after each step.
"""

import contextlib
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from relay.base.counters import Counters
from relay.base.errors import Kind, OurError, TheirError
from relay.channel import framing, messages
from relay.evidence import boxes
from relay.evidence.playable import CopySamples
from relay.evidence.records import TrackKind
from relay.protocol import camera as live_camera
from relay.protocol import page as live_page
from relay.protocol import wire
from relay.rtp import h264, header, opus, rtcp
from relay.rtp.picture_ends import PictureEnds, Relation
from relay.transport import dtls, sdp, srtp, srtp_keys, stun
from tests.fuzz import handshake, live_socket, port, recording
from tests.support.clients import CLIENT_IDENTITY, Client, binding_request, still_port
from tests.support.recordings import MemoryReader

OFFERS: Final = Path(__file__).parent.parent / "unit" / "transport" / "offers"
LOCAL: Final = sdp.Local("abcd1234", "p" * 32, sdp.Fingerprint("sha-256", bytes(32)), (("127.0.0.1", 4000),))
CONTEXT: Final = dtls.Context(CLIENT_IDENTITY)
KEYS: Final = {profile: bytes(srtp_keys.exported_size(profile) // 2) for profile in srtp_keys.PROFILES}

RTP: Final = struct.pack("!BBHII", 0x90, 0x60, 7, 9000, 0x1234) + b"\xbe\xde\0\2\x10\xaa\x32\1\2\3\0\0" + b"\x65payload"
SENDER_REPORT: Final = struct.pack("!BBHIQIII", 0x80, 200, 6, 0x1234, 1 << 40, 9000, 10, 1000)
NACK: Final = struct.pack("!BBHIIHH", 0x81, 205, 3, 1, 2, 65530, 0xFFFF)
PLI: Final = struct.pack("!BBHII", 0x81, 206, 2, 1, 2)
REMB: Final = struct.pack("!BBHII4sII", 0x8F, 206, 5, 1, 0, b"REMB", 0x01010000, 2)
SPS: Final = bytes.fromhex("6742c01fda014016e840000003004000000c83c60ca8")
BOX: Final = b"\0\0\0\x10moof\0\0\0\x08mfhd"


def fuzz_stun(data: bytes) -> None:
    """Binding requests."""
    with contextlib.suppress(stun.StunError):
        stun.is_authentic(data, stun.parse_request(data), stun.Key(b"password"))
        stun.ufrag_of(data)


def fuzz_rtp(data: bytes) -> None:
    """RTP headers, extensions, RTX."""
    with contextlib.suppress(TheirError):
        parsed = header.parse(data)
        header.unwrap_rtx(data, parsed, 1, 96)
        for identifier, start, length in header.extensions(data, parsed):
            assert 0 <= start <= start + length <= len(data), identifier


def fuzz_rtcp(data: bytes) -> None:
    """RTCP compounds."""
    with contextlib.suppress(TheirError):
        rtcp.parse(data)


def fuzz_h264(data: bytes) -> None:
    """H.264 payloads and parameter sets."""
    for parse in (h264.units, h264.inspect, h264.parse_sps, h264.is_b_slice):
        with contextlib.suppress(TheirError):
            parse(data)
    ends = PictureEnds()
    for unit in h264.split(data):
        ends.learn(unit)
        assert ends.relation(unit, data) in Relation
        with contextlib.suppress(TheirError):
            ends.continues(unit, data)


def fuzz_opus(data: bytes) -> None:
    """Opus packets."""
    with contextlib.suppress(TheirError):
        opus.samples(data)


def fuzz_sdp(data: bytes) -> None:
    """Offers of cameras and viewers."""
    text = data.decode("latin-1")
    for answer in (partial(sdp.answer_publisher, more=lambda: LOCAL), sdp.answer_viewer):
        with contextlib.suppress(TheirError):
            answer(text, LOCAL)


def fuzz_fragment(data: bytes) -> None:
    """Trickle and restart fragments."""
    with contextlib.suppress(TheirError):
        sdp.answer_fragment(LOCAL, sdp.parse_fragment(data.decode("latin-1")))


def fuzz_srtp(data: bytes) -> None:
    """SRTP and SRTCP under both profiles."""
    for profile, key in KEYS.items():
        session = srtp_keys.make_session(profile, key, key)
        for unseal in (session.open_rtp, session.open_rtcp):
            with contextlib.suppress(srtp.SrtpError):
                unseal(data)


def fuzz_dtls(data: bytes) -> None:
    """Handshakes, datagrams cut at every 0xff."""
    for role in ("client", "server"):
        endpoint = dtls.Endpoint(CONTEXT, role, ())
        endpoint.start(0.0)
        for datagram in filter(None, data.split(b"\xff")):
            endpoint.feed(datagram, 0.0)


def fuzz_datagram(data: bytes) -> None:
    """The port's demultiplexing: from a stranger, and from a peer that shakes hands."""
    with still_port() as (still, clock), Client(still, clock) as client:
        client.check()
        client.deliver(data, ("127.0.0.1", 9))
        client.deliver(data)
        assert isinstance(still.counters, Counters)


def fuzz_channel(data: bytes) -> None:
    """Frames between our own processes: what does not decode is our error."""
    with contextlib.suppress(OurError):
        framing.unpack(data)


def fuzz_live(data: bytes) -> None:
    """Messages of pages and cameras over their live sockets."""
    for read in (live_page.read, live_camera.read):
        with contextlib.suppress(TheirError):
            read(data)


def fuzz_boxes(data: bytes) -> None:
    """MP4 boxes of a recording that somebody hands to the verifier."""
    for parse in (lambda: list(boxes.walk(data)), lambda: boxes.movie_tracks(data), lambda: _read_copy(data)):
        with contextlib.suppress(TheirError):
            parse()


def _read_copy(data: bytes) -> None:
    copy = CopySamples(MemoryReader({"copy.mp4": b"\0\0\0\x08ftyp" + data}), "copy.mp4")
    for kind in TrackKind:
        for _ in range(1000):
            if (found := copy.next(kind)) is None:
                break
            copy.read(found[0])


def fuzz_port(data: bytes) -> None:
    """Sequences of datagrams from several addresses, with time passing."""
    port.run(data)


def fuzz_recording(data: bytes) -> None:
    """Sequences of RTP packets with their times, judged by the verifier's rules."""
    recording.run(data)


def fuzz_handshake(data: bytes) -> None:
    """DTLS records before, during and after a real handshake."""
    handshake.run(data)


def fuzz_live_socket(data: bytes) -> None:
    """Sequences of messages over live sockets."""
    live_socket.run(data)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    name.removeprefix("fuzz_"): target for name, target in list(globals().items()) if name.startswith("fuzz_")
}

FRAGMENT: Final = (
    b"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"
)

SEEDS: Final[dict[str, list[bytes]]] = {
    "stun": [binding_request("abcd:them", "password", transaction=bytes(12))],
    "rtp": [RTP],
    "rtcp": [SENDER_REPORT + NACK, PLI, REMB],
    "h264": [b"\x7c\x85" + bytes(20), b"\x78\0\4\x67abc\0\2\x68a", b"\x65\x88", SPS],
    "opus": [b"\xfc" + bytes(20), b"\x7b\x83" + bytes(20)],
    "sdp": [path.read_bytes() for path in sorted(OFFERS.glob("*.sdp"))],
    "fragment": [FRAGMENT],
    "srtp": [srtp_keys.make_session(profile, key, key).seal(RTP[:24], RTP[24:], 7) for profile, key in KEYS.items()],
    "dtls": dtls.Endpoint(CONTEXT, "client", ()).start(0.0),
    "datagram": [binding_request("abcd:them", "password", transaction=bytes(12)), RTP, b"\x16\xfe\xfd" + bytes(20)],
    "channel": [framing.pack(framing.FrameKind.ASK, 1, messages.Refused(Kind.GONE, "x"))[4:]],
    "live": [
        wire.encode(live_page.Assign("wall", 1, 0, "pm-1", "intervention", "low")),
        wire.encode(live_camera.Press("biens", "vitrine")),
        wire.encode(live_camera.Beat(93.0, 48.1, -1.0, 5.0, 7)),
    ],
    "boxes": [BOX],
    "port": port.SEEDS,
    "recording": recording.SEEDS,
    "handshake": handshake.SEEDS,
    "live_socket": live_socket.SEEDS,
}
