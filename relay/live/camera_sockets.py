"""The cameras' live sockets: heartbeat, button, requests, number of viewers, clock.

Owns: which camera is connected, and what each reported last.  Must never know: SDP, WebSockets (a
connection is a function that sends one message), pictures.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, TheirError
from relay.base.ids import new_id
from relay.live.camera_budget import Act, CameraBudget
from relay.live.camera_intents import MAX_REASON_BYTES, CameraIntent, CameraIntents, Intent
from relay.live.clock_offset import ClockOffset, Offset
from relay.people.authorize import Authorizer
from relay.people.interventions import Interventions
from relay.policy.motives import check_threat
from relay.policy.roles import Action, Person
from relay.policy.texts import trimmed_text
from relay.protocol import camera as messages
from relay.protocol import wire
from relay.runtime.deadlines import Deadline
from relay.store.accounts import Camera

SendToCamera: TypeAlias = Callable[[messages.ToCamera], None]
"""Queue a message for one camera; never waits."""
ASK_CLOCK_SECONDS = 10.0

declare(
    camera_sockets="live sockets opened by cameras",
    camera_requests="requests to stream sent to cameras",
    camera_messages_refused="messages of cameras that break a rule of the live socket",
    camera_messages_dropped="messages of cameras that were dropped because the camera sends too many of their kind",
    camera_acts_delayed="presses, releases and answers of cameras that waited up to a second, because there were too many",
)


@dataclass(frozen=True, slots=True)
class Beat:
    """What a camera reported of itself last."""

    at: float
    """Monotonic seconds."""
    battery: float | None = None
    """Percent."""
    position: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees, accuracy in metres."""


@dataclass(slots=True)
class Unit:
    """One camera's socket, and what is remembered of the camera."""

    camera: Camera
    publishes_for: CameraIntent
    """What its next publication is for; written by `camera_intents` only."""
    send: SendToCamera | None = None
    close: Callable[[], None] | None = None
    beat: Beat | None = None
    bearer: str | None = None
    clock: ClockOffset = field(default_factory=ClockOffset)
    asked_clock: float = -math.inf
    """Monotonic seconds of the last question for its time."""
    watched: int = 0
    """How many people watch it, as it was sent last."""
    budget: CameraBudget = field(default_factory=CameraBudget)

    @property
    def online(self) -> bool:
        """Whether its live socket is open."""
        return self.send is not None

    @property
    def pressed(self) -> bool:
        """Whether a press of its button stands."""
        return self.publishes_for.pressed

    @property
    def pressed_at(self) -> float:
        """Monotonic seconds of that press."""
        return self.publishes_for.pressed_at

    @property
    def intent(self) -> Intent | None:
        """Why it is about to publish."""
        return self.publishes_for.intent

    def post(self, message: messages.ToCamera) -> None:
        """Send a message, if its socket is open."""
        if self.send is not None:
            self.send(message)


