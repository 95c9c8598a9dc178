"""Why a camera is about to publish: the bearer's button, an accepted request, or neither.

Owns: the press that stands, the open requests, and the intervention that the next publication belongs to.
Must never know: SDP, sockets, pictures.

```
press ───────────────▶ intent without intervention ──▶ found or opened in the background, retried each second
request ── accepted ─▶ intent of that intervention
publication ─────────▶ takes the intent; without one, the publication counts as the press
release, stop, an end on purpose ──▶ no intent
```
"""

import asyncio
import logging
import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, RelayError, TheirError
from relay.people.interventions import Interventions
from relay.policy.motives import check_threat
from relay.policy.texts import trimmed_text
from relay.runtime.deadlines import NO_DEADLINE, Deadline, held_within
from relay.store.accounts import Camera
from relay.store.catalogue import Catalogue

logger = logging.getLogger(__name__)

INTENT_SECONDS = 120.0
MAX_REQUESTS = 8
MAX_REASON_BYTES = 200
DEFAULT_THREAT = "agents"

declare(
    camera_presses="button presses of cameras",
    camera_presses_unentered="failed tries to find or open the intervention of a press; they are repeated every second",
)


class Trigger(StrEnum):
    """What began a recording, where the camera's bearer gave no words of his own: as its signed start says it."""

    PRESS = "button pressed"
    REQUEST = "request of the command post"
    UNANNOUNCED = "publication without a live socket"


@dataclass(frozen=True, slots=True)
class Intent:
    """Why a camera is about to publish; `intervention` None: not known yet."""

    intervention: str | None
    trigger: str
    threat: str
    until: float
    """Monotonic seconds at which it lapses, unless a press stands."""


@dataclass(slots=True)
class CameraIntent:
    """What one camera's next publication is for; written by `CameraIntents` only."""

    pressed: bool = False
    pressed_at: float = -math.inf
    """Monotonic seconds of the press that stands; a camera that repeats it after a radio cut changes nothing."""
    intent: Intent | None = None
    intervention: str | None = None
    """The intervention that the camera was in last."""
    requests: dict[str, Intent] = field(default_factory=dict)
    entering: asyncio.Task[None] | None = None
    """The search for the intervention of a press, while it goes on."""


