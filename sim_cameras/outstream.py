"""One outgoing RTP stream made of a clip: headers, history, resends, sender reports.

Owns: sequence numbers and timestamps of one SSRC (and of its RTX companion).  Must never know: sockets, encryption or clocks
but the times it is given.
"""

import dataclasses
import random
import struct

from sim_cameras.clip import Clip
from sim_cameras.ntp import ntp64

_HISTORY = 1024
_SDES_CNAME = 1
_ONE_BYTE = 0xBEDE
_BILLION = 1_000_000_000

MID_EXTENSION = 1
TIME_EXTENSION = 3
RID_EXTENSION = 4
REPAIRED_RID_EXTENSION = 5


@dataclasses.dataclass(frozen=True)
class StreamId:
    """Identity of a stream, as the offer gives it."""

    mid: str
    payload_type: int
    ssrc: int
    rtx_payload_type: int | None = None
    rtx_ssrc: int | None = None
    rid: str | None = None


class OutStream:
    """Packets of one clip, played in a loop; jumps to its first keyframe when one is asked for."""

    def __init__(self, identity: StreamId, clip: Clip, seed: int) -> None:
        start = random.Random(seed)  # noqa: S311 - repeatable beginnings, not secrets
        self.identity = identity
        self.clip = clip
        self._first = _extensions(identity, RID_EXTENSION)
        self._again = _extensions(identity, REPAIRED_RID_EXTENSION)
        self._sequence = start.randrange(1 << 15)
        self._rtx_sequence = start.randrange(1 << 15)
        self._timestamp = start.randrange(1 << 32)
        self._next = 0 if clip.kind == "video" else start.randrange(len(clip.frames))
        self._history: list[tuple[int, bytes] | None] = [None] * _HISTORY
        self._packets = self._octets = 0
        self._sent_at_ns = 0
        self.keyframes_asked = 0
        self.nacked = 0

    @property
    def started(self) -> bool:
        """Whether a frame was sent; before that no sender report can be made."""
        return self._packets > 0

    def ask_keyframe(self) -> None:
        """Go back to the first frame, which is a keyframe."""
        self.keyframes_asked += 1
        self._next = 0

    def frame(self, utc_ns: int) -> list[bytes]:
        """Return the packets of the next frame, captured and sent at `utc_ns`."""
        frame = self.clip.frames[self._next]
        self._next = (self._next + 1) % len(self.clip.frames)
        self._timestamp = (self._timestamp + self.clip.step) & 0xFFFFFFFF
        self._sent_at_ns = utc_ns
        identity, extensions = self.identity, self._with_time(self._first, utc_ns)
        out, last = [], len(frame.payloads) - 1
        for index, payload in enumerate(frame.payloads):
            marker = 0x80 if index == last and self.clip.kind == "video" else 0
            kind = identity.payload_type | marker
            header = struct.pack("!BBHII", 0x90, kind, self._sequence, self._timestamp, identity.ssrc)
            packet = header + extensions + payload
            self._history[self._sequence % _HISTORY] = (self._sequence, packet)
            self._sequence = (self._sequence + 1) & 0xFFFF
            self._octets += len(payload)
            out.append(packet)
        self._packets += len(out)
        return out

    def resend(self, sequence: int, utc_ns: int) -> bytes | None:
        """Return the RTX packet (RFC 4588) of a lost packet, or None if it is too old or the stream has no RTX."""
        self.nacked += 1
        held, identity = self._history[sequence % _HISTORY], self.identity
        if held is None or held[0] != sequence or identity.rtx_ssrc is None or identity.rtx_payload_type is None:
            return None
        packet = held[1]
        kind = packet[1] & 0x80 | identity.rtx_payload_type
        timestamp = packet[4:8]
        header = struct.pack("!BBH", 0x90, kind, self._rtx_sequence) + timestamp + struct.pack("!I", identity.rtx_ssrc)
        self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
        body = packet[16 + 4 * int.from_bytes(packet[14:16], "big") :]
        return header + self._with_time(self._again, utc_ns) + struct.pack("!H", sequence) + body

    def report(self, utc_ns: int) -> bytes:
        """Return a sender report and its CNAME (RFC 3550 §6.4.1), for now."""
        elapsed = (utc_ns - self._sent_at_ns) * self.clip.clock_rate // _BILLION
        ntp, timestamp = ntp64(utc_ns), (self._timestamp + elapsed) & 0xFFFFFFFF
        counts = self._packets & 0xFFFFFFFF, self._octets & 0xFFFFFFFF
        sender = struct.pack("!BBHIQIII", 0x80, 200, 6, self.identity.ssrc, ntp, timestamp, *counts)
        return sender + self._description()

    def bye(self) -> bytes:
        """Return an empty receiver report and a BYE (RFC 3550 §6.6)."""
        return struct.pack("!BBHIBBHI", 0x80, 201, 1, self.identity.ssrc, 0x81, 203, 1, self.identity.ssrc)

    def _description(self) -> bytes:
        name = b"sim-camera"
        chunk = struct.pack("!IBB", self.identity.ssrc, _SDES_CNAME, len(name)) + name
        chunk += bytes(4 - len(chunk) % 4)
        return struct.pack("!BBH", 0x81, 202, len(chunk) // 4) + chunk

    def _with_time(self, extensions: bytes, utc_ns: int) -> bytes:
        """Return the header extension with the time of sending filled in; its element comes first (`_extensions`)."""
        return extensions[:5] + (ntp64(utc_ns) >> 14 & 0xFFFFFF).to_bytes(3, "big") + extensions[8:]


def _extensions(identity: StreamId, rid_id: int) -> bytes:
    """Return the header extension (RFC 8285 one-byte form): abs-send-time (zero yet), mid and, with simulcast, rid."""
    body = _element(TIME_EXTENSION, bytes(3)) + _element(MID_EXTENSION, identity.mid.encode())
    if identity.rid is not None:
        body += _element(rid_id, identity.rid.encode())
    body += bytes(-len(body) % 4)
    return struct.pack("!HH", _ONE_BYTE, len(body) // 4) + body


def _element(number: int, value: bytes) -> bytes:
    return bytes([number << 4 | len(value) - 1]) + value
