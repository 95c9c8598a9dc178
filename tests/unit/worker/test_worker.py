"""The rounds of a worker: a bug of one peer costs the others nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.channel import messages as m
from relay.transport.port import Port
from relay.worker.config import WorkerConfig
from relay.worker.worker import Worker
from tests.support.passes import CONTROL, TAP


class Camera:
    """What the rounds ask of a camera."""

    def __init__(self, name: str, fails: bool) -> None:
        self.name = name
        self.fails = fails
        self.feed = SimpleNamespace(pending=[(0, b"packet")], recording=name, lost=0, tracks=(), held_back=None)
        self.is_shown = True
        self.ticks = 0

    def tick(self, now: float) -> None:
        """As a camera whose keyframe requester has run over."""
        self.ticks += 1
        if self.fails:
            raise OverflowError("a bug")

    def report(self, now: float, viewers: int) -> m.SourceReport:
        """As a camera's."""
        self.tick(now)
        return cast(m.SourceReport, self.name)


class Viewer:
    """What the rounds ask of a viewer."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails
        self.slots: list[Any] = []
        self.reports = 0
        self.drained = 0

    def send_reports(self, now: float) -> None:
        """Count, or break."""
        if self.fails:
            raise ValueError("a bug")
        self.reports += 1

    def adapt(self, now: float) -> None:
        """Nothing to adapt."""

    def drain(self, now: float) -> bool:
        """Count, or break."""
        if self.fails:
            raise ValueError("a bug")
        self.drained += 1
        return False


class Leases:
    """Two views whose lease is over, one of which cannot be ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def expired(self, now: float) -> list[tuple[str, str]]:
        """Both, always."""
        return [("viewer", "broken"), ("viewer", "sound")]

    def end_lease(self, viewer: str, slot: str) -> None:
        """End one, or break."""
        if slot == "broken":
            raise ValueError("a bug")
        self.ended.append(slot)


class Control:
    """The connection of a control."""

    def __init__(self) -> None:
        self.closed = False
        self.posted: list[m.Message] = []

    def post(self, message: m.Message) -> None:
        """Keep what was posted."""
        self.posted.append(message)


class World:
    """A worker that owns no socket."""

    def __init__(self, run_dir: Path) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        port = cast(Port, SimpleNamespace(tick=self._port_ticks))
        self.worker = Worker(
            WorkerConfig(0, str(run_dir), "", CONTROL, TAP, orphan_seconds=5.0), port, self.clock, self.counters
        )
        self.port_fails = False
        self.control = Control()
        self.worker.control.add(cast(Any, self.control))

    def _port_ticks(self, now: float) -> None:
        if self.port_fails:
            raise ValueError("a bug")

    def cameras(self, *fails: bool) -> list[Camera]:
        """Let cameras in."""
        made = [Camera(f"cam-{at}", broken) for at, broken in enumerate(fails)]
        self.worker.publishers.by_camera = cast(Any, {camera.name: camera for camera in made})
        return made

    def viewers(self, *fails: bool) -> list[Viewer]:
        """Let viewers in."""
        made = [Viewer(broken) for broken in fails]
        self.worker.viewers.by_session = cast(Any, {str(at): viewer for at, viewer in enumerate(made)})
        return made


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_camera_that_fails_costs_no_other_its_round_and_no_recording_its_packets(world: World) -> None:
    first, broken, last = world.cameras(False, True, False)
    for _ in range(3):
        world.clock.advance(0.1)
        world.worker.tick(world.clock.monotonic())
    assert (first.ticks, broken.ticks, last.ticks) == (3, 3, 3)
    assert world.counters.values["worker_errors"] == 3
    assert [camera.feed.pending for camera in (first, broken, last)] == [[], [], []], "the tap was not flushed"


def test_leases_end_and_a_lost_control_is_noticed_where_other_steps_fail(world: World) -> None:
    world.cameras(True)
    world.port_fails = True
    leases = Leases()
    world.worker.legs = cast(Any, leases)
    world.control.closed = True
    for _ in range(2):
        world.clock.advance(4.0)
        world.worker.tick(world.clock.monotonic())
    assert leases.ended == ["sound", "sound"]
    assert world.worker.is_finishing


async def test_reports_of_the_others_are_sent_where_one_of_them_fails(world: World) -> None:
    first_camera, _, last_camera = world.cameras(False, True, False)
    first, _, last = world.viewers(False, True, False)
    await world.worker.reports.send()
    assert (first.reports, last.reports) == (1, 1)
    (report,) = world.control.posted
    assert isinstance(report, m.WorkerReport)
    assert list(report.sources) == [first_camera.report(0.0, 0), last_camera.report(0.0, 0)]


def test_a_replay_in_pieces_goes_on_beside_a_viewer_that_fails(world: World) -> None:
    broken, sound = world.viewers(True, False)
    for viewer in (broken, sound):
        world.worker.viewers.drain_soon(cast(Any, viewer))
    world.worker.viewers.drain()
    assert sound.drained == 1