class CameraIntents:
    """The intents of all cameras."""

    def __init__(self, interventions: Interventions, catalogue: Catalogue, clock: Clock, counters: Counters) -> None:
        self._interventions = interventions
        self._catalogue = catalogue
        self._opening = asyncio.Lock()
        self._clock = clock
        self._counters = counters
        self._states: dict[str, CameraIntent] = {}
        self._cameras: dict[str, Camera] = {}

    def state(self, camera: Camera) -> CameraIntent:
        """Return what a camera's next publication is for."""
        self._cameras[camera.camera] = camera
        return self._states.setdefault(camera.camera, CameraIntent())

    def intended(self) -> frozenset[str]:
        """Return the interventions that a camera is about to publish into."""
        now = self._clock.monotonic()
        intents = (state.intent for state in self._states.values() if state.intent is not None)
        return frozenset(intent.intervention for intent in intents if intent.until > now and intent.intervention is not None)

    # --- the button ---------------------------------------------------------------------------------------------------

    def press(self, camera: str, reason: str | None, threat: str | None) -> None:
        """Remember a press.  Its intervention is found or opened by `enter`, which the caller calls once pages are notified.

        No words can cost the press: they are cut, and an unknown threat counts as one to agents.
        """
        state, now = self._states[camera], self._clock.monotonic()
        trigger = trimmed_text(reason or "", max_bytes=MAX_REASON_BYTES) or Trigger.PRESS
        state.intent = Intent(None, trigger, _threat_of(threat), now + INTENT_SECONDS)
        if not state.pressed:
            state.pressed, state.pressed_at = True, now
        self._counters.count("camera_presses")
        logger.warning("button pressed", extra={"camera": camera, "threat": state.intent.threat})

    def release(self, camera: str) -> None:
        """Forget the press and the intent: the bearer released the button, or the camera was ordered to stop."""
        state = self._states[camera]
        state.pressed, state.intent = False, None

    def finished(self, camera: str) -> None:
        """A transmission ended on purpose: the next one needs a press or a request of its own."""
        if camera in self._states:
            self._states[camera].intent = None

    # --- requests -----------------------------------------------------------------------------------------------------

    def ask(self, camera: str, request: str, intervention: str, threat: str) -> None:
        """Remember a request of the command post; the oldest are forgotten beyond `MAX_REQUESTS`."""
        requests = self._states[camera].requests
        while len(requests) >= MAX_REQUESTS:
            requests.pop(next(iter(requests)))
        until = self._clock.monotonic() + INTENT_SECONDS
        requests[request] = Intent(intervention, Trigger.REQUEST, threat, until)

    def require_request(self, camera: str, request: str) -> None:
        """Raise TheirError(INVALID) where no such request is open."""
        if request not in self._states[camera].requests:
            raise _no_such_request()

    def accept(self, camera: str, request: str) -> None:
        """The bearer accepted a request; raises TheirError(INVALID) for one that is unknown or has lapsed."""
        state = self._states[camera]
        accepted = state.requests.pop(request, None)
        if accepted is None or accepted.until < self._clock.monotonic():
            raise _no_such_request()
        state.intent = accepted

    def decline(self, camera: str, request: str) -> None:
        """The bearer declined a request."""
        self._states[camera].requests.pop(request, None)

    # --- publications -------------------------------------------------------------------------------------------------

    async def take(self, camera: Camera, deadline: Deadline) -> Intent:
        """Return why a camera publishes now, with its intervention.  Raises OurError where the disk is late or refuses."""
        state = self.state(camera)
        intent = state.intent
        if intent is None or (intent.until < self._clock.monotonic() and not state.pressed):
            intent = Intent(None, Trigger.UNANNOUNCED, DEFAULT_THREAT, math.inf)
        intervention = await self._intervention(camera, state, intent.intervention, intent.trigger, deadline)
        # Kept for a while, so that the intervention is not closed as abandoned before the camera is live.
        state.intent = Intent(intervention, intent.trigger, intent.threat, self._clock.monotonic() + INTENT_SECONDS)
        return state.intent

    # --- the interventions of presses ---------------------------------------------------------------------------------

    def enter(self, camera: str) -> None:
        """Begin to find or open the intervention of a press, in the background: no disk delays an alarm."""
        state = self._states[camera]
        intent = state.intent
        if intent is not None and intent.intervention is None and state.entering is None:
            work = self._enter(self._cameras[camera], state, intent)
            state.entering = asyncio.create_task(work, name="intervention of a press")

    def enter_all(self) -> None:
        """Retry for every press that has no intervention yet; call about once a second."""
        for camera in self._states:
            self.enter(camera)

    def under_way(self) -> tuple[asyncio.Task[None], ...]:
        """Return the searches for interventions that go on now."""
        return tuple(state.entering for state in self._states.values() if state.entering is not None)

    async def shut(self) -> None:
        """Cancel the searches: cameras repeat their presses at the next control."""
        tasks = self.under_way()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _enter(self, camera: Camera, state: CameraIntent, intent: Intent) -> None:
        try:
            intervention = await self._intervention(camera, state, None, intent.trigger, NO_DEADLINE)
            if state.intent is intent:  # neither released nor published meanwhile
                state.intent = replace(intent, intervention=intervention)
        except RelayError as error:
            self._counters.count("camera_presses_unentered")
            logger.error("press without intervention yet", extra={"camera": camera.camera, "detail": error.detail})
        except Exception:
            self._counters.count("camera_presses_unentered")
            logger.exception("press without intervention yet", extra={"camera": camera.camera})
        finally:
            state.entering = None

    async def _intervention(
        self, camera: Camera, state: CameraIntent, wanted: str | None, reason: str, deadline: Deadline
    ) -> str:
        """Return the open intervention a camera belongs to: the wanted one, its last one, the newest; else a new one."""
        found = await self._open_intervention(state, wanted, deadline)
        if found is None:
            # Cameras that press at the same moment open one intervention between them.
            async with held_within(self._opening, deadline):
                found = await self._open_intervention(state, wanted, deadline)
                if found is None:
                    made = await self._interventions.open_by_camera(camera.camera, camera.label, reason, deadline=deadline)
                    found = made.intervention
        state.intervention = found
        return found

    async def _open_intervention(self, state: CameraIntent, wanted: str | None, deadline: Deadline) -> str | None:
        opened = [item.intervention for item in await self._catalogue.within(deadline).interventions.list_open()]
        return next((candidate for candidate in (wanted, state.intervention, *opened) if candidate in opened), None)


def _no_such_request() -> TheirError:
    return TheirError(Kind.INVALID, "no such request", code=Code.REQUEST_NOT_FOUND)


def _threat_of(threat: str | None) -> str:
    try:
        return check_threat(threat or "").value
    except TheirError:
        return DEFAULT_THREAT
