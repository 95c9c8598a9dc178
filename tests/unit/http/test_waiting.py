"""What waits for a live socket: the latest state of each thing, every event in its order, and never more than the bounds."""

from collections import deque
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.base.codes import Code
from relay.base.errors import Kind
from relay.http.waiting import BATCH, Item, Waiting
from relay.live.camera_intents import MAX_REQUESTS
from relay.protocol import camera, page, wire
from tests.support.live_messages import camera_state


def update(name: str, **more: Any) -> page.CameraUpdate:
    return page.CameraUpdate(camera_state(name, **more))


def leg(view: str, kbps: float) -> page.LegReport:
    return page.LegReport(view, kbps, 0.0, None, "high", False, 1.0, None, None)


def taken(waiting: Waiting) -> list[dict[str, Any]]:
    found = []
    while (data := waiting.take()) is not None:
        found.append(msgpack.unpackb(data))
    return found


def names(message: dict[str, Any]) -> list[str]:
    return [state["camera"] for state in message["cameras"]]


def test_a_fleet_that_changes_all_the_time_costs_a_page_one_place_for_each_camera() -> None:
    waiting = Waiting(16, batches=True)
    for kbps in range(50):
        for number in range(330):
            assert waiting.put(update(f"pm-{number}", kbps=float(kbps)))
    assert len(waiting) == 330
    sent = taken(waiting)
    assert [len(message["cameras"]) for message in sent] == [BATCH] * 10 + [10]
    assert [state["camera"] for message in sent for state in message["cameras"]] == [f"pm-{n}" for n in range(330)]
    assert {state["kbps"] for message in sent for state in message["cameras"]} == {49.0}


def test_a_page_that_asked_for_no_batches_gets_each_state_alone() -> None:
    waiting = Waiting(16)
    waiting.put(update("a", viewers=1))
    waiting.put(update("b"))
    waiting.put(update("a", viewers=2))
    assert [(found["t"], found["camera"], found["viewers"]) for found in taken(waiting)] == [
        ("camera", "a", 2),
        ("camera", "b", 0),
    ]


def test_an_encoded_batch_is_the_message_of_the_contract() -> None:
    states = (camera_state("a", pressed=True, pressed_age=0.5), camera_state("b"))
    encoded = page.batch(page.CameraUpdate(state) for state in states)
    assert encoded == wire.encode(page.CamerasChanged(states))


def test_events_keep_their_order_and_states_their_place_among_them() -> None:
    waiting = Waiting(16, batches=True)
    waiting.put(page.Assigned(0, 0, "a", "v"))
    waiting.put(update("a"))
    waiting.put(page.ViewStarted("v", 5))
    waiting.put(page.AlarmRaised("a", page.AlarmReason.ENDS_SOON, 1))
    waiting.put(update("b"))
    assert [message["t"] for message in taken(waiting)] == ["assigned", "states", "started", "alarm"]


def test_events_beyond_the_bound_are_refused_and_states_and_alarms_are_not() -> None:
    waiting = Waiting(4)
    assert [waiting.put(page.ViewStarted(str(n), n)) for n in range(5)] == [True] * 4 + [False]
    assert waiting.put(update("a"))
    for number in range(100):
        assert waiting.put(page.AlarmRaised(f"pm-{number}", page.AlarmReason.RECORDING_DAMAGED, number))
    assert waiting.events == 4
    waiting.take()
    assert waiting.put(page.ViewStarted("x", 1))


def test_a_press_released_while_the_page_reads_nothing_is_shown_all_the_same() -> None:
    waiting = Waiting(4, batches=True)
    for pressed in (True, False, True, False, False):
        waiting.put(update("a", pressed=pressed))
    assert len(waiting) == 2
    (message,) = taken(waiting)
    assert [state["pressed"] for state in message["cameras"]] == [True, False]


def test_a_camera_that_was_revoked_and_enrolled_again_is_there() -> None:
    waiting = Waiting(4, batches=True)
    waiting.put(update("a"))
    waiting.put(page.CameraGone("a"))
    assert [message["t"] for message in taken(waiting)] == ["gone"]
    waiting.put(page.CameraGone("a"))
    waiting.put(update("a"))
    assert [message["t"] for message in taken(waiting)] == ["states"]


