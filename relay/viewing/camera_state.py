"""The state of a camera, as the page shows it.

Owns: how publish session, recording, live socket and views become one state for each tile.
Must never know: sockets, HTTP, positions and civil identities (LIV-04: neither is shown beside a live picture).
"""

from typing import cast

from relay.base.clock import Clock
from relay.channel.messages import SourceReport
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture
from relay.live.publish_sessions import PublishSession
from relay.live.streams import Streams
from relay.live.time_limit import TimeLimit
from relay.protocol.page import CameraState, RecordingState
from relay.store.accounts import Camera
from relay.viewing.viewing import Viewing

UNSEALED_SECONDS = 7.0
"""Age of the newest seal at which nothing counts as being recorded, whatever its recorder said last."""


class CameraStates:
    """Answers what is known of a camera now."""

    def __init__(
        self,
        streams: Streams,
        capture: Capture,
        camera_sockets: CameraSockets,
        viewing: Viewing,
        time_limit: TimeLimit,
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._capture = capture
        self._sockets = camera_sockets
        self._viewing = viewing
        self._time_limit = time_limit
        self._clock = clock

    def of(self, camera: Camera) -> CameraState:
        """Return the state of one camera."""
        publish_session = self._streams.live(camera.camera)
        report = publish_session.reported.report if publish_session is not None else None
        unit = self._sockets.unit(camera.camera)
        online = unit is not None and unit.online
        clock_offset_ms, clock_uncertainty_ms = self._clock_of(camera.camera, report)
        rec, sealed_age = self._recording_of(publish_session)
        held = self._capture.held(publish_session.recording) if publish_session is not None else None
        return CameraState(
            camera=camera.camera,
            label=camera.label,
            regime=camera.regime,
            live_audio=camera.live_audio,
            original=camera.original,
            bearer=unit.bearer if unit is not None else None,
            battery=unit.beat.battery if unit is not None and unit.beat is not None else None,
            viewers=self._viewing.views_of(camera.camera),
            online=online,
            pressed=unit is not None and unit.pressed,
            pressed_age=self._clock.monotonic() - unit.pressed_at if unit is not None and unit.pressed else None,
            state=publish_session.reported.state if publish_session is not None else ("idle" if online else "offline"),
            worker=publish_session.worker if publish_session is not None else None,
            recording=publish_session.recording if publish_session is not None else None,
            ends_ns=self._time_limit.ends_ns(publish_session),
            intervention=publish_session.circumstances.intervention if publish_session is not None else None,
            clock_offset_ms=clock_offset_ms,
            clock_uncertainty_ms=clock_uncertainty_ms,
            uplink_ms=_uplink(clock_offset_ms, report),
            rec=rec,
            sealed_age=sealed_age,
            unrecorded=held.unrecorded if held is not None and rec == "unrecorded" else (),
            kbps=report.kbps if report is not None else 0.0,
            fps=report.fps if report is not None else 0.0,
            loss=report.loss if report is not None else 0.0,
            width=report.width if report is not None else 0,
            height=report.height if report is not None else 0,
            last_frame_age=report.last_frame_age if report is not None else None,
            warnings=report.warnings if report is not None else (),
        )

    def _clock_of(self, camera: str, report: SourceReport | None) -> tuple[float | None, float | None]:
        """Return offset and uncertainty (ms): as measured over the live socket, else as its sender reports allow."""
        offset = self._sockets.offset(camera)
        if offset is not None:
            return offset.offset_ms, offset.uncertainty_ms
        return (report.clock_offset_ms, report.clock_uncertainty_ms) if report is not None else (None, None)

    def _recording_of(self, publish_session: PublishSession | None) -> tuple[RecordingState, float | None]:
        """Return the state of the recording and the age (s) of its newest seal."""
        if publish_session is None:
            return "none", None
        if publish_session.recording is None:
            # Nothing came, or what came waits for the signed start; nothing of it is shown (LIV-02).
            return ("stalled" if self._streams.recording_supervisor.in_grace(publish_session) else "waiting"), None
        held = self._capture.held(publish_session.recording)
        if held is None:
            return "stalled", None
        sealed = held.sealed_until_mono
        age = max(0.0, self._clock.monotonic() - sealed) if sealed is not None else None
        # A recorder notices only after a moment that no packets arrive.
        if publish_session.reported.state == "lost" and held.state in ("recording", "unrecorded"):
            return "waiting", age
        if held.state == "recording" and (age is None or age > UNSEALED_SECONDS):
            return "stalled", age  # its recorder says nothing any more: it would have said by now that nothing is sealed
        return cast(RecordingState, held.state), age


def _uplink(offset_ms: float | None, report: SourceReport | None) -> float | None:
    """Return the quickest way from camera to relay that its sender reports took, given the camera's clock offset."""
    if offset_ms is None or report is None or report.clock_offset_ms is None:
        return None
    # The report's offset supposes half a round trip; without that supposition it is the true offset minus the way.
    return max(0.0, offset_ms - report.clock_offset_ms + (report.rtt_ms or 0.0) / 2)
