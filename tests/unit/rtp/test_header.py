"""RTP headers: what is built is read back, what is hostile never crashes, and aiortc reads the same."""

import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.rtp import header as rtp

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
SHORT = st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=6)
LONG = st.dictionaries(st.integers(1, 255), st.binary(max_size=40), max_size=6)


@given(U16, U32, U32, st.integers(0, 127), st.booleans(), st.one_of(SHORT, LONG), st.binary(max_size=50))
def test_a_built_packet_is_read_back(
    sequence: int, timestamp: int, ssrc: int, kind: int, marker: bool, values: dict[int, bytes], payload: bytes
) -> None:
    block = rtp.build_extensions(values)
    packet = (
        rtp.build(payload_type=kind, sequence=sequence, timestamp=timestamp, ssrc=ssrc, marker=marker, extension_block=block)
        + payload
    )
    header = rtp.parse(packet)
    assert (header.sequence, header.timestamp, header.ssrc) == (sequence, timestamp, ssrc)
    assert (header.payload_type, header.marker) == (kind, marker)
    assert header.payload(packet) == payload
    assert {found: packet[at : at + size] for found, at, size in rtp.extensions(packet, header)} == values
    for identifier, value in values.items():
        assert rtp.extension(packet, header, identifier) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_their_error(data: bytes) -> None:
    _read_all(data)


@given(st.binary(max_size=120), st.integers(0, 15), st.booleans(), st.booleans(), st.sampled_from([0xBEDE, 0x1000, 0x1234]))
def test_hostile_tails_of_a_plausible_header_are_a_packet_or_their_error(
    tail: bytes, sources: int, padded: bool, extended: bool, profile: int
) -> None:
    first = 0x80 | padded << 5 | extended << 4 | sources
    _read_all(bytes((first, 96)) + bytes(10 + 4 * sources) + profile.to_bytes(2, "big") + tail)


def _read_all(data: bytes) -> None:
    try:
        header = rtp.parse(data)
        found = list(rtp.extensions(data, header))
    except TheirError:
        return
    assert len(data) >= header.size + header.padding
    assert all(header.extension_start < at <= at + size <= header.extension_end for _, at, size in found)


ONE_BYTE, TWO_BYTE = "bede", "1000"
MALFORMED = [
    (ONE_BYTE, "10 30 00 0f", [(1, "30")]),  # id 0 with a length that leaves the block
    (ONE_BYTE, "10 30 01 ff ff 21 aa bb", [(1, "30")]),  # id 0 with a length ends the list, though it fits
    (ONE_BYTE, "10 30 f0 00 21 aa bb 00", [(1, "30")]),  # so does id 15
    (ONE_BYTE, "10 30 00 3f", [(1, "30")]),  # an element that leaves the block
    (ONE_BYTE, "2f 00 00 00", []),
    (TWO_BYTE, "01 01 30 05", [(1, "30")]),  # no length
    (TWO_BYTE, "01 01 30 05 04 00 00 00", [(1, "30")]),
    ("abac", "10 30 00 0f", []),
]


