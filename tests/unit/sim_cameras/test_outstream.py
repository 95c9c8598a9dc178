"""Packets of a replayed stream, read back by aiortc's parsers."""

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtcpByePacket, RtcpPacket, RtcpSrPacket, RtpPacket, unwrap_rtx
from aiortc.sdp import SessionDescription

from sim_cameras import offer
from sim_cameras.clip import Clip, Frame
from sim_cameras.ntp import ntp64
from sim_cameras.outstream import OutStream, StreamId

NOW = 1_795_000_000_000_000_000
CLIP = Clip("video", (Frame((b"\x65aa", b"\x65bb", b"\x65cc"), True), Frame((b"\x41dd",), False)), 90_000, 4500)
WITH_RTX = StreamId("0", 102, 1111, 103, 2222, "h")


def extensions() -> HeaderExtensionsMap:
    names = {
        1: "urn:ietf:params:rtp-hdrext:sdes:mid",
        3: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        4: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        5: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    }
    known = HeaderExtensionsMap()
    known.configure(RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(id=i, uri=u) for i, u in names.items()]))
    return known


def frames(stream: OutStream, count: int) -> list[list[RtpPacket]]:
    return [[RtpPacket.parse(each, extensions()) for each in stream.frame(NOW)] for _ in range(count)]


def test_frames_carry_one_timestamp_and_end_with_the_marker() -> None:
    key, delta = frames(OutStream(WITH_RTX, CLIP, 1), 2)
    assert [packet.marker for packet in key] == [0, 0, 1]
    assert {packet.timestamp for packet in key} == {delta[0].timestamp - 4500}
    assert [packet.payload for packet in key + delta] == [b"\x65aa", b"\x65bb", b"\x65cc", b"\x41dd"]


def test_sequence_numbers_run_on_through_the_loop() -> None:
    sequences = [packet.sequence_number for frame in frames(OutStream(WITH_RTX, CLIP, 1), 5) for packet in frame]
    assert sequences == list(range(sequences[0], sequences[0] + 11))


def test_extensions_say_mid_layer_and_time_of_sending() -> None:
    packet = frames(OutStream(WITH_RTX, CLIP, 1), 1)[0][0]
    assert packet.extensions.mid == "0"
    assert packet.extensions.rtp_stream_id == "h"
    assert packet.extensions.abs_send_time == ntp64(NOW) >> 14 & 0xFFFFFF


def test_a_lost_packet_comes_back_over_rtx() -> None:
    stream = OutStream(WITH_RTX, CLIP, 1)
    lost = frames(stream, 1)[0][1]
    raw = stream.resend(lost.sequence_number, NOW)
    assert raw is not None
    resent = RtpPacket.parse(raw, extensions())
    assert (resent.ssrc, resent.payload_type) == (2222, 103)
    assert resent.extensions.repaired_rtp_stream_id == "h"
    back = unwrap_rtx(resent, payload_type=102, ssrc=1111)
    assert (back.sequence_number, back.timestamp, back.payload) == (lost.sequence_number, lost.timestamp, lost.payload)


@pytest.mark.parametrize("identity", [WITH_RTX, StreamId("1", 111, 3333)])
def test_what_is_unknown_or_has_no_rtx_is_not_resent(identity: StreamId) -> None:
    stream = OutStream(identity, CLIP, 1)
    sequence = frames(stream, 1)[0][0].sequence_number
    assert stream.resend((sequence - 1) & 0xFFFF, NOW) is None
    assert (stream.resend(sequence, NOW) is None) == (identity.rtx_ssrc is None)


def test_history_is_bounded() -> None:
    stream = OutStream(WITH_RTX, CLIP, 1)
    first = frames(stream, 1)[0][0].sequence_number
    frames(stream, 600)
    assert stream.resend(first, NOW) is None


def test_a_keyframe_request_goes_back_to_the_first_frame() -> None:
    stream = OutStream(WITH_RTX, CLIP, 1)
    frames(stream, 1)
    stream.ask_keyframe()
    assert frames(stream, 1)[0][0].payload == b"\x65aa"


def test_reports_place_now_on_the_streams_clock() -> None:
    stream = OutStream(WITH_RTX, CLIP, 1)
    last = frames(stream, 2)[-1][-1]
    report, _ = RtcpPacket.parse(stream.report(NOW + 500_000_000))
    assert isinstance(report, RtcpSrPacket)
    assert report.sender_info.ntp_timestamp == ntp64(NOW + 500_000_000)
    assert report.sender_info.rtp_timestamp == (last.timestamp + 45_000) & 0xFFFFFFFF
    assert (report.sender_info.packet_count, report.sender_info.octet_count) == (4, 12)


def test_the_end_is_sent_as_bye() -> None:
    _, bye = RtcpPacket.parse(OutStream(WITH_RTX, CLIP, 1).bye())
    assert isinstance(bye, RtcpByePacket)
    assert bye.sources == [1111]


TRANSPORT = offer.Transport("abcd", "p" * 22, "AB:" * 31 + "AB", ("1 1 udp 2130706431 127.0.0.1 5000 typ host",))


def test_the_offer_of_one_layer_parses() -> None:
    text = offer.build(TRANSPORT, [StreamId("0", 102, 1111, 103, 2222)], StreamId("1", 111, 3333))
    video, audio = SessionDescription.parse(text).media
    assert (video.kind, audio.kind) == ("video", "audio")
    assert [each.items for each in video.ssrc_group] == [[1111, 2222]]
    assert video.direction == audio.direction == "sendonly"
    assert video.ice is not None
    assert video.ice.usernameFragment == "abcd"
    assert len(video.ice_candidates) == 1


def test_the_offer_of_several_layers_names_them_best_first() -> None:
    text = offer.build(TRANSPORT, [StreamId("0", 102, 1, 103, 2, "h"), StreamId("0", 102, 3, 103, 4, "l")], None)
    assert "a=simulcast:send h;l\r\n" in text
    assert "a=rid:h send\r\na=rid:l send\r\n" in text
    assert "rtp-stream-id" in text
