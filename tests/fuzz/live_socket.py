"""The live sockets of cameras and pages under any sequence of messages, connections and pauses.

Owns: two cameras and the messages they send.  Must never know: atheris.

The real `CameraSockets` and `CameraIntents` get what a camera sends; only the search for a press's intervention, which needs
the disk, is left out.  Messages of pages are decoded and written again.  What must hold:

- a message is carried out, waits within the budget, is dropped and counted, or is refused with TheirError;
- a map that says `press` is a press, whatever else is wrong with it: when nothing more comes, the latest of press and release
  stands within seconds, and each press that stands was answered;
- a message concerns the camera whose token opened the socket, and no other;
- what is remembered is bounded: requests, questions, answers per message.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgpack

from relay.base.clock import ManualClock
from relay.base.codes import Code
from relay.base.counters import Counters
from relay.base.errors import TheirError
from relay.live.camera_budget import MAX_WAITING
from relay.live.camera_intents import MAX_REASON_BYTES, MAX_REQUESTS, CameraIntents
from relay.live.camera_sockets import Beat, CameraSockets
from relay.live.clock_offset import MAX_SAMPLES
from relay.policy.texts import clean_text
from relay.protocol import camera as messages
from relay.protocol import page, wire
from relay.store.accounts import Camera
from tests.fuzz.program import Program, steps

CAMERAS: Final = tuple(Camera(name, name, "police_municipale", "PM", "75056", "relay", True, 0, None) for name in ("a", "b"))
REQUESTS: Final = tuple(f"request-{number}" for number in range(12))
THREATS: Final = (None, "agents", "biens", "personnes", "x" * 400, "")
VALUES: Final[tuple[Any, ...]] = (
    *(None, 0, 1, -1, 90, 90.5, 181, 1 << 63, -(1 << 63), 1e308, float("inf"), float("nan"), True, "", "press", "é" * 300),
    *(b"\xff", [1], {"t": "press"}, "\0\u202e", "a" + 9 * "\u0301", "\ud800", "request-1", 1_767_225_600_000_000_000),
)
FIELDS: Final = ("t", "battery", "lat", "lon", "accuracy_m", "utc_ns", "threat", "reason", "request", "echo", "firmware", "x")
KINDS: Final = ("hello", "beat", "press", "release", "accept", "decline", "time", "assign", "layer", "listen", "", "\xff")


class Intents(CameraIntents):
    """Intents without the search for interventions."""

    def enter(self, camera: str) -> None:
        """Leave the press without an intervention: that needs the disk."""


class World:
    """Both cameras, and what was sent to each."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        nothing = cast(Any, None)
        self.intents = Intents(nothing, nothing, self.clock, self.counters)
        self.sockets = CameraSockets(self.intents, nothing, nothing, self.clock, self.counters)
        self.sent: dict[str, list[messages.ToCamera]] = {camera.camera: [] for camera in CAMERAS}
        self.changed: set[str] = set()
        self.stands: dict[str, bool] = {}
        """Whether the latest press or release of a camera was a press."""
        self.last: dict[str, Callable[[messages.ToCamera], None]] = {}
        self.sockets.on_change.append(self.changed.add)
        self.sockets.on_beat.append(self._beat)

    def _beat(self, camera: str, beat: Beat) -> None:
        numbers = [beat.battery or 0.0, *(beat.position or ())]
        assert all(abs(number) <= 1e6 for number in numbers), "a beat that no camera can mean"
        self.changed.add(camera)

    def connect(self, camera: Camera) -> None:
        """A camera opens its socket, maybe a second one."""

        def send(message: messages.ToCamera) -> None:
            wire.encode(message)
            self.sent[camera.camera].append(message)

        self.last[camera.camera] = send
        self.sockets.connect(camera, send, lambda: None)

    def receive(self, camera: Camera, data: bytes) -> None:
        """A camera sends a message, if it ever connected."""
        name = camera.camera
        if self.sockets.unit(name) is None:
            return
        before, answers = self._refused(), len(self.sent[name])
        others = {other.camera: len(self.sent[other.camera]) for other in CAMERAS if other is not camera}
        self.changed.clear()
        refusal = self._deliver(name, data)
        if refusal is not None:
            assert self._refused() > before or refusal.code in (Code.REQUEST_NOT_FOUND, Code.TOO_MANY_MESSAGES)
        assert len(self.sent[name]) <= answers + 1, "one message, many answers"
        assert self.changed <= {name}
        assert all(len(self.sent[other]) == count for other, count in others.items())
        said = _act_of(data)
        if isinstance(said, messages.Press | messages.Release):
            self.stands[name] = isinstance(said, messages.Press)

    def _deliver(self, name: str, data: bytes) -> TheirError | None:
        try:
            self.sockets.receive(name, data)
        except TheirError as error:
            return error
        return None

    def _refused(self) -> int:
        return self.counters.values["camera_messages_refused"]

    def end(self) -> None:
        """Nothing more comes: what waits is carried out."""
        for _ in range(10):
            self.clock.advance(1.0)
            self.sockets.tick()
        for name, stands in self.stands.items():
            unit = self.sockets.unit(name)
            assert unit is not None
            assert not unit.budget.acts
            assert unit.pressed is stands, "a press or a release was lost"

    def check(self) -> None:
        """What is remembered is bounded."""
        for camera in CAMERAS:
            unit = self.sockets.unit(camera.camera)
            if unit is None:
                continue
            state = self.intents.state(camera)
            assert len(state.requests) <= MAX_REQUESTS
            assert unit.clock.unanswered <= MAX_SAMPLES
            assert len(unit.budget.acts) <= MAX_WAITING
            if unit.intent is not None:
                trigger = unit.intent.trigger
                assert clean_text(trigger, "reason", max_bytes=MAX_REASON_BYTES) == trigger, "a reason that nobody can read"
            self.sockets.offset(camera.camera)


