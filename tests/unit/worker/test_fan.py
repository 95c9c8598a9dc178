"""Fan-outs: sliced, fair between cameras, in order for every leg, and no leg is always the last."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from relay.base.counters import Counters
from relay.fanout.clocks import CameraClock
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.stream import Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket
from relay.transport.port import Peer, Port
from relay.worker.fan import MAX_WAITING, SLICE_SECONDS, Fan
from relay.worker.leg_sender import LegSender
from relay.worker.slot import Slot

SERVING = 0.0004
"""Seconds that serving one leg takes here."""


class World:
    """A clock that moves while legs are served, a loop that turns by hand, and what was served in which order."""

    def __init__(self) -> None:
        self.now = 100.0
        self.later: list[Callable[[], None]] = []
        self.served: list[tuple[str, int, int]] = []
        self.counters = Counters()
        self.fan = Fan(lambda: self.now, self.later.append, self.counters)
        self.fails: set[int] = set()

    def slot(self, camera: str, number: int) -> Slot:
        """A slot that shows a camera."""
        slot = Slot(number, Sender(self, camera, number))
        slot.assign(camera, f"view-{number}", "high", 1e9)
        return slot

    def turn(self) -> None:
        """One turn of the loop."""
        due, self.later[:] = list(self.later), []
        for run in due:
            run()


class Sender(LegSender):
    """Where the slots' bursts end."""

    def __init__(self, world: World, camera: str, number: int) -> None:
        super().__init__(Leg(LegSpec(number, 90_000, HeaderTemplate(96)), 0, 0, 0), cast(Port, None), world.counters, self)
        self.world = world
        self.camera = camera
        self.number = number
        self.connect(cast(Peer, SimpleNamespace(srtp=SimpleNamespace(overhead=16))))

    def send(self, burst: Burst, now: float) -> None:
        """Take a burst."""
        if self.number in self.world.fails:
            raise ValueError("a bug")
        self.world.now += SERVING
        self.world.served += [(self.camera, self.number, media.index) for media in burst.packets]

    def replay(self, bursts: object, now: float) -> None:
        """Take what a leg begins with."""

    def on_first_packet(self, sender: LegSender, now: float) -> None:
        """Not of interest here."""

    def on_backlog(self) -> None:
        """Not of interest here."""


def started(slots: list[Slot]) -> Stream:
    """A stream that all slots have begun to show; its next packet is number 1."""
    stream = Stream(1, "", TrackSpec("video", "0", 96, 90_000), CameraClock())
    key = MediaPacket(0, 0, True, b"\x65", 0.0, keyframe=True)
    stream.cache.add(key)
    for slot in slots:
        slot.sender.deliver(stream, Burst([key]), 0.0)
    return stream


def packets(*indices: int) -> list[MediaPacket]:
    """A batch."""
    return [MediaPacket(index, 3000 * index, True, b"picture", 0.0) for index in indices]


def test_few_legs_are_served_at_once() -> None:
    world = World()
    slots = [world.slot("cam", number) for number in range(3)]
    world.fan.submit("cam", started(slots), packets(1, 2), slots)
    assert len(world.served) == 6
    assert world.later == []


def test_a_long_fan_out_gives_the_loop_a_turn_and_finishes() -> None:
    world = World()
    slots = [world.slot("cam", number) for number in range(40)]
    world.fan.submit("cam", started(slots), packets(1), slots)
    turns = 0
    while world.later:
        assert len(world.later) == 1
        before = world.now
        world.turn()
        assert world.now - before < SLICE_SECONDS + 5 * SERVING
        turns += 1
    assert turns >= 5
    assert sorted(number for _, number, _ in world.served) == list(range(40))


def test_another_camera_waits_for_a_slice_and_not_for_the_whole_fan_out() -> None:
    world = World()
    many = [world.slot("busy", number) for number in range(60)]
    one = [world.slot("other", 100)]
    busy, other = started(many), started(one)
    world.fan.submit("busy", busy, packets(1), many)
    world.fan.submit("other", other, packets(1), one)
    served = len(world.served)
    world.turn()
    assert world.served[served] == ("other", 100, 1), "it has waited for one slice: the busy one does not get another before"
    while world.later:
        world.turn()
    assert len(world.served) == 61


def test_a_busy_camera_gets_its_turns_between_others_that_keep_coming() -> None:
    world = World()
    many = [world.slot("busy", number) for number in range(60)]
    others = {f"other-{number}": [world.slot(f"other-{number}", 100 + number)] for number in range(8)}
    streams = {camera: started(slots) for camera, slots in others.items()}
    world.fan.submit("busy", started(many), packets(1), many)
    for index in range(1, 200):
        camera = f"other-{index % 8}"
        world.fan.submit(camera, streams[camera], packets(index), others[camera])
        world.turn()
    assert sum(camera == "busy" for camera, _, _ in world.served) == 60


def test_a_long_burst_does_not_stretch_a_slice() -> None:
    world = World()
    slots = [world.slot("cam", number) for number in range(40)]
    world.fan.submit("cam", started(slots), packets(*range(1, 33)), slots)
    while world.later:
        before = world.now
        world.turn()
        assert world.now - before < SLICE_SECONDS + 2 * SERVING


def test_every_leg_gets_its_packets_in_order_when_batches_pile_up() -> None:
    world = World()
    slots = [world.slot("cam", number) for number in range(30)]
    stream = started(slots)
    for index in range(1, 6):
        world.fan.submit("cam", stream, packets(index), slots)
    while world.later:
        world.turn()
    for number in range(30):
        assert [index for _, leg, index in world.served if leg == number] == [1, 2, 3, 4, 5]


def test_no_leg_is_always_the_last() -> None:
    world = World()
    slots = [world.slot("cam", number) for number in range(5)]
    stream = started(slots)
    last = set()
    for index in range(1, 6):
        world.served.clear()
        world.fan.submit("cam", stream, packets(index), slots)
        while world.later:
            world.turn()
        last.add(world.served[-1][1])
    assert last == set(range(5))


def test_a_slot_that_shows_something_else_by_now_is_left_out() -> None:
    world = World()
    slots = [world.slot("cam", number) for number in range(40)]
    world.fan.submit("cam", started(slots), packets(1), slots)
    world.served.clear()
    for slot in slots:
        slot.camera = "elsewhere"
    while world.later:
        world.turn()
    assert world.served == []


def test_an_error_costs_one_leg_its_stream_and_no_other_anything() -> None:
    world = World()
    slots = [world.slot("cam", number) for number in range(4)]
    stream = started(slots)
    world.fails = {2}
    world.fan.submit("cam", stream, packets(1), slots)
    assert sorted(number for _, number, _ in world.served) == [0, 1, 3]
    assert slots[2].stream is None
    assert world.counters.values["leg_errors"] == 1


def test_what_waits_is_bounded_and_counted() -> None:
    world = World()
    slots = [world.slot("cam", number) for number in range(40)]
    stream = started(slots)
    for index in range(1, MAX_WAITING + 20):
        world.fan.submit("cam", stream, packets(index), slots)
    assert world.counters.values["fan_overrun"] > 0
    while world.later:
        world.turn()
    assert len(world.served) <= 40 * MAX_WAITING
