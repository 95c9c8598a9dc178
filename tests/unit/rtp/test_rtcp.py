"""RTCP: round trips, aiortc as oracle, and compounds that others reject."""

import pytest
from aiortc import rtp as oracle
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.rtp import rtcp

U8, U16, U32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
BLOCK = st.builds(rtcp.ReportBlock, U32, U8, st.integers(-0x800000, 0x7FFFFF), U32, U32, U32, U32)
BLOCKS = st.lists(BLOCK, max_size=31).map(tuple)


@given(U32, st.integers(0, (1 << 64) - 1), U32, U32, U32, BLOCKS)
def test_sender_reports_round_trip(
    ssrc: int, ntp: int, time: int, packets: int, octets: int, blocks: tuple[rtcp.ReportBlock, ...]
) -> None:
    report = rtcp.SenderReport(ssrc, ntp, time, packets, octets, blocks)
    assert rtcp.parse(rtcp.build_sender_report(report)).packets == [report]


@given(U32, BLOCKS)
def test_receiver_reports_round_trip(ssrc: int, blocks: tuple[rtcp.ReportBlock, ...]) -> None:
    report = rtcp.ReceiverReport(ssrc, blocks)
    data = rtcp.build_receiver_report(report)
    assert rtcp.parse(data).packets == [report]
    theirs = oracle.RtcpPacket.parse(data)[0]
    assert isinstance(theirs, oracle.RtcpRrPacket)
    assert [entry.packets_lost for entry in theirs.reports] == [block.lost for block in blocks]
    assert [entry.fraction_lost for entry in theirs.reports] == [block.fraction_lost for block in blocks]


@given(U16, st.lists(st.integers(1, 40), max_size=30))
def test_a_nack_names_each_lost_number_once_and_wraps(first: int, steps: list[int]) -> None:
    lost = [first]
    for step in steps:
        lost.append((lost[-1] + step) & 0xFFFF)
    data = rtcp.build_nack(1, 2, lost)
    assert rtcp.parse(data).packets == [rtcp.Nack(1, 2, tuple(lost))]
    theirs = oracle.RtcpPacket.parse(data)[0]
    assert isinstance(theirs, oracle.RtcpRtpfbPacket)
    assert [number & 0xFFFF for number in theirs.lost] == lost


def test_a_nack_of_too_many_numbers_is_cut_and_what_stands_beside_it_is_read() -> None:
    greedy = rtcp.build_nack(1, 2, range(400))
    result = rtcp.parse(greedy + rtcp.build_nack(1, 3, range(10)) + rtcp.build_pli(1, 2))
    assert result.packets == [rtcp.Nack(1, 2, tuple(range(rtcp.MAX_NACKED))), rtcp.Pli(1, 2)]
    assert result.skipped == 1


@given(U32, U32, U8)
def test_keyframe_requests_round_trip(sender: int, media: int, command: int) -> None:
    compound = rtcp.build_pli(sender, media) + rtcp.build_fir(sender, media, command)
    assert rtcp.parse(compound).packets == [rtcp.Pli(sender, media), rtcp.Fir(sender, ((media, command),))]


@given(st.integers(0, 1 << 40), st.lists(U32, max_size=5))
def test_a_remb_loses_less_than_a_hundred_thousandth(bitrate: int, ssrcs: list[int]) -> None:
    data = rtcp.build_remb(1, bitrate, ssrcs)
    (packet,) = rtcp.parse(data).packets
    assert isinstance(packet, rtcp.Remb)
    assert packet.ssrcs == tuple(ssrcs)
    assert bitrate - bitrate // 100_000 - 1 <= packet.bitrate <= bitrate
    theirs = oracle.RtcpPacket.parse(data)[0]
    assert isinstance(theirs, oracle.RtcpPsfbPacket)
    assert oracle.unpack_remb_fci(theirs.fci) == (packet.bitrate, ssrcs)


@given(st.lists(U32, min_size=1, max_size=31))
def test_bye_round_trips(ssrcs: list[int]) -> None:
    assert rtcp.parse(rtcp.build_bye(ssrcs)).packets == [rtcp.Bye(tuple(ssrcs))]


@given(U32, st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=60))
def test_aiortc_reads_our_cname(ssrc: int, name: str) -> None:
    (packet,) = oracle.RtcpPacket.parse(rtcp.build_sdes(ssrc, name))
    assert isinstance(packet, oracle.RtcpSdesPacket)
    assert (packet.chunks[0].ssrc, packet.chunks[0].items) == (ssrc, [(1, name.encode())])


def test_a_profile_extension_does_not_take_the_report_down() -> None:
    report = rtcp.SenderReport(1, 2, 3, 4, 5, ())
    data = bytearray(rtcp.build_sender_report(report) + b"EXTN")
    data[3] += 1
    assert rtcp.parse(bytes(data) + rtcp.build_pli(1, 2)).packets == [report, rtcp.Pli(1, 2)]


def test_unknown_and_broken_packets_are_left_out_and_counted() -> None:
    unknown = bytes((0x80, 207, 0, 1)) + b"xxxx"
    broken = bytes((0x81, rtcp.RR, 0, 1)) + b"xxxx"
    result = rtcp.parse(unknown + broken + rtcp.build_pli(1, 2) + b"\x80\xc8\xff")
    assert result.packets == [rtcp.Pli(1, 2)]
    assert result.skipped == 3


def test_padding_of_the_last_packet_is_left_out() -> None:
    nack = bytearray(rtcp.build_nack(1, 2, [7]) + b"\0\0\0\4")
    nack[0] |= 0x20
    nack[3] += 1
    assert rtcp.parse(bytes(nack)).packets == [rtcp.Nack(1, 2, (7,))]


@pytest.mark.parametrize(
    "data", [b"\x80", b"\x40\xc8\0\0", b"\x80\xc8\0\1", b"\xa0\xc9\0\1\0\0\0\0", b"\xa0\xc9\0\1\0\0\0\x09"]
)
def test_a_broken_frame_at_the_start_is_their_error(data: bytes) -> None:
    with pytest.raises(TheirError):
        rtcp.parse(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_compound_or_their_error(data: bytes) -> None:
    _parse(data)


@given(st.lists(st.tuples(st.integers(0x80, 0xBF), st.sampled_from([200, 201, 202, 203, 205, 206]), st.binary(max_size=40))))
def test_hostile_bodies_in_sound_frames_never_crash(packets: list[tuple[int, int, bytes]]) -> None:
    data = b""
    for first, kind, body in packets:
        body += bytes(-len(body) % 4)
        data += bytes((first, kind)) + (len(body) // 4).to_bytes(2, "big") + body
    _parse(data)


def _parse(data: bytes) -> None:
    try:
        result = rtcp.parse(data)
    except TheirError:
        return
    assert len(result.packets) + result.skipped <= len(data) // 4 + 1


@given(st.integers(-(10**18), 4 * 10**18))
def test_ntp_and_utc_agree_within_a_nanosecond(utc_ns: int) -> None:
    if utc_ns < -2_208_988_800 * 10**9 or utc_ns >= (2**32 - 2_208_988_800) * 10**9:
        return
    assert abs(rtcp.ns_from_ntp(rtcp.ntp_from_ns(utc_ns)) - utc_ns) <= 1
