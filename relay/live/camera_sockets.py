"""The cameras' live sockets: heartbeat, button, requests, number of viewers, clock.

What this file owns: which cameras are connected, the last report of each, and the intent behind its next publication.  What it
must never know: SDP, WebSockets (a connection is a function that sends one message), pictures.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, RelayError, TheirError
from relay.base.ids import new_id
from relay.live.clock_offset import ClockOffset, Offset
from relay.people.authorize import Authorizer
from relay.people.interventions import Interventions
from relay.policy.motives import check_threat, trimmed_text
from relay.policy.roles import Action, Person
from relay.protocol import camera as messages
from relay.protocol import wire
from relay.store.accounts import Camera
from relay.store.catalogue import Catalogue

logger = logging.getLogger(__name__)

SendToCamera: TypeAlias = Callable[[messages.ToCamera], None]
"""Queue a message for one camera; never waits."""
ASK_CLOCK_SECONDS = 10.0
INTENT_SECONDS = 120.0
MAX_REQUESTS = 8
DEFAULT_THREAT = "agents"

declare(
    camera_sockets="live sockets opened by cameras",
    camera_requests="requests to stream sent to cameras",
    camera_presses="button presses of cameras",
    camera_presses_unentered="failed tries to find or open the intervention of a press; they are repeated every second",
    camera_messages_refused="messages of cameras that break a rule of the live socket",
)


class Trigger(StrEnum):
    """What began a recording, where the camera's bearer gave no words of his own: as its signed start says it."""

    PRESS = "button pressed"
    REQUEST = "request of the command post"
    UNANNOUNCED = "publication without a live socket"


@dataclass(frozen=True, slots=True)
class Intent:
    """Why a camera is about to publish.  `intervention` is None while unknown; `until` is in monotonic seconds."""

    intervention: str | None
    trigger: str
    threat: str
    until: float


@dataclass(frozen=True, slots=True)
class Beat:
    """The last beat of a camera: monotonic seconds, percent, and (latitude, longitude, accuracy) in degrees and metres."""

    at: float
    battery: float | None = None
    position: tuple[float, float, float] | None = None


@dataclass(slots=True)
class Unit:
    """What is known of one camera, with its socket while it is connected."""

    camera: Camera
    send: SendToCamera | None = None
    close: Callable[[], None] | None = None
    beat: Beat | None = None
    pressed: bool = False
    pressed_at: float = -math.inf
    """Monotonic seconds of the press that stands.  A press that is sent again after a reconnection does not change it."""
    intent: Intent | None = None
    bearer: str | None = None
    intervention: str | None = None
    requests: dict[str, Intent] = field(default_factory=dict)
    entering: asyncio.Task[None] | None = None
    """The search for the intervention of a press, while it runs."""
    clock: ClockOffset = field(default_factory=ClockOffset)
    asked_clock: float = -math.inf
    watched: int = 0


