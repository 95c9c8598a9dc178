"""A burst laid out once for many legs: sealed through it, every leg's packets are the camera's."""

import os

from hypothesis import given
from hypothesis import strategies as st

from relay.rtp import burst as rules
from relay.rtp import header as rtp
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket, bursts
from relay.transport import srtp_keys

TEMPLATE = HeaderTemplate(100, b"0", 4, 3, 6, b"\0\0\x28")


def media(index: int, payload: bytes = b"picture", marker: bool = False) -> MediaPacket:
    """A packet."""
    return MediaPacket(index, 3000 * index, marker, payload, index / 100)


@given(st.lists(st.integers(0, 60), max_size=90))
def test_a_batch_is_cut_into_rising_bursts_and_nothing_is_lost(indices: list[int]) -> None:
    found = bursts([media(index) for index in indices])
    assert [packet.index for one in found for packet in one.packets] == indices
    for one in found:
        order = [packet.index for packet in one.packets]
        assert order == sorted(set(order))
        assert len(order) <= rules.MAX_BURST_PACKETS
        assert one.gapped == (order[-1] - order[0] + 1 != len(order))
        assert (one.first, one.last) == (order[0], order[-1])


@given(
    st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=20),
    st.sampled_from(
        [
            TEMPLATE,
            HeaderTemplate(96),
            HeaderTemplate(111, b"a-long-name-of-a-slot", mid_id=4, abs_send_time_id=2),
            HeaderTemplate(1, b"x", 20),
        ]
    ),
    st.sampled_from(srtp_keys.PROFILES),
)
def test_legs_of_a_kind_share_a_layout_and_each_opens_as_the_camera_sent_it(
    payloads: list[bytes], template: HeaderTemplate, profile: str
) -> None:
    burst = Burst([media(index, payload, index % 2 == 0) for index, payload in enumerate(payloads)])
    for ssrc, shift, timestamp_shift in ((1, 0, 0), (0xFFFFFFFF, 30_000, 0xFFFFFFFF)):
        size = srtp_keys.exported_size(profile) // 2
        ours, theirs = os.urandom(size), os.urandom(size)
        sealing, opening = srtp_keys.make_session(profile, ours, theirs), srtp_keys.make_session(profile, theirs, ours)
        layout = burst.layout((template, sealing.overhead), 7.0)
        sealing.seal_layout(layout, ssrc, shift, timestamp_shift)
        at = 0
        for packet, length in zip(burst.packets, layout.lengths, strict=True):
            plain = opening.open_rtp(bytes(layout.buffer[at : at + length]))
            at += length
            header = rtp.parse(plain)
            assert header.payload(plain) == packet.payload
            assert (header.payload_type, header.marker, header.ssrc) == (template.payload_type, packet.marker, ssrc)
            assert header.sequence == packet.index + shift
            assert header.timestamp == (packet.timestamp + timestamp_shift) & 0xFFFFFFFF
            if template.abs_send_time_id is not None:
                assert rtp.extension(plain, header, template.abs_send_time_id) == rules.send_time(7.0)
            if template.mid_id is not None:
                assert rtp.extension(plain, header, template.mid_id) == template.mid
        assert at == len(layout.buffer)
    assert burst.layout((template, 16), 7.0) is burst.layout((template, 16), 7.0)


def test_packets_a_few_bytes_short_are_padded_to_one_size_and_the_last_is_not() -> None:
    sizes = [1000, 999, 990, 1000, 500, 300]
    burst = Burst([media(index, bytes(size)) for index, size in enumerate(sizes)])
    assert [len(payload) for payload in burst.payloads] == [1000, 1000, 1000, 1000, 500, 300]


def test_the_send_time_is_renewed_between_slices_and_nothing_else_changes() -> None:
    burst = Burst([media(index) for index in range(4)])
    layout = burst.layout((TEMPLATE, 16), 1.0)
    before = bytes(layout.buffer)
    burst.stamp(1.0 + rules.STAMP_SECONDS / 2)
    assert bytes(layout.buffer) == before
    burst.stamp(2.0)
    assert burst.layout((TEMPLATE, 16), 2.0) is layout
    starts = [index * layout.lengths[0] for index in range(4)]
    assert all(layout.buffer[at + 17 : at + 20] == rules.send_time(2.0) for at in starts)
    restored = bytearray(layout.buffer)
    for at in starts:
        restored[at + 17 : at + 20] = rules.send_time(1.0)
    assert bytes(restored) == before


def test_a_packet_is_found_by_its_index_with_and_without_gaps() -> None:
    whole, gapped = Burst([media(3), media(4), media(5)]), Burst([media(3), media(9)])
    assert whole.find(4) is whole.packets[1]
    assert whole.find(6) is None
    assert gapped.find(9) is gapped.packets[1]
    assert gapped.find(4) is None