@pytest.mark.parametrize(("profile", "block", "found"), MALFORMED)
def test_a_malformed_extension_costs_itself_and_not_its_packet(profile: str, block: str, found: list[tuple[int, str]]) -> None:
    body = bytes.fromhex(block)
    packet = bytes((0x90, 96)) + bytes(10) + bytes.fromhex(profile) + (len(body) // 4).to_bytes(2, "big") + body + b"picture"
    header = rtp.parse(packet)
    assert header.payload(packet) == b"picture"
    assert [(name, packet[at : at + size].hex()) for name, at, size in rtp.extensions(packet, header)] == found
    read = {name: value for name in range(1, 15) if (value := rtp.extension(packet, header, name)) is not None}
    assert read == {name: bytes.fromhex(value) for name, value in found}


@given(st.binary(max_size=60), st.sampled_from([0xBEDE, 0x1000, 0x1234]))
def test_one_extension_is_found_where_all_of_them_are_read(block: bytes, profile: int) -> None:
    block = block[: len(block) // 4 * 4]
    packet = bytes((0x90, 96)) + bytes(10) + profile.to_bytes(2, "big") + (len(block) // 4).to_bytes(2, "big") + block
    header = rtp.parse(packet)
    first: dict[int, bytes] = {}
    for identifier, at, size in rtp.extensions(packet, header):
        first.setdefault(identifier, packet[at : at + size])
    for identifier in range(1, 15):
        assert rtp.extension(packet, header, identifier) == first.get(identifier)


@given(U16, U32, U32, SHORT, st.binary(min_size=1, max_size=50))
def test_aiortc_reads_the_same(sequence: int, timestamp: int, ssrc: int, values: dict[int, bytes], payload: bytes) -> None:
    block = rtp.build_extensions(values)
    packet = rtp.build(payload_type=96, sequence=sequence, timestamp=timestamp, ssrc=ssrc, extension_block=block) + payload
    other = RtpPacket.parse(packet)
    assert (other.sequence_number, other.timestamp, other.ssrc) == (sequence, timestamp, ssrc)
    assert other.payload == payload


def test_padding_is_not_payload() -> None:
    packet = bytes((0xA0, 96)) + bytes(10) + b"picture" + b"\0\0\0\4"
    assert rtp.parse(packet).payload(packet) == b"picture"


@pytest.mark.parametrize("padding", [0, 5, 255])
def test_padding_that_leaves_the_packet_is_their_error(padding: int) -> None:
    with pytest.raises(TheirError):
        rtp.parse(bytes((0xA0, 96)) + bytes(10) + b"abc" + bytes((padding,)))


@pytest.mark.parametrize("identifier", [0, 256])
def test_extension_ids_outside_the_format_are_our_bug(identifier: int) -> None:
    with pytest.raises(ValueError, match=r"padding|256"):
        rtp.build_extensions({identifier: b"x"})


@given(U16, U32, U32)
def test_patching_changes_three_fields_and_nothing_else(sequence: int, timestamp: int, ssrc: int) -> None:
    buffer = bytearray(b"??" + rtp.build(payload_type=96, sequence=1, timestamp=2, ssrc=3, marker=True) + b"payload")
    rtp.patch(buffer, 2, sequence, timestamp, ssrc)
    header = rtp.parse(bytes(buffer[2:]))
    assert (header.sequence, header.timestamp, header.ssrc, header.marker) == (sequence, timestamp, ssrc, True)
    assert buffer[:2] == b"??"
    assert buffer[14:] == b"payload"


@given(U16, U32, SHORT, st.binary(max_size=40), st.booleans())
def test_an_rtx_packet_gives_the_original_back(
    original: int, timestamp: int, values: dict[int, bytes], payload: bytes, marker: bool
) -> None:
    head = rtp.build(
        payload_type=97,
        sequence=9,
        timestamp=timestamp,
        ssrc=77,
        marker=marker,
        extension_block=rtp.build_extensions(values),
    )
    repair = head + original.to_bytes(2, "big") + payload
    packet = rtp.unwrap_rtx(repair, rtp.parse(repair), 55, 96)
    assert packet is not None
    header = rtp.parse(packet)
    assert (header.sequence, header.ssrc, header.payload_type) == (original, 55, 96)
    assert (header.timestamp, header.marker) == (timestamp, marker)
    assert header.payload(packet) == payload


def test_an_empty_rtx_packet_is_a_probe() -> None:
    repair = rtp.build(payload_type=97, sequence=9, timestamp=1, ssrc=77) + b"\1"
    assert rtp.unwrap_rtx(repair, rtp.parse(repair), 55, 96) is None


def test_rtcp_is_distinguished_from_rtp() -> None:
    assert rtp.is_rtcp(bytes((0x80, 200)))
    assert not rtp.is_rtcp(bytes((0x80, 96)))
    assert not rtp.is_rtcp(bytes((0x80, 224)))
    assert not rtp.is_rtcp(b"\x80")
