"""The live protocol over the wire: each message is the map that pages and cameras know, and bad bytes cost nothing else."""

import math
from typing import Any, get_args

import msgpack
import msgspec
import pytest

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.http import schemas
from relay.protocol import camera, page, wire
from relay.protocol.wire import Message
from tests.support.live_messages import as_bytes, camera_state

STATE: dict[str, Any] = {
    "camera": "pm-1", "label": "PM-1", "regime": "bodycam_pm", "live_audio": False, "original": "relay", "bearer": None,
    "battery": None, "viewers": 0, "online": False, "pressed": False, "pressed_age": None, "state": "offline", "worker": None,
    "recording": None, "ends_ns": None, "intervention": None, "clock_offset_ms": None, "clock_uncertainty_ms": None,
    "uplink_ms": None, "rec": "none", "unrecorded": [], "sealed_age": None, "kbps": 0.0, "fps": 0.0, "loss": 0.0, "width": 0,
    "height": 0, "last_frame_age": None, "warnings": [],
}  # fmt: skip

TO_PAGE: list[tuple[Message, dict[str, Any]]] = [
    (
        page.Hello(1, (0, 1), "olga", "operator", 7),
        {"t": "hello", "protocol": 1, "workers": [0, 1], "user": "olga", "role": "operator", "server_ns": 7},
    ),
    (page.Cameras((camera_state(),)), {"t": "cameras", "cameras": [STATE]}),
    (page.CameraChanged(**msgspec.structs.asdict(camera_state())), {"t": "camera", **STATE}),
    (page.CamerasChanged((camera_state(),)), {"t": "states", "cameras": [STATE]}),
    (page.CameraGone("pm-1"), {"t": "gone", "camera": "pm-1"}),
    (page.Assigned(1, 0, "pm-1", "v"), {"t": "assigned", "slot": 1, "worker": 0, "camera": "pm-1", "view": "v"}),
    (page.Assigned(1, None, None, None), {"t": "assigned", "slot": 1, "worker": None, "camera": None, "view": None}),
    (
        page.Refused(None, None, None, Kind.NOT_FOUND, Code.SESSION_NOT_FOUND, "no such session", {}),
        {
            "t": "refused", "slot": None, "worker": None, "camera": None,
            "kind": "not_found", "code": "session_not_found", "detail": "no such session", "facts": {},
        },
    ),
    (page.ViewStarted("v", 7), {"t": "started", "view": "v", "first_ns": 7}),
    (page.ViewEnded(1, 0, "v", "why"), {"t": "ended", "slot": 1, "worker": 0, "view": "v", "reason": "why"}),
    (
        page.LegReport("v", 1.5, 0.0, None, "low", True, 0.5, None, None),
        {
            "t": "leg", "view": "v", "kbps": 1.5, "loss": 0.0, "rtt_ms": None, "layer": "low", "limited": True, "delay_ms": 0.5,
            "stamp_ns": None, "stamp_rtp": None,
        },
    ),
    (page.ServerTime(7, 1.5), {"t": "time", "server_ns": 7, "echo": 1.5}),
    (
        page.AlarmRaised("pm-1", page.AlarmReason.ENDS_SOON, 7),
        {"t": "alarm", "camera": "pm-1", "reason": "ends_soon", "at_ns": 7},
    ),
    (page.CageReport(("worker-0",)), {"t": "cage", "incomplete": ["worker-0"]}),
    (page.DiskReport("ok", 1 << 40, None), {"t": "disk", "state": "ok", "free": 1 << 40, "full_in_s": None}),
    (page.InterventionsChanged(), {"t": "interventions"}),
    (page.WorkerChanged(1, False), {"t": "worker", "worker": 1, "up": False}),
    (page.Bye("signed out"), {"t": "bye", "reason": "signed out"}),
]  # fmt: skip

TO_CAMERA: list[tuple[Message, dict[str, Any]]] = [
    (
        camera.Welcome(1, "pm-1", "PM 1", "/whip/pm-1"),
        {"t": "welcome", "protocol": 1, "camera": "pm-1", "label": "PM 1", "whip": "/whip/pm-1"},
    ),
    (camera.Pressed(), {"t": "pressed"}),
    (
        camera.StreamRequest("r", "operator", "renfort"),
        {"t": "request", "request": "r", "from_role": "operator", "reason": "renfort"},
    ),
    (camera.Watched(2), {"t": "watched", "by": 2}),
    (camera.Stop("why"), {"t": "stop", "reason": "why"}),
    (camera.Republish("why"), {"t": "republish", "reason": "why"}),
    (camera.ServerTime(7, None), {"t": "time", "server_ns": 7, "echo": None}),
    (camera.ServerTime(7, "x"), {"t": "time", "server_ns": 7, "echo": "x"}),
]

