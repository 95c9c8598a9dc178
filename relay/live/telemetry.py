"""A camera's position, battery and clock offset, sealed beside its pictures.

Owns: how often and under which names what a camera reports of itself reaches its recording (REC-08).
Must never know: pages; none of them is shown a position (LIV-04).
"""

from collections.abc import Callable

from relay.base.clock import Clock
from relay.live.camera_sockets import Beat, CameraSockets
from relay.live.capture import Capture
from relay.live.publish_sessions import PublishSession

META_SECONDS = 5.0


class Telemetry:
    """Notes each live camera's beats, at most one every `META_SECONDS`."""

    def __init__(
        self, camera_sockets: CameraSockets, capture: Capture, live: Callable[[str], PublishSession | None], clock: Clock
    ) -> None:
        self._sockets = camera_sockets
        self._capture = capture
        self._live = live
        self._clock = clock
        self._noted: dict[str, tuple[str, float]] = {}
        """Of each camera: its publish session's secret, and when (monotonic seconds) a beat was noted in it."""
        camera_sockets.on_beat.append(self._on_beat)

    def _on_beat(self, camera: str, beat: Beat) -> None:
        publish_session = self._live(camera)
        if publish_session is None or publish_session.recording is None or not self._due(camera, publish_session.secret):
            return
        values = {} if beat.battery is None else {"battery": f"{beat.battery:g}"}
        if beat.position is not None:
            latitude, longitude, accuracy = beat.position
            values |= {"lat": f"{latitude:.6f}", "lon": f"{longitude:.6f}", "accuracy_m": f"{accuracy:g}"}
        offset = self._sockets.offset(camera)
        if offset is not None:
            values |= {"clock_offset_ms": f"{offset.offset_ms:.1f}", "clock_uncertainty_ms": f"{offset.uncertainty_ms:.1f}"}
        if values:
            self._capture.note(publish_session.recording, self._clock.utc_ns(), values)

    def _due(self, camera: str, secret: str) -> bool:
        """Return whether a beat is to be noted now; if so, the next one is due `META_SECONDS` later."""
        now = self._clock.monotonic()
        noted_in, noted_at = self._noted.get(camera, ("", 0.0))
        if noted_in == secret and now - noted_at < META_SECONDS:
            return False
        self._noted[camera] = secret, now
        return True
