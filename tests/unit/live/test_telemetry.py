"""A camera's beats in its recording: every five seconds at most, and the first of each publish session."""

from types import SimpleNamespace
from typing import Any, cast

from relay.base.clock import ManualClock
from relay.live.camera_sockets import Beat, CameraSockets
from relay.live.capture import Capture
from relay.live.clock_offset import Offset
from relay.live.telemetry import META_SECONDS, Telemetry


class Scene:
    """One camera; `secret` names its publish session, None: it has none."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clock.advance(100)
        self.secret: str | None = "first"
        self.noted: list[dict[str, str]] = []
        self.on_beat: list[Any] = []
        sockets = SimpleNamespace(on_beat=self.on_beat, offset=lambda camera: Offset(1.25, 0.5))
        capture = SimpleNamespace(note=lambda recording, at_ns, values: self.noted.append(values))
        Telemetry(cast(CameraSockets, sockets), cast(Capture, capture), self.live, self.clock)

    def live(self, camera: str) -> Any:
        return None if self.secret is None else SimpleNamespace(secret=self.secret, recording="recording")

    def beat(self, battery: float | None = 50.0) -> None:
        for listener in self.on_beat:
            listener("pm-1", Beat(self.clock.monotonic(), battery, (48.1, -1.6, 4.0)))


def test_beats_are_noted_at_most_every_five_seconds() -> None:
    scene = Scene()
    for _ in range(11):
        scene.beat()
        scene.clock.advance(META_SECONDS / 5)
    assert len(scene.noted) == 3


def test_the_first_beat_of_each_publish_session_is_noted() -> None:
    scene = Scene()
    scene.beat()
    scene.secret = "second"
    scene.beat()
    assert len(scene.noted) == 2


def test_a_camera_that_is_not_live_leaves_no_trace() -> None:
    scene = Scene()
    scene.secret = None
    scene.beat()
    assert scene.noted == []


def test_a_beat_is_noted_with_position_battery_and_clock() -> None:
    scene = Scene()
    scene.beat()
    assert scene.noted == [
        {
            "battery": "50", "lat": "48.100000", "lon": "-1.600000", "accuracy_m": "4",
            "clock_offset_ms": "1.2", "clock_uncertainty_ms": "0.5",
        }
    ]  # fmt: skip
