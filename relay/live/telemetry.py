"""Where a camera was and how it was, sealed beside its pictures.

What this file owns: how often and in which words what a camera says of itself reaches its recording (REC-08).  What it must
never know: pages; none of them is shown a position (LIV-04).
"""

from collections.abc import Callable

from relay.base.clock import Clock
from relay.live.camera_sockets import Beat, CameraSockets
from relay.live.capture import Capture
from relay.live.publish_sessions import PublishSession

META_EVERY = 5.0


class Telemetry:
    """Notes each live camera's beats, at most every `META_EVERY` seconds."""

    def __init__(
        self, camera_sockets: CameraSockets, capture: Capture, live: Callable[[str], PublishSession | None], clock: Clock
    ) -> None:
        self._sockets = camera_sockets
        self._capture = capture
        self._live = live
        self._clock = clock
        camera_sockets.on_beat.append(self._on_beat)

    def _on_beat(self, camera: str, beat: Beat) -> None:
        live = self._live(camera)
        now = self._clock.monotonic()
        if live is None or now - live.noted < META_EVERY:
            return
        live.noted = now
        values = {} if beat.battery is None else {"battery": f"{beat.battery:g}"}
        if beat.position is not None:
            latitude, longitude, accuracy = beat.position
            values |= {"lat": f"{latitude:.6f}", "lon": f"{longitude:.6f}", "accuracy_m": f"{accuracy:g}"}
        offset = self._sockets.offset(camera)
        if offset is not None:
            values |= {"clock_offset_ms": f"{offset.offset_ms:.1f}", "clock_uncertainty_ms": f"{offset.uncertainty_ms:.1f}"}
        if values:
            self._capture.note(live.recording, self._clock.utc_ns(), values)
