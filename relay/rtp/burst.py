"""Media packets, the bursts they come in, and the wire buffer in which a burst is laid out for many legs.

Owns: the shapes that fan-out and transport share.  Must never know: keys, addresses, which legs exist.

A hundred legs send the same payloads in the same places; only SSRC, sequence number, timestamp and ciphertext differ.  A burst
is therefore laid out once per kind of leg (payload type, extensions, bytes of the tag) in one buffer.  Every leg in turn writes
its own values into that buffer, seals into it and sends from it: nothing is allocated per packet.  Packets a few bytes shorter
than their neighbours are padded (RFC 3550 §5.1), so that more of them fit into one segmented send.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from struct import Struct
from typing import TypeAlias

from relay.rtp.header import ONE_BYTE, build_extensions

MAX_BURST_PACKETS = 32
"""Packets per burst: as many as fit into one send, and the most for which one leg keeps the others waiting."""
MAX_PAD = 24
"""Bytes of padding per packet, at most."""
STAMP_SECONDS = 0.001
"""Seconds for which an abs-send-time may be reused."""

Item: TypeAlias = tuple[int, int, int, memoryview, bytes, memoryview]
"""(index, timestamp, where sequence/timestamp/SSRC are written, header, payload, place of the sealed payload)."""

Part: TypeAlias = tuple[bytes, bytes, int]
"""(RTP header with its extensions, payload, 48-bit index = ROC << 16 | SEQ): one packet to be sealed by itself."""

_ONE_BYTE = ONE_BYTE.to_bytes(2, "big")
_pack = Struct(">BB").pack_into
_item_index = itemgetter(0)
_media_index = attrgetter("index")


class MediaPacket:
    """A plain packet of a camera without its header; `index` is the unwrapped sequence number of its stream."""

    __slots__ = ("arrival", "droppable", "idr", "index", "keyframe", "marker", "payload", "timestamp")

    def __init__(
        self,
        index: int,
        timestamp: int,
        marker: bool,
        payload: bytes,
        arrival: float,
        *,
        keyframe: bool = False,
        idr: bool = False,
        droppable: bool = False,
    ) -> None:
        self.index = index
        self.timestamp = timestamp
        """RTP timestamp as the camera sent it, 32 bits."""
        self.marker = marker
        self.payload = payload
        self.arrival = arrival
        self.keyframe = keyframe
        """Begins a picture in which a decoder may start."""
        self.idr = idr
        """Belongs to the access unit of such a picture, or carries parameter sets."""
        self.droppable = droppable
        """No other picture refers to this one."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class HeaderTemplate:
    """The header that legs of one kind have in common; ids are None where the viewer does not have the extension.

    Compared by identity, because it is looked up for every burst and leg: the maker of legs gives equal ones the same object.
    """

    payload_type: int
    mid: bytes = b""
    mid_id: int | None = None
    abs_send_time_id: int | None = None
    playout_delay_id: int | None = None
    playout_delay: bytes = b""

    block: bytes = field(init=False, repr=False)
    """The extension block, with abs-send-time 0."""
    stamp_at: int | None = field(init=False, repr=False)
    """Where in it abs-send-time (1/262144 s in 24 bits) is written."""

    def __post_init__(self) -> None:
        """Build the block once: every burst carries it."""
        values: dict[int, bytes] = {}
        if self.abs_send_time_id is not None:
            values[self.abs_send_time_id] = bytes(3)
        if self.mid_id is not None:
            values[self.mid_id] = self.mid
        if self.playout_delay_id is not None:
            values[self.playout_delay_id] = self.playout_delay
        block = build_extensions(values)
        first = 5 if block[:2] == _ONE_BYTE else 6  # abs-send-time comes first
        object.__setattr__(self, "block", block)
        object.__setattr__(self, "stamp_at", None if self.abs_send_time_id is None else first)

    def extensions(self, now: float) -> bytes:
        """Return the extension block at `now`."""
        at = self.stamp_at
        return self.block if at is None else self.block[:at] + send_time(now) + self.block[at + 3 :]


LayoutKey: TypeAlias = tuple[HeaderTemplate, int]
"""(header template, bytes that sealing adds to a packet): legs with one key share a layout."""


def send_time(now: float) -> bytes:
    """Return an abs-send-time value."""
    return (int(now * 262144) & 0xFFFFFF).to_bytes(3, "big")