class CameraSockets:
    """All cameras that have connected since the relay started."""

    def __init__(
        self, interventions: Interventions, catalogue: Catalogue, guard: Authorizer, clock: Clock, counters: Counters
    ) -> None:
        self._interventions = interventions
        self._catalogue = catalogue
        self._opening = asyncio.Lock()
        self._authorizer = guard
        self._clock = clock
        self._counters = counters
        self._units: dict[str, Unit] = {}
        self.on_change: list[Callable[[str], None]] = []
        self.on_beat: list[Callable[[str, Beat], None]] = []

    def unit(self, camera: str) -> Unit | None:
        """Return what is known of a camera; None where it never connected."""
        return self._units.get(camera)

    def intended(self) -> frozenset[str]:
        """Return the interventions that some camera is about to publish into."""
        now = self._clock.monotonic()
        intents = (unit.intent for unit in self._units.values() if unit.intent is not None)
        return frozenset(intent.intervention for intent in intents if intent.until > now and intent.intervention is not None)

    def offset(self, camera: str) -> Offset | None:
        """Return the camera's clock offset; None while it is unknown."""
        unit = self._units.get(camera)
        return unit.clock.best(self._mono_ns()) if unit is not None else None

    def connect(self, camera: Camera, send: SendToCamera, close: Callable[[], None]) -> None:
        """A camera opened its live socket, which `close` closes.  The socket that it had before is closed."""
        unit = self._units.setdefault(camera.camera, Unit(camera))
        if unit.close is not None:
            unit.close()
        unit.camera, unit.send, unit.close = camera, send, close
        self._counters.count("camera_sockets")
        send(messages.Welcome(wire.VERSION, camera.camera, camera.label, f"/whip/{camera.camera}"))
        send(messages.Watched(unit.watched))
        self._ask_clock(unit)
        self._changed(camera.camera)

    def disconnect(self, camera: str, send: SendToCamera) -> None:
        """A camera's socket closed.  Nothing changes where a newer socket took its place."""
        unit = self._units.get(camera)
        if unit is not None and unit.send is send:
            unit.send = unit.close = None  # requests stay, so that a short loss of the radio costs no answer
            self._changed(camera)

    def receive(self, camera: str, data: bytes) -> None:
        """Act on one message of a camera; raises TheirError(INVALID) when it breaks the contract."""
        unit = self._units[camera]
        try:
            message = messages.read(data)
        except TheirError:
            self._counters.count("camera_messages_refused")
            raise
        try:
            self._act(unit, message)
        except (ValueError, OverflowError) as error:
            self._counters.count("camera_messages_refused")
            raise TheirError(Kind.INVALID, f"malformed {type(message).__name__}", code=Code.MESSAGE_INVALID) from error

    def _act(self, unit: Unit, message: messages.FromCamera) -> None:
        match message:
            case messages.Hello():
                pass  # `welcome` went out when the socket opened
            case messages.Beat():
                self._beat(unit, message)
            case messages.Press():
                self._press(unit, message)
            case messages.Release():
                self._release(unit)
            case messages.Accept():
                self._accept(unit, message)
            case messages.Decline():
                unit.requests.pop(message.request, None)
            case messages.CameraTime():
                self._time(unit, message)

    async def request(self, person: Person, camera: Camera, intervention: str, threat: str, reason: str) -> str:
        """Ask a camera to stream ("please stream"); returns the request's id.

        Raises TheirError as policy says, CONFLICT when the camera has no live socket, NOT_FOUND for an intervention not open.
        """
        await self._authorizer.require(person, Action.REQUEST_STREAM, object_type="camera", object_id=camera.camera)
        check_threat(threat)
        if (await self._interventions.get(intervention)).closed_ns is not None:
            raise TheirError(Kind.CONFLICT, "this intervention is closed", code=Code.INTERVENTION_CLOSED)
        unit = self._units.get(camera.camera)
        if unit is None or unit.send is None:
            raise TheirError(Kind.CONFLICT, "this camera is not connected", retry_after=5.0, code=Code.CAMERA_NOT_CONNECTED)
        now_ns = self._clock.utc_ns()
        request = new_id(now_ns)
        while len(unit.requests) >= MAX_REQUESTS:
            unit.requests.pop(next(iter(unit.requests)))
        unit.requests[request] = Intent(intervention, Trigger.REQUEST, threat, self._clock.monotonic() + INTENT_SECONDS)
        unit.send(messages.StreamRequest(request, person.role.value, reason[:200]))
        self._counters.count("camera_requests")
        return request

    async def take_intent(self, camera: Camera) -> Intent:
        """Return why this camera publishes now.  Without a press or accepted request, publishing counts as a press."""
        unit = self._units.setdefault(camera.camera, Unit(camera))
        intent = unit.intent
        if intent is None or (intent.until < self._clock.monotonic() and not unit.pressed):
            intent = Intent(None, Trigger.UNANNOUNCED, DEFAULT_THREAT, math.inf)
        intervention = await self._intervention(unit, intent.intervention, intent.trigger)
        # Kept for a moment, so that the intervention does not count as abandoned before the camera is live.
        unit.intent = Intent(intervention, intent.trigger, intent.threat, self._clock.monotonic() + INTENT_SECONDS)
        return unit.intent

    def finished(self, camera: str) -> None:
        """A transmission was ended on purpose: the next one needs a press or a request of its own."""
        unit = self._units.get(camera)
        if unit is not None:
            unit.intent = None

    def watched(self, camera: str, by: int) -> None:
        """Send a camera the number of its viewers where it changed (REC-05: its bearer may know)."""
        unit = self._units.get(camera)
        if unit is not None and unit.watched != by:
            unit.watched = by
            if unit.send is not None:
                unit.send(messages.Watched(by))

    def stop(self, camera: str, reason: str) -> None:
        """Send a camera `stop`; its press and intent end."""
        unit = self._units.get(camera)
        if unit is not None:
            unit.pressed, unit.intent = False, None
            if unit.send is not None:
                unit.send(messages.Stop(reason))
            self._changed(camera)

    def republish(self, camera: str, reason: str) -> None:
        """Send a camera `republish`: its session was lost through no fault of its own.  Its intent stays."""
        unit = self._units.get(camera)
        if unit is not None and unit.send is not None:
            unit.send(messages.Republish(reason))

    def drop(self, camera: str) -> None:
        """Close a camera's socket: its token was revoked."""
        unit = self._units.get(camera)
        if unit is not None and unit.close is not None:
            unit.close()

    def close(self) -> None:
        """Close the socket of every camera: the relay stops."""
        for camera in self._units:
            self.drop(camera)

    def tick(self) -> None:
        """Ask for clocks that are due, and find interventions of presses without one; call about once a second."""
        now = self._clock.monotonic()
        for unit in self._units.values():
            self._enter(unit)
            if unit.send is not None and now - unit.asked_clock >= ASK_CLOCK_SECONDS:
                self._ask_clock(unit)

    def under_way(self) -> tuple[asyncio.Task[None], ...]:
        """Return the searches for interventions that run now."""
        return tuple(unit.entering for unit in self._units.values() if unit.entering is not None)

    async def shut(self) -> None:
        """Cancel the searches that run.  Cameras send their presses again when they reconnect."""
        tasks = self.under_way()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask_clock(self, unit: Unit) -> None:
        if unit.send is None:
            return
        unit.asked_clock = self._clock.monotonic()
        unit.send(messages.ServerTime(unit.clock.ask(self._clock.utc_ns(), self._mono_ns()), None))

    def _enter(self, unit: Unit) -> None:
        """Start the search for the intervention of a press.  It runs beside everything else: no disk delays an alarm."""
        intent = unit.intent
        if intent is not None and intent.intervention is None and unit.entering is None:
            unit.entering = asyncio.create_task(self._find(unit, intent), name="intervention of a press")

    async def _find(self, unit: Unit, intent: Intent) -> None:
        try:
            intervention = await self._intervention(unit, None, intent.trigger)
            if unit.intent is intent:  # neither released nor published meanwhile
                unit.intent = replace(intent, intervention=intervention)
        except RelayError as error:
            self._counters.count("camera_presses_unentered")
            logger.error("press without intervention yet", extra={"camera": unit.camera.camera, "detail": error.detail})
        except Exception:
            self._counters.count("camera_presses_unentered")
            logger.exception("press without intervention yet", extra={"camera": unit.camera.camera})
        finally:
            unit.entering = None

    async def _intervention(self, unit: Unit, wanted: str | None, reason: str) -> str:
        """Return the open intervention of this camera: the wanted one, else its last, else the newest, else a new one."""
        found = await self._opened(unit, wanted)
        if found is None:
            async with self._opening:  # cameras that press at the same moment share one new intervention
                found = await self._opened(unit, wanted)
                if found is None:
                    made = await self._interventions.open_by_camera(unit.camera.camera, unit.camera.label, reason)
                    found = made.intervention
        unit.intervention = found
        return found

    async def _opened(self, unit: Unit, wanted: str | None) -> str | None:
        opened = [item.intervention for item in await self._catalogue.interventions.list_open()]
        return next((candidate for candidate in (wanted, unit.intervention, *opened) if candidate in opened), None)

    def _beat(self, unit: Unit, message: messages.Beat) -> None:
        battery = None if message.battery is None else _within(message.battery, 100)
        position = None
        if message.lat is not None and message.lon is not None:
            position = (_within(message.lat, 90), _within(message.lon, 180), _within(message.accuracy_m or 0.0, 1e6))
        unit.beat = Beat(self._clock.monotonic(), battery, position)
        for listener in self.on_beat:
            listener(unit.camera.camera, unit.beat)

    def _press(self, unit: Unit, message: messages.Press) -> None:
        """Take a press: show it and answer it at once; its intervention is found or opened after that.

        Nothing beside it can cost the press: a long reason is cut, an unknown threat counts as one to agents.
        """
        reason = trimmed_text(message.reason or "", max_length=200) or Trigger.PRESS
        unit.intent = Intent(None, reason, _threat_of(message.threat), self._clock.monotonic() + INTENT_SECONDS)
        if not unit.pressed:
            unit.pressed, unit.pressed_at = True, self._clock.monotonic()
        self._counters.count("camera_presses")
        logger.warning("button pressed", extra={"camera": unit.camera.camera, "threat": unit.intent.threat})
        self._changed(unit.camera.camera)
        if unit.send is not None:
            unit.send(messages.Pressed())
        self._enter(unit)

    def _release(self, unit: Unit) -> None:
        unit.pressed, unit.intent = False, None
        self._changed(unit.camera.camera)

    def _accept(self, unit: Unit, message: messages.Accept) -> None:
        accepted = unit.requests.pop(message.request, None)
        if accepted is None or accepted.until < self._clock.monotonic():
            raise TheirError(Kind.INVALID, "no such request", code=Code.REQUEST_NOT_FOUND)
        unit.intent = accepted
        self._changed(unit.camera.camera)

    def _time(self, unit: Unit, message: messages.CameraTime) -> None:
        if message.utc_ns is None:
            if unit.send is not None:
                unit.send(messages.ServerTime(self._clock.utc_ns(), message.echo))
        elif message.echo is None:
            raise ValueError("an answer to `time` names its question")
        else:
            camera_ns = int(message.utc_ns)
            if not 0 <= camera_ns < 1 << 63:
                raise ValueError("no clock shows this")
            unit.clock.answer(int(message.echo), camera_ns, self._mono_ns())

    def _mono_ns(self) -> int:
        return int(self._clock.monotonic() * 1e9)

    def _changed(self, camera: str) -> None:
        for listener in self.on_change:
            listener(camera)


def _threat_of(threat: str | None) -> str:
    try:
        return check_threat(threat or "").value
    except TheirError:
        return DEFAULT_THREAT


def _within(number: float, limit: float) -> float:
    """Return a number that lies between -`limit` and `limit`; raises ValueError for every other, NaN included."""
    if not abs(number) <= limit:
        raise ValueError("out of range")
    return number
