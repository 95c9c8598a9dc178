"""Datagrams out: segmentation, and what happens when the kernel refuses."""

import contextlib
import errno
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.counters import Counters
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket
from relay.transport.send import MAX_BYTES, MAX_SEGMENTS, Sender, runs
from tests.support.ports import bound_socket


class Refusing(socket.socket):
    """A real socket whose segmented (or every) send fails as some kernels, devices and full buffers make it fail."""

    def __init__(self, segmented: int | None = None, single: int | None = None) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.segmented, self.single = segmented, single
        self.tries = 0

    def sendmsg(self, *args: Any) -> int:
        self.tries += 1
        if self.segmented is not None:
            raise OSError(self.segmented, "")
        return super().sendmsg(*args)

    def sendto(self, *args: Any) -> int:
        if self.single is not None:
            raise OSError(self.single, "")
        return super().sendto(*args)


def drain(sock: socket.socket) -> list[bytes]:
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(sock.recv(2048))
    return found


def packets(sizes: Sequence[int]) -> list[bytes]:
    return [bytes([at % 251]) * size for at, size in enumerate(sizes)]


@given(st.lists(st.integers(1, 1500) | st.sampled_from([1000, 1200]), max_size=150))
def test_runs_cover_everything_in_order_and_fit_one_segmented_send(lengths: list[int]) -> None:
    at = 0
    for first, last in runs(lengths):
        assert first == at < last
        run = lengths[first:last]
        assert len(run) <= MAX_SEGMENTS
        assert sum(run) <= MAX_BYTES
        assert set(run[:-1]) <= {run[0]}
        assert run[-1] <= run[0]
        at = last
    assert at == len(lengths)


def test_a_frame_of_equal_packets_and_a_shorter_last_one_is_one_run() -> None:
    assert list(runs([1000] * 7 + [300])) == [(0, 8)]
    assert list(runs([1000, 1001, 999])) == [(0, 1), (1, 3)]
    assert list(runs([1000] * 70)) == [(0, 64), (64, 70)]
    assert list(runs([1200] * 60)) == [(0, 54), (54, 60)]
    assert list(runs([])) == []


@given(st.lists(st.sampled_from([1, 500, 1000, 1000, 1000, 1200]), max_size=100), st.integers(0, 50))
def test_what_is_sent_arrives_whole_and_in_order_both_ways(sizes: list[int], at: int) -> None:
    with bound_socket() as receiver, bound_socket() as sock:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sender = Sender(sock, Counters())
        address = receiver.getsockname()
        assert sender.send(packets(sizes), address) == len(sizes)
        assert drain(receiver) == packets(sizes)
        out = bytearray(at) + b"".join(packets(sizes))
        assert sender.send_burst(out, sizes, address, at) == len(sizes)
        assert drain(receiver) == packets(sizes)
        assert sender.is_segmenting(address)


@pytest.mark.parametrize("refusal", [errno.EIO, errno.EINVAL, errno.EOPNOTSUPP, errno.EMSGSIZE])
def test_a_route_that_cannot_segment_costs_no_packet_and_is_asked_three_times(refusal: int) -> None:
    counters = Counters()
    with bound_socket() as receiver, Refusing(segmented=refusal) as sock:
        sender = Sender(sock, counters)
        for _ in range(6):
            assert sender.send(packets([1000] * 3), receiver.getsockname()) == 3
            assert sender.send_burst(bytearray(2000), [1000, 1000], receiver.getsockname()) == 2
        assert len(drain(receiver)) == 30
        assert not sender.is_segmenting(receiver.getsockname())
    assert sock.tries == 3
    assert counters.values["send_unsegmented"] == 3
    assert counters.values["udp_sent"] == 30


def test_what_one_address_does_not_take_segmented_spoils_it_for_no_other() -> None:
    with bound_socket() as receiver, bound_socket() as sock:
        sender = Sender(sock, Counters())
        nowhere, good = ("127.0.0.1", 0), receiver.getsockname()
        for _ in range(4):
            assert sender.send(packets([1000, 1000]), nowhere) == 0
        assert not sender.is_segmenting(nowhere)
        assert sender.is_segmenting(good)
        assert sender.send(packets([1000, 1000]), good) == 2


def test_refusing_addresses_are_remembered_within_a_bound() -> None:
    with bound_socket() as sock:
        sender = Sender(sock, Counters())
        for port in range(3000):
            sender.send(packets([1000, 1000]), (f"127.0.{port >> 8}.{port & 255}", 0))
        assert sender.refusing <= 1024


def test_a_laid_out_burst_is_sent_as_it_lies_also_where_the_kernel_cannot_segment() -> None:
    burst = Burst([MediaPacket(index, 0, False, bytes([index]) * 500, 0.0) for index in range(5)])
    layout = burst.layout((HeaderTemplate(96), 16), 0.0)
    counters = Counters()
    for refusal in (None, errno.EIO, errno.EAGAIN):
        with bound_socket() as receiver, Refusing(segmented=refusal) as sock:
            sender = Sender(sock, counters)
            taken = [sender.send_layout(layout, receiver.getsockname()) for _ in range(5)]
            assert set(taken) == ({0} if refusal == errno.EAGAIN else {5})
            arrived = drain(receiver)
            assert b"".join(arrived) == bytes(layout.buffer) * (0 if refusal == errno.EAGAIN else 5)
            assert {len(packet) for packet in arrived} <= {528}
    assert counters.values["udp_sent"] == 50
    assert counters.values["send_blocked"] == 25


@pytest.mark.parametrize(
    ("refusal", "counter"),
    [
        (errno.EAGAIN, "send_blocked"),
        (errno.ENOBUFS, "send_blocked"),
        (errno.ENETUNREACH, "send_refused"),
        (errno.EPERM, "send_refused"),
    ],
)
def test_a_refusal_costs_the_addressee_its_own_packets_only(refusal: int, counter: str) -> None:
    counters = Counters()
    with bound_socket() as receiver, Refusing(segmented=refusal, single=refusal) as sock:
        sender = Sender(sock, counters)
        assert sender.send(packets([1000] * 3), receiver.getsockname()) == 0
        assert sender.send(packets([1000]), receiver.getsockname()) == 0
        assert sender.send_burst(bytearray(300), [100, 100, 100], receiver.getsockname()) == 0
        assert counters.values[counter] == 7
        sock.segmented = sock.single = None
        assert sender.send(packets([1000] * 3), receiver.getsockname()) == 3


def test_an_address_that_cannot_be_sent_to_is_a_refusal() -> None:
    counters = Counters()
    with bound_socket() as sock:
        assert Sender(sock, counters).send([b"x", b"y"], ("255.255.255.255", 9)) == 0
    assert counters.values["send_refused"] == 2