class Layout:
    """One burst in one buffer for legs of one kind.  `prepared` belongs to the sender, which caches its runs there."""

    __slots__ = ("_stamp_at", "_stamps", "buffer", "first", "gapped", "items", "last", "lengths", "prepared")

    def __init__(self, burst: "Burst", template: HeaderTemplate, overhead: int, now: float) -> None:
        block, stamp_at = template.extensions(now), template.stamp_at
        size = 12 + len(block)
        self.lengths = [size + len(payload) + overhead for payload in burst.payloads]
        self.buffer = bytearray(sum(self.lengths))
        self.items: list[Item] = []
        self.prepared: object = None
        self.first, self.last, self.gapped = burst.first, burst.last, burst.gapped
        self._stamps: list[int] = []
        self._stamp_at = now
        view = memoryview(self.buffer)
        at = 0
        for media, payload, length in zip(burst.packets, burst.payloads, self.lengths, strict=True):
            first = 0x80 | (0x10 if block else 0) | (0x20 if payload is not media.payload else 0)
            _pack(self.buffer, at, first, template.payload_type | 0x80 if media.marker else template.payload_type)
            view[at + 12 : at + size] = block
            sealed = view[at + size : at + length]
            self.items.append((media.index, media.timestamp, at + 2, view[at : at + size], payload, sealed))
            if stamp_at is not None:
                self._stamps.append(at + 12 + stamp_at)
            at += length

    def place(self, index: int) -> slice | None:
        """Return where in the buffer the packet of an index (without a leg's shift) lies."""
        place = bisect_left(self.items, index, key=_item_index)
        if place == len(self.items) or self.items[place][0] != index:
            return None
        at = sum(self.lengths[:place])
        return slice(at, at + self.lengths[place])

    def stamp(self, now: float) -> None:
        """Renew abs-send-time before another slice of legs is served."""
        if self._stamps and now - self._stamp_at >= STAMP_SECONDS:
            value = send_time(now)
            for at in self._stamps:
                self.buffer[at : at + 3] = value
            self._stamp_at = now


class Burst:
    """Packets with strictly rising indices, at most `MAX_BURST_PACKETS` of them."""

    __slots__ = ("_layouts", "arrival", "count", "first", "gapped", "last", "octets", "packets", "payloads", "timestamp")

    def __init__(self, packets: Sequence[MediaPacket]) -> None:
        self.packets = packets
        self.first = packets[0].index
        self.last = packets[-1].index
        self.gapped = self.last - self.first >= len(packets)
        """Whether indices between the first and the last are missing."""
        self.count = len(packets)
        self.arrival = packets[-1].arrival
        self.timestamp = packets[-1].timestamp
        self.payloads = _padded(packets)
        self.octets = sum(map(len, self.payloads))
        self._layouts: dict[LayoutKey, Layout] = {}

    def layout(self, kind: LayoutKey, now: float) -> Layout:
        """Return this burst laid out for legs of a kind."""
        layout = self._layouts.get(kind)
        if layout is None:
            layout = self._layouts[kind] = Layout(self, *kind, now)
        return layout

    def stamp(self, now: float) -> None:
        """Renew abs-send-time before another group of legs is served."""
        for layout in self._layouts.values():
            layout.stamp(now)

    def forget_layouts(self) -> None:
        """Every leg has been served: only the payloads are kept, for resending."""
        self._layouts.clear()

    def find(self, index: int) -> MediaPacket | None:
        """Return a packet by its index."""
        if not self.first <= index <= self.last:
            return None
        if not self.gapped:
            return self.packets[index - self.first]
        media = self.packets[bisect_left(self.packets, index, key=_media_index)]
        return media if media.index == index else None


def bursts(batch: Sequence[MediaPacket]) -> list[Burst]:
    """Cut packets in order of arrival into bursts; late packets, which came out of order, are bursts of their own."""
    if _rises(batch):
        return [Burst(batch[at : at + MAX_BURST_PACKETS]) for at in range(0, len(batch), MAX_BURST_PACKETS)]
    found: list[Burst] = []
    start = 0
    for at in range(1, len(batch) + 1):
        if at == len(batch) or batch[at].index <= batch[at - 1].index or at - start == MAX_BURST_PACKETS:
            found.append(Burst(batch[start:at]))
            start = at
    return found


def _rises(batch: Sequence[MediaPacket]) -> bool:
    before = -1
    for media in batch:
        if media.index <= before:
            return False
        before = media.index
    return True


def _padded(packets: Sequence[MediaPacket]) -> list[bytes]:
    """Return the payloads, neighbours of nearly one length padded to the longest; the last of a run may stay shorter."""
    payloads = [media.payload for media in packets]
    start = 0
    while start < len(payloads):
        end, longest = _run(payloads, start)
        for at in range(start, end - 1):
            payloads[at] = _pad(payloads[at], longest - len(payloads[at]))
        start = end
    return payloads


def _run(payloads: Sequence[bytes], start: int) -> tuple[int, int]:
    """Return where the run of nearly equal lengths that begins at `start` ends, and its longest."""
    shortest = longest = len(payloads[start])
    for at in range(start + 1, len(payloads)):
        length = len(payloads[at])
        if length < longest - MAX_PAD:  # the short end of a run; a run of its own where others follow
            return at + 1, longest
        if length > shortest + MAX_PAD:
            return at, longest
        shortest, longest = min(shortest, length), max(longest, length)
    return len(payloads), longest


def _pad(payload: bytes, missing: int) -> bytes:
    if 0 < missing <= MAX_PAD and payload:
        return payload + bytes(missing - 1) + bytes((missing,))
    return payload