class CameraSockets:
    """All cameras with a live socket, and what is remembered of those without."""

    def __init__(
        self,
        intents: CameraIntents,
        interventions: Interventions,
        authorizer: Authorizer,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self.intents = intents
        self._interventions = interventions
        self._authorizer = authorizer
        self._clock = clock
        self._counters = counters
        self._units: dict[str, Unit] = {}
        self.on_change: list[Callable[[str], None]] = []
        self.on_press: list[Callable[[str], None]] = []
        """Notified at once with the camera of each press, before `on_change`."""
        self.on_beat: list[Callable[[str, Beat], None]] = []

    def unit(self, camera: str) -> Unit | None:
        """Return what is known of a camera, None when it neither connected nor published."""
        return self._units.get(camera)

    def offset(self, camera: str) -> Offset | None:
        """Return the camera's clock offset where it is known."""
        unit = self._units.get(camera)
        return unit.clock.best(self._mono_ns()) if unit is not None else None

    def tick(self) -> None:
        """Carry out acts that wait, retry presses without intervention, ask clocks; call about once a second."""
        self.intents.enter_all()
        now = self._clock.monotonic()
        for unit in self._units.values():
            self._carry_out(unit, unit.budget.acts.due(now))
            if unit.online and now - unit.asked_clock >= ASK_CLOCK_SECONDS:
                self._ask_clock(unit)

    # --- sockets ------------------------------------------------------------------------------------------------------

    def connect(self, camera: Camera, send: SendToCamera, close: Callable[[], None]) -> None:
        """A camera opened its live socket; `close` closes it.  A socket it had before is closed."""
        unit = self._remember(camera)
        if unit.close is not None:
            unit.close()
        unit.camera, unit.send, unit.close = camera, send, close
        self._counters.count("camera_sockets")
        send(messages.Welcome(wire.VERSION, camera.camera, camera.label, f"/whip/{camera.camera}"))
        send(messages.Watched(unit.watched))
        self._ask_clock(unit)
        self._notify_change(camera.camera)

    def disconnect(self, camera: str, send: SendToCamera) -> None:
        """A camera's socket closed; does nothing where another one took over."""
        unit = self._units.get(camera)
        if unit is not None and unit.send is send:
            unit.send = unit.close = None  # requests stay: after a short radio cut the camera can still answer them
            self._notify_change(camera)

    def drop(self, camera: str) -> None:
        """Close a camera's socket: its token is not valid any more."""
        unit = self._units.get(camera)
        if unit is not None and unit.close is not None:
            unit.close()

    def close(self) -> None:
        """Close the socket of every camera: the relay stops."""
        for camera in self._units:
            self.drop(camera)

    async def take_intent(self, camera: Camera, deadline: Deadline) -> Intent:
        """Return why a camera publishes now (`CameraIntents.take`); from now on it is remembered, also without a socket."""
        unit = self._remember(camera)
        self._carry_out(unit, unit.budget.acts.all())
        return await self.intents.take(camera, deadline)

    # --- to cameras ---------------------------------------------------------------------------------------------------

    async def request(self, person: Person, camera: Camera, intervention: str, threat: str, reason: str) -> str:
        """Ask a camera to stream ("please stream"); returns the request's id.

        Raises TheirError as policy says (scope, joined, open), FORBIDDEN (threat), CONFLICT when the camera has no live socket.
        """
        facts = (await self._interventions.facts(person, intervention)).of(camera)
        await self._authorizer.require(person, Action.REQUEST_STREAM, facts, object_type="camera", object_id=camera.camera)
        check_threat(threat)
        unit = self._units.get(camera.camera)
        if unit is None or not unit.online:
            raise TheirError(Kind.CONFLICT, "this camera is not connected", retry_after=5.0, code=Code.CAMERA_NOT_CONNECTED)
        request = new_id(self._clock.utc_ns())
        self.intents.ask(camera.camera, request, intervention, threat)
        unit.post(messages.StreamRequest(request, person.role.value, trimmed_text(reason, max_bytes=MAX_REASON_BYTES)))
        self._counters.count("camera_requests")
        return request

    def watched(self, camera: str, by: int) -> None:
        """Notify a camera how many people watch it (REC-05: its bearer may know)."""
        unit = self._units.get(camera)
        if unit is not None and unit.watched != by:
            unit.watched = by
            unit.post(messages.Watched(by))

    def stop(self, camera: str, reason: str) -> None:
        """Order a camera to stop streaming; its press and its intent are forgotten."""
        unit = self._units.get(camera)
        if unit is not None:
            self.intents.release(camera)
            unit.post(messages.Stop(reason))
            self._notify_change(camera)

    def republish(self, camera: str, reason: str) -> None:
        """Ask a camera to publish again under the same intent: its publish session is gone through no fault of its own."""
        unit = self._units.get(camera)
        if unit is not None:
            unit.post(messages.Republish(reason))

    # --- from cameras -------------------------------------------------------------------------------------------------

    def receive(self, camera: str, data: bytes) -> None:
        """Act on one message of a camera.

        Raises TheirError: INVALID where the message breaks the contract, TOO_MANY where the socket is to be closed.  An act
        (`camera_budget`) in the message is kept in both cases.
        """
        unit, now = self._units[camera], self._clock.monotonic()
        flooded = not unit.budget.take(now)
        try:
            self._receive(unit, messages.read(data), now)
        except TheirError:
            self._counters.count("camera_messages_refused")
            if not flooded:
                raise
        except (ValueError, OverflowError) as error:
            self._counters.count("camera_messages_refused")
            if not flooded:
                raise TheirError(Kind.INVALID, "malformed message", code=Code.MESSAGE_INVALID) from error
        if flooded:
            raise TheirError(Kind.TOO_MANY, "this camera sends too many messages", code=Code.TOO_MANY_MESSAGES)

    def _receive(self, unit: Unit, message: messages.FromCamera, now: float) -> None:
        if isinstance(message, messages.Press | messages.Release | messages.Accept | messages.Decline):
            self._take_act(unit, message, now)
        elif not unit.budget.allows(message, now):
            self._counters.count("camera_messages_dropped")
        elif isinstance(message, messages.Beat):
            self._beat(unit, message)
        elif isinstance(message, messages.CameraTime):
            self._time(unit, message)
        # `hello` is not answered: `welcome` went out when the socket opened.

    def _take_act(self, unit: Unit, act: Act, now: float) -> None:
        if isinstance(act, messages.Accept):
            self.intents.require_request(unit.camera.camera, act.request)
        due = unit.budget.acts.put(act, now)
        if not due:
            self._counters.count("camera_acts_delayed")
        refused = self._carry_out(unit, due)
        if refused is not None:
            raise refused

    def _carry_out(self, unit: Unit, acts: Iterable[Act]) -> TheirError | None:
        """Carry out acts in their order; return the last refusal.  One that is refused costs no other."""
        refused = None
        for act in acts:
            try:
                self._act(unit, act)
            except TheirError as error:
                refused = error
        return refused

    def _act(self, unit: Unit, act: Act) -> None:
        camera = unit.camera.camera
        match act:
            case messages.Press():
                self._press(unit, act)
            case messages.Release():
                self.intents.release(camera)
                self._notify_change(camera)
            case messages.Accept():
                self.intents.accept(camera, act.request)
                self._notify_change(camera)
            case messages.Decline():
                self.intents.decline(camera, act.request)

    def _beat(self, unit: Unit, message: messages.Beat) -> None:
        battery = None if message.battery is None else _within(message.battery, 0, 100)
        position = None
        if message.lat is not None and message.lon is not None:
            accuracy = _within(message.accuracy_m or 0.0, 0, 1e6)
            position = (_within(message.lat, -90, 90), _within(message.lon, -180, 180), accuracy)
        unit.beat = Beat(self._clock.monotonic(), battery, position)
        for listener in self.on_beat:
            listener(unit.camera.camera, unit.beat)

    def _press(self, unit: Unit, message: messages.Press) -> None:
        """Remember the press, notify pages and answer, all at once; only then look for its intervention."""
        self.intents.press(unit.camera.camera, message.reason, message.threat)
        for listener in self.on_press:
            listener(unit.camera.camera)
        self._notify_change(unit.camera.camera)
        unit.post(messages.Pressed())
        self.intents.enter(unit.camera.camera)

    def _time(self, unit: Unit, message: messages.CameraTime) -> None:
        if message.utc_ns is None:
            unit.post(messages.ServerTime(self._clock.utc_ns(), message.echo))
        elif message.echo is None:
            raise ValueError("an answer to `time` names its question")
        else:
            camera_ns = int(message.utc_ns)
            if not 0 <= camera_ns < 1 << 63:
                raise ValueError("no clock shows this")
            unit.clock.answer(int(message.echo), camera_ns, self._mono_ns())

    # --- small things -------------------------------------------------------------------------------------------------

    def _remember(self, camera: Camera) -> Unit:
        return self._units.setdefault(camera.camera, Unit(camera, self.intents.state(camera)))

    def _ask_clock(self, unit: Unit) -> None:
        unit.asked_clock = self._clock.monotonic()
        unit.post(messages.ServerTime(unit.clock.ask(self._clock.utc_ns(), self._mono_ns()), None))

    def _mono_ns(self) -> int:
        return int(self._clock.monotonic() * 1e9)

    def _notify_change(self, camera: str) -> None:
        for listener in self.on_change:
            listener(camera)


def _within(number: float, least: float, most: float) -> float:
    """Return a number that lies between `least` and `most`; raises ValueError for every other, NaN included."""
    if not least <= number <= most:
        raise ValueError("out of range")
    return number
