"""The viewers of this worker: one viewer session each, with its slots.

Owns: which viewers there are, and the pace at which their replays are sent.  Must never know: why
somebody may watch, how packets are sealed.
"""

import logging
from asyncio import TimerHandle
from collections.abc import Callable

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters
from relay.base.errors import Kind, TheirError
from relay.channel import messages as m
from relay.runtime.error_barrier import ErrorBarrier
from relay.transport.port import Port
from relay.transport.sdp import answer_viewer
from relay.worker.camera_peer import SHUTDOWN, CameraPeer
from relay.worker.legs import Legs
from relay.worker.publishers import Publishers
from relay.worker.slot import Slot
from relay.worker.viewer_peer import ViewerEvents, ViewerPeer

PACE_SECONDS = 0.002
"""Between two pieces of a paced replay."""
CONSENT_SECONDS = 30.0
"""Seconds for which a viewer's last authentic packet says that it wants media (RFC 7675 §5.1).  Viewers may be silent for long:
RTCP reports come every 2.5 to 7.5 s (RFC 3550 §6.2), checks of consent every 4 to 6 s."""

logger = logging.getLogger(__name__)


class Viewers:
    """All viewers of one worker; `post` sends a fact to control."""

    def __init__(
        self,
        port: Port,
        clock: Clock,
        counters: Counters,
        publishers: Publishers,
        legs: Legs,
        post: Callable[[m.Message], None],
        later: Callable[[float, Callable[[], None]], TimerHandle],
        barrier: ErrorBarrier,
        playout_delay_max_ms: int,
    ) -> None:
        self.by_session: dict[str, ViewerPeer] = {}
        self._port = port
        self._clock = clock
        self._counters = counters
        self._publishers = publishers
        self._legs = legs
        self._post = post
        self._later = later
        self._barrier = barrier
        self._playout_delay_max_ms = playout_delay_max_ms
        self._events = ViewerEvents(self._on_connected, self._on_closed, legs.started, self.drain_soon)
        self._draining: dict[ViewerPeer, None] = {}

    # --- sessions ------------------------------------------------------------------------------------------------------

    def open(self, message: m.ViewerOpen) -> m.Message:
        """Answer a viewer's offer and expect it."""
        local = self._port.new_local(message.hosts)
        answer = answer_viewer(message.offer, local)
        viewer = ViewerPeer(
            message.session, answer, self._port, self._clock, self._counters, self._events, self._playout_delay_max_ms
        )
        viewer.peer = self._port.add(local, answer.remote, viewer, self._clock.monotonic(), CONSENT_SECONDS)
        self.by_session[message.session] = viewer
        return m.Answer(answer.text, local.ufrag, len(answer.videos), answer.audio is not None)

    def close(self, viewer: ViewerPeer, reason: str) -> None:
        """End a session from our side."""
        if viewer.peer is not None:
            viewer.peer.close(reason)
        self._on_closed(viewer, reason)

    def close_all(self) -> None:
        """End every session because the worker ends."""
        for viewer in list(self.by_session.values()):
            self.close(viewer, SHUTDOWN)

    def _on_connected(self, viewer: ViewerPeer) -> None:
        """Show at once what was assigned while the viewer was connecting."""
        self._post(m.ViewerState(viewer.session, "connected", ""))
        for slot in viewer.slots:
            self._show(viewer, slot)

    def _on_closed(self, viewer: ViewerPeer, reason: str) -> None:
        if self.by_session.pop(viewer.session, None) is not None:
            views = ", ".join(slot.view for slot in viewer.slots if slot.camera is not None)
            logger.info("a viewer session ended: %s; its views: %s", reason, views or "none")
            self._legs.drop(viewer, reason)
            self._post(m.ViewerState(viewer.session, "closed", reason))
            viewer.release()

    # --- slots ---------------------------------------------------------------------------------------------------------

    def assign(self, message: m.SlotAssign) -> m.Message:
        """Show a camera in a slot, or none.  Raises TheirError NOT_FOUND where session or slot do not exist."""
        viewer = self._known(message.session)
        if not 0 <= message.slot < len(viewer.slots):
            raise TheirError(Kind.NOT_FOUND, f"no slot {message.slot}", code=Code.SLOT_NOT_FOUND, facts={"slot": message.slot})
        slot = viewer.slots[message.slot]
        self._legs.assign(viewer, slot, message)
        self._show(viewer, slot)
        return m.Done()

    def assign_sound(self, message: m.AudioAssign) -> m.Message:
        """Send the sound of one slot's camera.  Raises TheirError NOT_FOUND, and FORBIDDEN where it is not heard live."""
        viewer = self._known(message.session)
        if viewer.audio is None or (message.slot is not None and not 0 <= message.slot < len(viewer.slots)):
            raise TheirError(Kind.NOT_FOUND, "no such slot, or no sound was agreed", code=Code.SOUND_NOT_AGREED)
        if message.slot is not None:
            name = viewer.slots[message.slot].camera
            camera = self._publishers.by_camera.get(name) if name is not None else None
            if camera is not None and not camera.live_audio:
                raise TheirError(
                    Kind.FORBIDDEN, "this camera's sound is recorded and not heard live", code=Code.SOUND_ONLY_RECORDED
                )
        self._legs.assign_sound(viewer, message.slot)
        return m.Done()

    def show(self, camera: CameraPeer) -> None:
        """Show a camera in every slot that waits for it: it may be shown from now on."""
        for viewer in self.by_session.values():
            for slot in viewer.slots:
                if slot.camera == camera.camera:
                    self._show(viewer, slot)

    def set_layer(self, message: m.SlotLayer) -> None:
        """A tile changed size."""
        viewer = self.by_session.get(message.session)
        if viewer is not None and 0 <= message.slot < len(viewer.slots):
            viewer.slots[message.slot].want(message.layer)

    def _show(self, viewer: ViewerPeer, slot: Slot) -> None:
        """Replay the keyframe cache now: the next live packet may be a frame away."""
        camera = self._publishers.by_camera.get(slot.camera) if slot.camera is not None else None
        stream = camera.layer(slot.layer) if camera is not None and camera.is_shown else None
        if stream is not None and viewer.connected:
            slot.sender.begin(stream, None, self._clock.monotonic())

    def _known(self, session: str) -> ViewerPeer:
        viewer = self.by_session.get(session)
        if viewer is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        return viewer

    # --- paced replays -------------------------------------------------------------------------------------------------

    def drain_soon(self, viewer: ViewerPeer) -> None:
        """A viewer's packets are sent in pieces: send the next one after `PACE_SECONDS`."""
        if not self._draining:
            self._later(PACE_SECONDS, self.drain)
        self._draining[viewer] = None

    def drain(self) -> None:
        """Send the next piece to every viewer whose packets wait."""
        draining, self._draining = self._draining, {}
        now = self._clock.monotonic()
        for viewer in draining:
            if self._barrier.call("a replay", viewer.drain, now):
                self.drain_soon(viewer)
