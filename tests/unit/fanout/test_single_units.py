"""What a viewer of single units gets: whole units under numbers of their own, and a gap where one is missing."""

from relay.fanout.single_units import MAX_UNIT_BYTES, SingleUnits
from relay.rtp.burst import MediaPacket

UNIT = b"\x65" + bytes(range(1, 250)) * 12


def packets(*payloads: bytes, first: int = 7, timestamp: int = 3000) -> list[MediaPacket]:
    """Return the packets of a picture."""
    last = len(payloads) - 1
    return [MediaPacket(first + at, timestamp, at == last, payload, 1.0, idr=True) for at, payload in enumerate(payloads)]


def fragments(unit: bytes, size: int = 1000) -> list[bytes]:
    """Return a unit as FU-A payloads."""
    pieces = [unit[at : at + size] for at in range(1, len(unit), size)]
    marks = [0x80 * (at == 0) | 0x40 * (at == len(pieces) - 1) for at in range(len(pieces))]
    return [bytes((unit[0] & 0xE0 | 28, mark | unit[0] & 31)) + piece for mark, piece in zip(marks, pieces, strict=True)]


def aggregate(*units: bytes) -> bytes:
    """Return a STAP-A."""
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def test_fragments_and_aggregates_become_units_with_one_marker() -> None:
    out = SingleUnits().take(packets(aggregate(b"\x67sps", b"\x68pps"), *fragments(UNIT), b"\x65last"))
    assert [media.payload for media in out] == [b"\x67sps", b"\x68pps", UNIT, b"\x65last"]
    assert [media.marker for media in out] == [False, False, False, True]
    assert [media.index - out[0].index for media in out] == [0, 1, 2, 3]
    assert all(media.idr for media in out)


def test_a_unit_with_a_lost_fragment_leaves_a_gap_and_no_ruin() -> None:
    units = SingleUnits()
    first = units.take(packets(b"\x41one"))
    pieces = packets(*fragments(UNIT), first=8)
    got = units.take([*pieces[:1], *pieces[2:], *pieces[1:2]])
    after = units.take(packets(b"\x41two", first=8 + len(pieces)))
    assert got == []
    assert after[0].payload == b"\x41two"
    assert after[0].index > first[0].index + 1


def test_a_unit_that_no_datagram_holds_goes_on_in_its_fragments() -> None:
    large = fragments(b"\x65" + bytes(2 * MAX_UNIT_BYTES))
    out = SingleUnits().take(packets(*large, b"\x41small"))
    assert [media.payload for media in out] == [*large, b"\x41small"]


def test_packets_that_a_viewer_has_already_are_not_taken_twice() -> None:
    units = SingleUnits()
    picture = packets(*fragments(UNIT))
    assert len(units.take(picture)) == 1
    assert units.take(picture) == []
