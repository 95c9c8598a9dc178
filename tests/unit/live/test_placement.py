"""Where cameras are placed: their last worker for a minute, else the least loaded; closes that a worker still owes."""

import pytest

from relay.base.clock import ManualClock
from relay.base.errors import OurError
from relay.channel.messages import PeerCloseReason
from relay.live.capture import Circumstances
from relay.live.ice_restart import IceGeneration
from relay.live.placement import MAX_PENDING_CLOSES, STICKY_SECONDS, PendingCloses, SessionPlacement
from relay.live.publish_sessions import PublishSession
from relay.store.accounts import Camera


def session(camera: str, worker: int, confirmed: float = 5.0) -> PublishSession:
    enrolled = Camera(camera, camera.upper(), "bodycam_pm", "service", "", "relay", True, 0, None)
    made = PublishSession(
        enrolled, "secret", worker, "recording", Circumstances("i", "press", "agents", None), 0.0, IceGeneration("etag")
    )
    made.confirm(confirmed)
    return made


def test_a_camera_goes_to_the_worker_with_the_fewest_sessions() -> None:
    placement = SessionPlacement(ManualClock())
    assert placement.choose("pm-1", [0, 1, 2], [0, 0, 1, 2, 2]) == 1
    assert placement.choose("pm-1", [0, 2], [0, 1, 2]) == 0


def test_without_a_usable_worker_a_camera_is_asked_to_try_again() -> None:
    with pytest.raises(OurError) as refused:
        SessionPlacement(ManualClock()).choose("pm-1", [], [])
    assert refused.value.retry_after == 1.0


def test_cameras_that_publish_at_the_same_moment_are_spread() -> None:
    placement = SessionPlacement(ManualClock())
    with placement.reserve("pm-1", [0, 1], []) as first, placement.reserve("pm-2", [0, 1], []) as second:
        assert {first, second} == {0, 1}
        assert placement.reserved() == {"pm-1", "pm-2"}
    assert placement.reserved() == frozenset()


def test_a_reservation_ends_with_a_publication_that_fails() -> None:
    placement = SessionPlacement(ManualClock())
    with pytest.raises(ZeroDivisionError), placement.reserve("pm-1", [0], []):
        raise ZeroDivisionError
    assert placement.reserved() == frozenset()


def test_place_intervention_and_time_limit_are_kept_for_a_minute() -> None:
    clock = ManualClock()
    placement = SessionPlacement(clock)
    placement.leave(session("pm-1", 1, confirmed=5.0))
    clock.advance(STICKY_SECONDS - 1)
    assert placement.choose("pm-1", [0, 1], [1, 1]) == 1
    assert placement.left_in("i") == ("pm-1",)
    assert placement.recent_interventions() == {"i"}
    back = session("pm-1", 1, confirmed=60.0)
    placement.resume(back)
    assert back.confirmed == 5.0
    clock.advance(1)
    assert placement.choose("pm-1", [0, 1], [1, 1]) == 0
    assert placement.left_in("i") == ()
    assert placement.recent_interventions() == frozenset()


def test_a_camera_whose_session_ended_on_purpose_starts_afresh() -> None:
    placement = SessionPlacement(ManualClock())
    placement.leave(session("pm-1", 1))
    placement.forget("pm-1")
    assert placement.recent("pm-1") is None
    assert placement.intervention("pm-1") is None


def test_pending_closes_are_bounded_and_the_oldest_go_first() -> None:
    pending = PendingCloses()
    for number in range(MAX_PENDING_CLOSES + 1):
        pending.add(f"secret-{number}", PeerCloseReason.TIME_LIMIT)
    assert pending.reason("secret-0") is None
    assert pending.reason("secret-1") is PeerCloseReason.TIME_LIMIT
    pending.done("secret-1")
    assert pending.reason("secret-1") is None
