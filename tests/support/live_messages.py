"""Messages of the live protocol for tests.

Owns example values.  Must never know the relay's services.
"""

from typing import Any

import msgpack
import msgspec

from relay.protocol.page import CameraState
from relay.protocol.wire import Message


def camera_state(camera: str = "pm-1", **more: Any) -> CameraState:
    """Return the state of a camera that is not there, but for the fields named."""
    state = CameraState(
        camera=camera, label=camera.upper(), regime="bodycam_pm", live_audio=False, original="relay", bearer=None, battery=None,
        viewers=0, online=False, pressed=False, pressed_age=None, state="offline", worker=None, recording=None, ends_ns=None,
        intervention=None, clock_offset_ms=None, clock_uncertainty_ms=None, uplink_ms=None, rec="none", sealed_age=None,
        unrecorded=(), kbps=0.0, fps=0.0, loss=0.0, width=0, height=0, last_frame_age=None,
    )  # fmt: skip
    return msgspec.structs.replace(state, **more)


def as_map(message: Message) -> dict[str, Any]:
    """Return a message as the map that goes over the socket."""
    found: dict[str, Any] = msgspec.to_builtins(message)
    return found


def as_bytes(message: dict[str, Any]) -> bytes:
    """Return a map as a page or a camera with another library sends it."""
    return bytes(msgpack.packb(message))
