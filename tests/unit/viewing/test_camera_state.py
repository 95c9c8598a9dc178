"""What a page is shown of a camera whose worker is away."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.base.clock import ManualClock
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture, Circumstances, OpenRecording
from relay.live.ice_restart import IceGeneration
from relay.live.publish_sessions import PublishSession, WorkerState
from relay.live.streams import Streams
from relay.live.time_limit import TimeLimit
from relay.protocol.page import CameraState
from relay.store.accounts import Camera
from relay.viewing.camera_state import CameraStates
from relay.viewing.viewing import Viewing

CAMERA = Camera("pm-1", "PM 1", "bodycam_pm", "service", "", "relay", False, 0, None)


def shown(state: str, written: str, age: float | None = 3.0) -> CameraState:
    clock = ManualClock()
    why = Circumstances("intervention", "press", "agents", None)
    live = PublishSession(
        CAMERA, "secret", 0, "recording", why, clock.monotonic(), IceGeneration("etag"), WorkerState(cast(Any, state))
    )
    held = OpenRecording("recording", "pm-1", 0, None if age is None else clock.monotonic() - age, written, ("video",))
    camera_states = CameraStates(
        cast(Streams, SimpleNamespace(live=lambda name: live)),
        cast(Capture, SimpleNamespace(held=lambda recording: held)),
        cast(CameraSockets, SimpleNamespace(unit=lambda name: None, offset=lambda name: None)),
        cast(Viewing, SimpleNamespace(views_of=lambda name: 0)),
        cast(TimeLimit, SimpleNamespace(ends_ns=lambda live: 7)),
        clock,
    )
    return camera_states.of(CAMERA)


@pytest.mark.parametrize(
    ("state", "written", "rec"),
    [
        ("live", "recording", "recording"),
        ("lost", "recording", "waiting"),
        ("lost", "waiting", "waiting"),
        ("lost", "stalled", "stalled"),
        ("lost", "full", "full"),
        ("live", "unrecorded", "unrecorded"),
        ("lost", "unrecorded", "waiting"),
    ],
)
def test_nothing_is_called_recorded_that_no_worker_brings(state: str, written: str, rec: str) -> None:
    found = shown(state, written)
    assert (found.state, found.rec) == (state, rec)
    assert (found.sealed_age, found.ends_ns) == (3.0, 7)
    assert found.unrecorded == (("video",) if rec == "unrecorded" else ())


@pytest.mark.parametrize("age", [None, 20.0])
def test_nothing_is_called_recorded_that_is_not_sealed(age: float | None) -> None:
    assert shown("live", "recording", age).rec == "stalled"
