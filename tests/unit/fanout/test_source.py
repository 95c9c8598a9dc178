"""A camera as the relay receives it: which stream a packet belongs to, and what is said back."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.counters import Counters
from relay.fanout.repair import MAX_MISSING
from relay.fanout.source import REPORTS_BURST, REPORTS_PER_SECOND, STREAMS_BURST, STREAMS_PER_SECOND, Source
from relay.fanout.stream import MAX_GAP, MAX_PENDING
from relay.fanout.tracks import TrackSpec
from relay.rtp import header as rtp
from relay.rtp import rtcp

VIDEO = TrackSpec("video", "0", 96, 90_000, rtx_payload_type=97, nack=True, pli=True, remb=True, mid_id=1, rid_id=2, rrid_id=3)
AUDIO = TrackSpec("audio", "1", 111, 48_000, mid_id=1)
LAYERED = TrackSpec("video", "0", 96, 90_000, rtx_payload_type=97, rids=("h", "l"), nack=True, mid_id=1, rid_id=2, rrid_id=3)
IDR = b"\x65" + b"i" * 20
SLICE = b"\x41\x9a" + b"s" * 20


class Camera:
    """A source and what its tap saw."""

    def __init__(self, *tracks: TrackSpec) -> None:
        self.counters = Counters()
        self.tapped: list[bytes] = []
        self.source = Source(tracks, 0x5E1F, self.counters, 8_000_000, lambda _, packet, __: self.tapped.append(packet))

    def sends(self, sequence: int, payload: bytes = SLICE, now: float = 1.0, **fields: Any) -> Any:
        """Let a packet arrive."""
        return self.source.receive(packet(sequence, payload, **fields), now)

    def says(self, now: float) -> list[rtcp.Report]:
        """Everything the relay says to the camera now."""
        return [report for compound in self.source.poll(now) for report in rtcp.parse(compound).packets]


def packet(sequence: int, payload: bytes = SLICE, **fields: Any) -> bytes:
    """A packet; `ext` are its header extensions."""
    block = rtp.build_extensions(fields.pop("ext", {}))
    fields = {"payload_type": 96, "timestamp": sequence * 3000, "ssrc": 1, "marker": True} | fields
    return rtp.build(sequence=sequence, extension_block=block, **fields) + payload


def rtx(sequence: int, original: int, payload: bytes = SLICE, **fields: Any) -> bytes:
    """A packet repaired by RTX."""
    fields = {"payload_type": 97, "ssrc": 2, "timestamp": original * 3000} | fields
    return packet(sequence, original.to_bytes(2, "big") + payload, **fields)


def test_streams_are_found_by_payload_type() -> None:
    camera = Camera(VIDEO, AUDIO)
    assert camera.sends(1).spec is VIDEO
    assert camera.sends(1, payload_type=111, ssrc=9).spec is AUDIO
    assert camera.source.layers[""].ssrc == 1
    assert camera.source.audio is not None
    assert camera.source.audio.ssrc == 9


def test_a_packet_of_no_agreed_stream_is_counted_and_dropped() -> None:
    camera = Camera(VIDEO)
    assert camera.sends(1, payload_type=50) is None
    assert camera.sends(1, ext={1: b"other"}) is None
    assert camera.counters.values["inbound_unknown"] == 2


def test_a_packet_with_a_malformed_header_extension_is_taken() -> None:
    camera = Camera(replace(VIDEO, transport_cc_id=5), AUDIO)
    head = bytes((0x90, 0x80 | 96)) + (1).to_bytes(2, "big") + (3000).to_bytes(4, "big") + (1).to_bytes(4, "big")
    for sequence in (1, 2):
        broken = head[:2] + sequence.to_bytes(2, "big") + head[4:] + bytes.fromhex("bede0001 1030000f") + SLICE
        stream = camera.source.receive(broken, 1.0)
        assert stream is not None
        assert stream.spec.kind == "video"
        assert camera.tapped[-1] == broken
    assert camera.counters.values["inbound_malformed"] == 0


def test_layers_are_distinguished_by_rid_and_a_packet_without_one_is_not_guessed() -> None:
    camera = Camera(LAYERED)
    assert camera.sends(1, ssrc=11, ext={1: b"0", 2: b"h"}).rid == "h"
    assert camera.sends(1, ssrc=12, ext={1: b"0", 2: b"l"}).rid == "l"
    assert camera.sends(1, ssrc=13, ext={1: b"0"}) is None
    assert camera.sends(2, ssrc=12).rid == "l"
    assert set(camera.source.layers) == {"h", "l"}


def test_a_layers_repair_is_found_by_its_rid() -> None:
    camera = Camera(LAYERED)
    for rid, ssrc in ((b"h", 11), (b"l", 12)):
        camera.sends(1, ssrc=ssrc, ext={2: rid})
        camera.sends(3, ssrc=ssrc)
    stream = camera.source.receive(rtx(70, 2, ssrc=21, ext={3: b"l"}), 1.1)
    assert stream is camera.source.layers["l"]
    assert not stream.inbound.repair.missing


def test_a_loss_is_asked_for_and_its_rtx_reaches_the_tap_as_the_original() -> None:
    camera = Camera(VIDEO)
    camera.sends(1)
    camera.sends(3)
    nacks = [report for report in camera.says(1.05) if isinstance(report, rtcp.Nack)]
    assert nacks == [rtcp.Nack(0x5E1F, 1, (2,))]
    camera.source.receive(rtx(500, 2), 1.1)
    assert camera.tapped[-1] == packet(2)
    assert camera.source.receive(rtx(501, 2), 1.1) is None
    assert camera.counters.values["inbound_duplicates"] == 1


def test_a_packet_is_missing_until_it_comes() -> None:
    camera = Camera(VIDEO)
    missing = []
    for sequence in (1, 3, 2):
        camera.sends(sequence)
        missing.append(camera.source.has_missing)
    assert missing == [False, True, False]


def test_a_keyframe_is_asked_for_when_repair_is_over() -> None:
    camera = Camera(VIDEO)
    camera.sends(1)
    camera.sends(3)
    asked = [(step, report) for step in range(150) for report in camera.says(1.0 + step / 100)]
    first_pli = next(step for step, report in asked if isinstance(report, rtcp.Pli))
    assert first_pli >= 100
    assert [step for step, report in asked if isinstance(report, rtcp.Nack) and step > first_pli] == []


def test_a_keyframe_is_asked_for_at_once_where_more_is_lost_than_can_be_repaired() -> None:
    for lost in (MAX_MISSING + 1, 3 * MAX_GAP):
        camera = Camera(VIDEO)
        camera.sends(1)
        camera.sends(2 + lost)
        camera.sends(3 + lost)
        assert rtcp.Pli(0x5E1F, 1) in camera.says(1.001)


def test_wishes_for_a_keyframe_become_one_request_until_it_comes() -> None:
    camera = Camera(VIDEO)
    stream = camera.sends(1)
    stream.keyframes.want(1.0)
    stream.keyframes.want(1.0)
    plis = [report for step in range(20) for report in camera.says(1 + step / 100) if isinstance(report, rtcp.Pli)]
    assert plis == [rtcp.Pli(0x5E1F, 1)]
    camera.sends(2, IDR)
    assert not [report for step in range(400) for report in camera.says(2 + step / 100) if isinstance(report, rtcp.Pli)]


def test_reports_go_out_once_a_second_with_the_round_trip_of_the_camera() -> None:
    camera = Camera(VIDEO)
    camera.sends(1, now=1.0)
    ntp = rtcp.ntp_from_ns(1_700_000_000_000_000_000)
    facts = camera.source.receive_rtcp(rtcp.build_sender_report(rtcp.SenderReport(1, ntp, 3000, 1, 1, ())), 1.25)
    assert [(fact.ssrc, fact.rtp, fact.ntp_ns) for fact in facts] == [(1, 3000, 1_700_000_000_000_000_000)]
    reports = [(step, r) for step in range(35) for r in camera.says(1.5 + step / 10) if isinstance(r, rtcp.ReceiverReport)]
    full = [(step, r.reports[0]) for step, r in reports if r.reports]
    assert [step for step, _ in full] == [0, 10, 20, 30]
    assert full[0][1].last_sr == ntp >> 16 & 0xFFFFFFFF
    assert full[0][1].delay == 65536 // 4


def limits(camera: Camera, seconds: int, **fields: Any) -> list[rtcp.Remb]:
    """The REMBs that a camera gets in so many seconds, in each of which it sends 30 packets."""
    said: list[rtcp.Report] = []
    for at in range(30 * seconds):
        camera.sends(at, now=1 + at / 30, **{name: make(at) for name, make in fields.items()})
        said += camera.says(1 + at / 30)
    return [report for report in said if isinstance(report, rtcp.Remb)]


def test_a_camera_that_agreed_on_transport_wide_feedback_and_stamps_nothing_is_told_a_limit() -> None:
    agreed = replace(VIDEO, transport_cc_id=5)
    assert len(limits(Camera(agreed, AUDIO), 5)) >= 3
    assert limits(Camera(replace(agreed, remb=False), AUDIO), 5) == []


def test_a_camera_that_stamps_its_packets_is_never_told_a_limit() -> None:
    camera = Camera(replace(VIDEO, transport_cc_id=5), replace(AUDIO, remb=True))
    assert limits(camera, 5, ext=lambda at: {5: at.to_bytes(2, "big")}) == []
    assert [report for second in range(10, 20) for report in camera.says(second) if isinstance(report, rtcp.Remb)] == []


def test_of_many_sender_reports_in_one_compound_the_last_of_each_stream_counts() -> None:
    camera = Camera(VIDEO)
    camera.sends(1)
    ntp = rtcp.ntp_from_ns(1_700_000_000_000_000_000)
    reports = [rtcp.SenderReport(ssrc, ntp, 3000 + at, 1, 1, ()) for at in range(20) for ssrc in (1, 99)]
    facts = camera.source.receive_rtcp(b"".join(map(rtcp.build_sender_report, reports)), 1.25)
    assert [(fact.ssrc, fact.rtp) for fact in facts] == [(1, 3019)]


def test_a_probe_of_padding_holds_its_number_and_carries_nothing() -> None:
    camera = Camera(VIDEO)
    camera.sends(1)
    padded = bytearray(packet(2, b"\0\0\0\4"))
    padded[0] |= 0x20
    stream = camera.source.receive(bytes(padded), 1.0)
    assert stream is not None
    assert [media.payload for media in stream.take()] == [SLICE, b""]
    assert rtp.parse(camera.tapped[-1]).sequence == 2


IN_ORDER = bytes.fromhex("6742c00dda0507e840000003004000000ca3c50aa8")
MAY_REORDER = bytes.fromhex("674d400deca0a0fd080000030008000003019078a14cb0")
"""Parameter sets of x264 for 320 by 240: pictures are shown as they come, or not."""
B_SLICE = b"\x01\xa8" + b"s" * 20


@pytest.mark.parametrize(("sps", "is_reordered"), [(b"", True), (MAY_REORDER, True), (IN_ORDER, False)])
def test_b_pictures_are_noticed_where_pictures_are_shown_in_another_order(sps: bytes, is_reordered: bool) -> None:
    camera = Camera(VIDEO)
    if sps:
        camera.sends(1, sps)
    for sequence in range(2, 5):
        stream = camera.sends(sequence, B_SLICE, now=float(sequence))
    assert stream.pictures.reordered_at == (4.0 if is_reordered else None)
    assert len(stream.take()) == (4 if sps else 3)


def test_a_camera_that_starts_anew_with_another_ssrc_replaces_its_picture() -> None:
    camera = Camera(VIDEO)
    camera.sends(1)
    fresh = camera.sends(9000, ssrc=77)
    assert camera.source.layers[""] is fresh
    assert camera.source.changed


def test_streams_of_one_camera_are_bounded_and_only_the_newest_is_spoken_of() -> None:
    camera = Camera(VIDEO)
    for ssrc in range(1000, 1100):
        camera.sends(1, ssrc=ssrc, now=2.0 * ssrc)
        camera.source.receive(rtx(1, 1, ssrc=ssrc + 5000), 2.0 * ssrc)
    (report,) = [report for report in camera.says(2200.0) if isinstance(report, rtcp.ReceiverReport)]
    assert [block.ssrc for block in report.reports] == [1099]
    assert set(camera.source.layers) == {""}


def test_a_camera_that_changes_its_ssrc_at_every_packet_begins_few_streams() -> None:
    camera = Camera(VIDEO)
    began = set()
    for number in range(4000):
        camera.sends(number, ssrc=7 + number % 2, now=1 + number / 1000)
        began.add(camera.source.layers[""])
    assert len(began) <= STREAMS_BURST + 4 * STREAMS_PER_SECOND
    assert camera.counters.values["inbound_paced"] > 1900
    assert len(camera.tapped) > 1900


def test_sender_reports_beyond_what_an_encoder_sends_are_dropped_and_counted() -> None:
    camera = Camera(VIDEO)
    camera.sends(1)
    report = rtcp.build_sender_report(rtcp.SenderReport(1, 1 << 40, 0, 1, 1, ()))
    passed = sum(len(camera.source.receive_rtcp(report, 1 + number / 1000)) for number in range(2000))
    assert REPORTS_BURST <= passed <= REPORTS_BURST + 2 * REPORTS_PER_SECOND
    assert camera.counters.values["inbound_paced"] == 2000 - passed


def test_overruns_are_counted_once_a_second() -> None:
    camera = Camera(VIDEO)
    for number in range(MAX_PENDING + 5):
        camera.sends(number, IDR if number == 0 else SLICE, now=1 + number / 400)
    camera.says(10.0)
    camera.says(12.0)
    assert camera.counters.values["inbound_overrun"] == 5
    assert camera.counters.values["keyframe_cache_overrun"] == 1


def test_a_transport_number_is_fed_back() -> None:
    camera = Camera(TrackSpec("video", "0", 96, 90_000, transport_cc_id=5))
    camera.sends(1, ext={5: b"\1\2"})
    camera.sends(2, ext={5: b"\1"})
    compound = b"".join(camera.source.poll(1.2))
    assert b"\x8f\xcd" in compound or b"\xaf\xcd" in compound
    assert (0x0102).to_bytes(2, "big") in compound


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=40))
def test_any_bytes_at_all_harm_nothing(datagrams: list[tuple[bytes, bool]]) -> None:
    camera = Camera(VIDEO, AUDIO)
    for at, (data, plausible) in enumerate(datagrams):
        camera.source.receive(b"\x80\x60" + data if plausible else data, at / 100)
        camera.source.receive_rtcp(data, at / 100)
        camera.source.poll(at / 100)