def _act_of(data: bytes) -> messages.FromCamera | None:
    """Return what a message says, as the relay reads it; a map that says `press` must be one."""
    try:
        return messages.read(data)
    except TheirError:
        assert not _says_press(data), "a press was not read"
        return None


def _says_press(data: bytes) -> bool:
    try:
        found = msgpack.unpackb(data, strict_map_key=False, unicode_errors="strict", max_map_len=60, max_array_len=60)
    except (ValueError, TypeError):
        return False
    return isinstance(found, dict) and found.get("t") == "press"


# --- steps ----------------------------------------------------------------------------------------------------------------


def _connect(world: World, program: Program) -> None:
    world.connect(program.pick(CAMERAS))


def _disconnect(world: World, program: Program) -> None:
    camera = program.pick(CAMERAS).camera
    if camera in world.last:
        world.sockets.disconnect(camera, world.last[camera])


def _map(world: World, program: Program) -> None:
    """A map with any known fields and any values."""
    camera, kind = program.pick(CAMERAS), program.pick(KINDS)
    fields: dict[Any, Any] = {"t": kind}
    for _ in range(program.byte() % 6):
        fields[program.pick(FIELDS)] = program.pick(VALUES)
    data = msgpack.packb(fields, unicode_errors="surrogatepass")
    world.receive(camera, data)
    _page(data)


def _well_formed(world: World, program: Program) -> None:
    camera, number = program.pick(CAMERAS), program.byte()
    request = REQUESTS[number % len(REQUESTS)]
    made: Sequence[messages.FromCamera] = (
        messages.Hello("camera 1.2"),
        messages.Beat(float(number), 48.0, 2.0, 5.0, None),
        messages.Press(THREATS[number % len(THREATS)], "r" * number),
        messages.Release(),
        messages.Accept(request),
        messages.Decline(request),
        messages.CameraTime(number, None),
        messages.CameraTime(_last_question(world, camera), world.clock.utc_ns() + number),
    )
    world.receive(camera, wire.encode(program.pick(made)))


def _last_question(world: World, camera: Camera) -> int:
    asked = [message.server_ns for message in world.sent[camera.camera] if isinstance(message, messages.ServerTime)]
    return asked[-1] if asked else 0


def _raw(world: World, program: Program) -> None:
    camera, data = program.pick(CAMERAS), program.chunk()
    world.receive(camera, data)
    _page(data)


def _page(data: bytes) -> None:
    """The same bytes from a page: read, or refused; what is read can be written and read again."""
    with contextlib.suppress(TheirError):
        found = page.read(data)
        assert page.read(wire.encode(found)) == found or "nan" in repr(found)


def _request(world: World, program: Program) -> None:
    camera, request = program.pick(CAMERAS), program.pick(REQUESTS)
    if world.sockets.unit(camera.camera) is not None:
        world.intents.ask(camera.camera, request, "intervention", "agents")


def _wait(world: World, program: Program) -> None:
    world.clock.advance(program.number(2) / 100)
    world.sockets.tick()


def _order(world: World, program: Program) -> None:
    camera, what = program.pick(CAMERAS).camera, program.byte()
    match what % 4:
        case 0:
            world.sockets.stop(camera, "reason")
            world.stands.pop(camera, None)
        case 1:
            world.sockets.republish(camera, "reason")
        case 2:
            world.sockets.watched(camera, what)
        case _:
            world.sockets.drop(camera)


STEPS: Final[Sequence[Callable[[World, Program], None]]] = (
    _connect,
    _disconnect,
    _map,
    _well_formed,
    _raw,
    _request,
    _wait,
    _order,
)


def run(data: bytes) -> None:
    """Play one program."""
    world = World()
    program = Program(data)
    while program:
        program.pick(STEPS)(world, program)
        world.check()
    world.end()


CONNECT, DISCONNECT, MAP, WELL_FORMED, RAW, REQUEST, WAIT, ORDER = range(len(STEPS))
_PRESS: Final = wire.encode(messages.Press("biens", "vitrine"))
SEEDS: Final = [
    steps((CONNECT, 0), *((WELL_FORMED, 0, 7, kind) for kind in range(8)), (WAIT, 4, 0), (WELL_FORMED, 0, 1, 7)),
    steps(
        (CONNECT, 0),
        (CONNECT, 1),
        (REQUEST, 0, 3),
        (WELL_FORMED, 0, 3, 4),
        (REQUEST, 1, 4),
        (WELL_FORMED, 1, 4, 5),
        (ORDER, 0, 2),
    ),
    steps((CONNECT, 0), (MAP, 0, 2, 2, 6, 10, 7, 16), (MAP, 0, 1, 2, 1, 11, 2, 9), (DISCONNECT, 0), (MAP, 0, 6, 1, 9, 7)),
    steps((CONNECT, 1), (RAW, 1, len(_PRESS), *_PRESS), (ORDER, 1, 0), (CONNECT, 1), (WAIT, 99, 0), (ORDER, 1, 3)),
]