def test_no_report_of_a_view_follows_its_end() -> None:
    waiting = Waiting(4)
    waiting.put(leg("v", 1.0))
    waiting.put(leg("w", 1.0))
    waiting.put(leg("w", 2.0))
    waiting.put(page.ViewEnded(0, 0, "v", "signed out"))
    assert [(found["t"], found.get("kbps")) for found in taken(waiting)] == [("leg", 2.0), ("ended", None)]


def test_a_page_learns_that_a_worker_was_down_however_late_it_reads() -> None:
    waiting = Waiting(4)
    for up in (True, False, True, False, True, True):
        waiting.put(page.WorkerChanged(0, up))
    waiting.put(page.WorkerChanged(1, False))
    assert [(found["worker"], found["up"]) for found in taken(waiting)] == [(0, False), (0, True), (1, False)]


def test_a_camera_that_reads_nothing_keeps_the_newest_requests_and_the_last_order() -> None:
    waiting = Waiting(4)
    for number in range(40):
        assert waiting.put(camera.StreamRequest(str(number), "operator", ""))
        assert waiting.put(camera.Watched(number))
        assert waiting.put(camera.Pressed())
        assert waiting.put(camera.ServerTime(number, None))
    waiting.put(camera.Republish("the worker died"))
    waiting.put(camera.Stop("closed"))
    waiting.put(camera.ServerTime(7, "mine"))
    sent = taken(waiting)
    asked = [found["request"] for found in sent if found["t"] == "request"]
    assert asked == [str(number) for number in range(40 - MAX_REQUESTS, 40)]
    assert [found["t"] for found in sent][-3:] == ["republish", "stop", "time"]
    assert [found["by"] for found in sent if found["t"] == "watched"] == [39]
    assert [found["server_ns"] for found in sent if found["t"] == "time"] == [39, 7]


class Line(RuleBasedStateMachine):
    """One page's line against what a page would know that reads everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = Waiting(8, batches=True)
        self.truth: dict[str, int | None] = {}
        self.shown: dict[str, int | None] = {}
        self.events: deque[int] = deque()
        self.number = 0

    @rule(name=st.sampled_from("abc"), gone=st.booleans())
    def change(self, name: str, *, gone: bool) -> None:
        self.number += 1
        self.truth[name] = None if gone else self.number
        item: Item = page.CameraGone(name) if gone else update(name, viewers=self.number, pressed=self.number % 3 == 0)
        assert self.waiting.put(item)

    @rule()
    def event(self) -> None:
        self.number += 1
        fits = len(self.events) < 8
        assert self.waiting.put(page.Refused(self.number, None, None, Kind.INVALID, Code.INVALID, "", {})) is fits
        if fits:
            self.events.append(self.number)

    @precondition(lambda self: len(self.waiting) > 0)
    @rule()
    def read(self) -> None:
        data = self.waiting.take()
        assert data is not None
        message = msgpack.unpackb(data)
        if message["t"] == "states":
            self.shown.update({state["camera"]: state["viewers"] for state in message["cameras"]})
        elif message["t"] == "gone":
            self.shown[message["camera"]] = None
        else:
            assert message["slot"] == self.events.popleft()

    @invariant()
    def bounded(self) -> None:
        assert len(self.waiting) <= 2 * 3 + 8
        assert self.waiting.events == len(self.events)

    def teardown(self) -> None:
        while len(self.waiting):
            self.read()
        assert self.shown == self.truth


TestLine = Line.TestCase


@given(st.lists(st.booleans(), max_size=40))
def test_every_press_is_shown_or_still_stands(presses: list[bool]) -> None:
    waiting = Waiting(4, batches=True)
    for pressed in presses:
        waiting.put(update("a", pressed=pressed))
    shown = [state["pressed"] for message in taken(waiting) for state in message["cameras"]]
    assert any(presses) == any(shown)
    assert not presses or shown[-1] == presses[-1]
