"""How long a viewer session lives, and what is said when it ends."""

import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest

from relay.base.clock import ManualClock
from relay.channel import messages as m
from relay.rtp import rtcp
from relay.runtime.error_barrier import ErrorBarrier
from relay.transport import dtls
from relay.transport.port import Port
from relay.worker.fan import Audience
from relay.worker.legs import Legs
from relay.worker.single_unit_sender import SingleUnitSender
from relay.worker.viewers import CONSENT_SECONDS, Viewers
from tests.support.clients import CLIENT_IDENTITY, Client, still_port
from tests.support.plain_peer import offer_of

OFFER = offer_of("chromium_viewer.sdp", dtls.Context(CLIENT_IDENTITY))


class World:
    """The viewers of a worker without cameras, on a port that reads nothing by itself."""

    def __init__(self, port: Port, clock: ManualClock) -> None:
        self.port = port
        self.clock = clock
        self.posted: list[m.Message] = []
        legs = Legs(Audience(), clock, self.posted.append)
        barrier = ErrorBarrier(clock.monotonic, port.counters, "worker_errors")
        later = cast(Any, lambda seconds, call: None)
        publishers = cast(Any, None)
        self.viewers = Viewers(port, clock, port.counters, publishers, legs, self.posted.append, later, barrier, 0)

    def joins(self, session: str = "wall") -> Client:
        """Let a viewer in, and connect it."""
        self.viewers.open(m.ViewerOpen(session, OFFER))
        client = Client(self.port, self.clock, expected=self.viewers.by_session[session].peer)
        client.connect()
        return client

    def passes(self, seconds: float) -> None:
        """Let time go by, and the port look at the clock."""
        self.clock.advance(seconds)
        self.port.tick(self.clock.monotonic())


@pytest.fixture
def world() -> Iterator[World]:
    with still_port() as (port, clock):
        yield World(port, clock)


@pytest.mark.parametrize("pause", [5.1, 7.5, 29.0])
def test_a_viewer_whose_reports_or_checks_are_far_apart_lives_on(world: World, pause: float) -> None:
    with world.joins() as client:
        for _ in range(4):
            world.passes(pause)
            client.deliver(client.srtp.seal_rtcp(rtcp.build_receiver_report(rtcp.ReceiverReport(7, ()))))
            world.passes(pause)
            client.check(use_candidate=False)
        assert "wall" in world.viewers.by_session


def test_a_viewer_that_says_nothing_lives_as_long_as_its_consent_and_the_log_says_why_it_ended(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with world.joins(), caplog.at_level(logging.INFO):
        world.passes(CONSENT_SECONDS)
        assert "wall" in world.viewers.by_session
        world.passes(0.1)
        assert "wall" not in world.viewers.by_session
    assert world.posted[-1] == m.ViewerState("wall", "closed", "silent for 30 s")
    assert [record.getMessage() for record in caplog.records] == ["a viewer session ended: silent for 30 s; its views: none"]


def test_a_viewer_that_says_goodbye_is_let_go_at_once(world: World) -> None:
    with world.joins() as client:
        for datagram in client.dtls.close():
            client.deliver(datagram)
        assert "wall" not in world.viewers.by_session
    assert world.posted[-1] == m.ViewerState("wall", "closed", "the peer said goodbye")


def offered(mode: str) -> str:
    """An offer of one H.264 format with these parameters."""
    lines = [line for line in OFFER.split("\r\n") if not line.startswith(("a=fmtp", "a=rtpmap", "a=rtcp-fb"))]
    at = next(at for at, line in enumerate(lines) if line.startswith("m=video"))
    lines[at] = " ".join([*lines[at].split(" ")[:3], "96"])
    return "\r\n".join(
        [*lines[: at + 1], "a=rtpmap:96 H264/90000", f"a=fmtp:96 profile-level-id=42e01f{mode}", *lines[at + 1 :]]
    )


@pytest.mark.parametrize(
    ("mode", "is_single"), [(";packetization-mode=0", True), (";packetization-mode=1", False), ("", False)]
)
def test_single_units_are_for_viewers_that_ask_for_them(world: World, mode: str, is_single: bool) -> None:
    world.viewers.open(m.ViewerOpen("wall", offered(mode)))
    (slot, *_) = world.viewers.by_session["wall"].slots
    assert isinstance(slot.sender, SingleUnitSender) is is_single
