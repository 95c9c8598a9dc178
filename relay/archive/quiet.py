"""Silence in a plain fragment that has no sound, for players.

Owns: the boxes of that silence.  Must never know: keys, people, HTTP, sealed bytes.

An init segment names the sound that was announced, also before its first packet and where none ever came.  Browsers play only
what they have of all tracks that it names: they would skip such pictures, or wait for ever.  Silence is put into what is sent
to a player, and nowhere else.
"""

import struct
from collections.abc import Iterable
from typing import Final

from relay.evidence.boxes import walk
from relay.evidence.records import Link, TrackKind

SOUND_TRACK: Final = 2
PICTURE_RATE, SOUND_RATE = 90_000, 48_000
PACKET: Final = b"\xf8\xff\xfe"
"""20 ms of silence in Opus (RFC 6716 §3.1: CELT, one frame)."""
PACKET_TICKS: Final = 960
MAX_PACKETS: Final = 3000
"""One minute: no fragment is longer."""


def names_sound(init: bytes) -> bool:
    """Return whether an init segment has a track of sound."""
    return b"vide" in init and b"soun" in init  # handler types (ISO/IEC 14496-12 §8.4.3); the relay made these bytes itself


def heard_span(links: Iterable[Link]) -> tuple[int, int] | None:
    """Return from when to when a recording has sound (ticks of the picture's clock), None where it has none."""
    parts = [part for link in links for part in link.tracks if part.kind is TrackKind.AUDIO]
    if not parts:
        return None
    first, last = min(part.first for part in parts), max(part.end for part in parts)
    return first * PICTURE_RATE // SOUND_RATE, last * PICTURE_RATE // SOUND_RATE


def silent_ticks(link: Link, heard: tuple[int, int] | None) -> int:
    """Return how long (ticks of the picture's clock) a fragment has silence beside its pictures, from its beginning.

    Only before the recording's first sound and behind its last (`heard_span`), in whole packets.  Between them a fragment of
    pictures alone has its sound in another one, because it came earlier or later.
    """
    if len(link.tracks) != 1 or link.tracks[0].kind is not TrackKind.VIDEO:
        return 0
    pictures = link.tracks[0]
    if heard is None or pictures.first >= heard[1]:
        return pictures.duration
    packet = PACKET_TICKS * PICTURE_RATE // SOUND_RATE
    return max(0, min(pictures.end, heard[0]) - pictures.first) // packet * packet


def with_silence(data: bytes, ticks: int) -> bytes:
    """Return a fragment of pictures alone with silence beside them, `ticks` (of the picture's clock) long.

    A fragment of another form is returned as it is.
    """
    boxes = [box for _, box in walk(data)]
    found = {box.kind: box for box in boxes}
    if [box.kind for box in boxes].count(b"traf") != 1 or not {b"moof", b"tfdt", b"trun", b"mdat"} <= found.keys():
        return data
    moof, tfdt, trun, mdat = found[b"moof"], found[b"tfdt"], found[b"trun"], found[b"mdat"]
    start = int.from_bytes(data[tfdt.payload + 4 : tfdt.payload + 12], "big") * SOUND_RATE // PICTURE_RATE
    packets = min(max(ticks * SOUND_RATE // PICTURE_RATE // PACKET_TICKS, 1), MAX_PACKETS)
    size = len(_traf(start, packets, 0))
    head = bytearray(data[moof.start : moof.end])
    _add(head, 0, size)
    _add(head, trun.payload + 8 - moof.start, size)  # data offset of the pictures, from the beginning of `moof`
    sound = _traf(start, packets, len(head) + size + mdat.end - mdat.start)
    rest = bytearray(data[mdat.start : mdat.end])
    _add(rest, 0, packets * len(PACKET))
    return b"".join((data[: moof.start], head, sound, data[moof.end : mdat.start], rest, PACKET * packets, data[mdat.end :]))


def _add(data: bytearray, at: int, more: int) -> None:
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + more).to_bytes(4, "big")


def _traf(start: int, packets: int, offset: int) -> bytes:
    """Return the `traf` of the silence; `offset` is where its bytes lie, from the beginning of `moof`."""
    header = _full(
        b"tfhd", 0, 0x020000 | 0x08 | 0x10 | 0x20, struct.pack(">IIII", SOUND_TRACK, PACKET_TICKS, len(PACKET), 0x02000000)
    )
    time = _full(b"tfdt", 1, 0, struct.pack(">Q", start))
    run = _full(b"trun", 0, 0x01, struct.pack(">II", packets, offset))
    return _box(b"traf", header + time + run)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, body: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags) + body)