FROM_PAGE: list[tuple[dict[str, Any], Message]] = [
    (
        {"t": "assign", "wall": "w", "worker": 0, "slot": 1, "camera": "pm-1", "intervention": "i", "layer": "low"},
        page.Assign("w", 1, 0, "pm-1", "i", "low"),
    ),
    ({"t": "assign", "wall": "w", "slot": 1}, page.Assign("w", 1, None, None, None, "high")),
    ({"t": "layer", "wall": "w", "slot": 1, "layer": "key"}, page.SetLayer("w", 1, "key")),
    ({"t": "listen", "wall": "w", "slot": None}, page.Listen("w", None)),
    ({"t": "listen", "wall": "w"}, page.Listen("w", None)),
    ({"t": "time", "echo": 1234.5}, page.AskTime(1234.5)),
    ({"t": "time"}, page.AskTime(None)),
    ({"later": [1], "t": "time", "echo": 1}, page.AskTime(1)),
]

FROM_CAMERA: list[tuple[dict[str, Any], Message]] = [
    ({"t": "hello", "firmware": "x 1.2"}, camera.Hello("x 1.2")),
    ({"t": "hello"}, camera.Hello()),
    (
        {"t": "beat", "battery": 93, "lat": 48.1, "lon": -1, "accuracy_m": 5, "utc_ns": 7},
        camera.Beat(93.0, 48.1, -1.0, 5.0, 7),
    ),
    ({"t": "beat"}, camera.Beat()),
    ({"t": "press", "threat": "biens", "reason": "vitrine"}, camera.Press("biens", "vitrine")),
    ({"t": "press"}, camera.Press()),
    ({"t": "release"}, camera.Release()),
    ({"t": "accept", "request": "r"}, camera.Accept("r")),
    ({"t": "decline", "request": "r"}, camera.Decline("r")),
    ({"t": "time", "echo": 7}, camera.CameraTime(7)),
    ({"t": "time", "echo": 7, "utc_ns": 1.7e18}, camera.CameraTime(7, 1.7e18)),
    ({"t": "time", "echo": 7, "later": {"more": []}}, camera.CameraTime(7)),
]


@pytest.mark.parametrize(("message", "wanted"), [*TO_PAGE, *TO_CAMERA], ids=lambda value: type(value).__name__)
def test_what_the_relay_sends_is_the_map_that_pages_and_cameras_know(message: Message, wanted: dict[str, Any]) -> None:
    found = msgpack.unpackb(wire.encode(message))
    assert found == wanted
    assert list(found)[0] == "t"


@pytest.mark.parametrize(("sent", "wanted"), FROM_PAGE)
def test_what_a_page_sends_is_read(sent: dict[str, Any], wanted: Message) -> None:
    assert page.read(as_bytes(sent)) == wanted


@pytest.mark.parametrize(("sent", "wanted"), FROM_CAMERA)
def test_what_a_camera_sends_is_read(sent: dict[str, Any], wanted: Message) -> None:
    assert camera.read(as_bytes(sent)) == wanted


def test_every_message_is_compared_here() -> None:
    compared = {type(message) for message, _ in (*TO_PAGE, *TO_CAMERA)}
    compared |= {type(message) for _, message in (*FROM_PAGE, *FROM_CAMERA)}
    unions = (page.ToPage, page.FromPage, camera.ToCamera, camera.FromCamera)
    assert compared == {kind for union in unions for kind in get_args(union)}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x90",
        as_bytes({"t": "sing"}),
        as_bytes({"no": "name"}),
        as_bytes({"t": ["assign"]}),
        as_bytes({"t": "assign", "wall": "w", "slot": "1"}),
        as_bytes({"t": "assign", "wall": "w", "slot": 1, "layer": "ultra"}),
        as_bytes({"t": "accept"}),
        as_bytes({"t": "beat", "battery": "full"}),
        as_bytes({"t": "time", "echo": []}),
        as_bytes({"t": "time"}) + b"\x00",
        b"\x82\xa1t\xa4time\xa1q" + b"\x91" * 16_000,
        b"\x82\xa1t\xa4time\xa4echo\xa2\xff\xfe",
        b"\xdf\xff\xff\xff\xff\xa1t\xa4time",
        b"\xdf\xff\xff\xff\xff\xa1t\xa5press",
    ],
)
def test_bytes_that_are_no_message_are_refused_as_theirs(data: bytes) -> None:
    for read in (page.read, camera.read):
        with pytest.raises(TheirError) as refused:
            read(data)
        assert refused.value.kind is Kind.INVALID


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (as_bytes({"t": "press", "reason": 7, "threat": "robots"}), camera.Press("robots", "7")),
        (as_bytes({"t": "press", "threat": ["biens"]}), camera.Press(None, None)),
        (b"\x82\xa1t\xa5press\xa6reason" + b"\x91" * 1020 + b"\xc0", camera.Press(None, None)),
        (as_bytes({"t": "press", "reason": "é" * 900}), camera.Press(None, "é" * 900)),
        (msgpack.packb({"t": "press", "threat": math.nan, 7: "x"}), camera.Press("nan", None)),
        (b"\x82\xa1t\xa5press\xa6reason\xa4caf\xe9", camera.Press(None, "caf\ufffd")),
    ],
)
def test_a_press_is_never_lost_for_what_is_wrong_beside_it(data: bytes, wanted: camera.Press) -> None:
    assert camera.read(data) == wanted


def test_the_state_of_a_camera_is_the_same_over_http() -> None:
    live = {field.name: field.type for field in msgspec.structs.fields(page.CameraState)}
    http = {name: field.annotation for name, field in schemas.CameraState.model_fields.items()}
    assert http == live
