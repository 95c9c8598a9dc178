"""The cameras that publish to this worker: one live publish session each.

Owns: which camera holds which session.  Must never know: viewers, why a camera may publish, files.
"""

import logging
from asyncio import TimerHandle
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters
from relay.base.errors import Kind, TheirError
from relay.channel import messages as m
from relay.transport.port import Port
from relay.transport.sdp import answer_publisher
from relay.worker.camera_peer import SHUTDOWN, CameraEvents, CameraPeer
from relay.worker.fan import Fan
from relay.worker.held_back import HeldBack
from relay.worker.legs import Legs
from relay.worker.tap import Tap, TapFeed

logger = logging.getLogger(__name__)

DEPARTED_SECONDS = 15.0
"""How long the packets of a camera that left wait for a recording that is being opened: longer than the recorder takes."""


class _Departed(NamedTuple):
    """A session that ended while its packets were held back."""

    session: str
    feed: TapFeed
    until: float


class Publishers:
    """All cameras of one worker; `post` sends a fact to control."""

    def __init__(
        self,
        port: Port,
        clock: Clock,
        counters: Counters,
        tap: Tap,
        fan: Fan,
        legs: Legs,
        post: Callable[[m.Message], None],
        later: Callable[[float, Callable[[], None]], TimerHandle],
        max_bitrate: int,
        on_shown: Callable[[CameraPeer], None],
    ) -> None:
        """`max_bitrate`: bit/s that a camera is asked for at most (REMB); `on_shown`: viewers may be shown a camera now."""
        self.by_camera: dict[str, CameraPeer] = {}
        self._departed: dict[str, _Departed] = {}
        """By camera: the last session that left before its recording was open."""
        self._port = port
        self._clock = clock
        self._counters = counters
        self._tap = tap
        self._legs = legs
        self._post = post
        self._max_bitrate = max_bitrate
        self._on_shown = on_shown
        self._events = CameraEvents(fan.serve, self._on_changed, self._on_over, later, self._make_feed)

    def open(self, message: m.PublishOpen) -> m.Message:
        """Answer a camera's offer and expect it; a session that the camera had is lost."""
        local = self._port.new_local(message.hosts)
        more = partial(self._port.new_local, message.hosts)
        answer = answer_publisher(message.offer, local, sound=message.sound, more=more)
        for line in answer.declined:
            logger.info("camera %s: declined of its offer: %s", message.camera, line)
        previous = self.by_camera.get(message.camera)
        if previous is not None:
            previous.close("lost", "taken over by a new session")
        camera = CameraPeer(message, answer, self._clock, self._counters, self._tap, self._events, self._max_bitrate)
        now = self._clock.monotonic()
        camera.peer = self._port.add(local, answer.remote, camera, now, message.silence_after)
        if answer.sound_apart is not None:
            camera.sound_peer = self._port.add(*answer.sound_apart, camera, now, message.silence_after)
        self.by_camera[message.camera] = camera
        self._on_changed(camera, "")
        return m.Answer(answer.text, local.ufrag, 0, answer.audio is not None)

    def switch_recording(self, message: m.RecordingSwitch) -> m.Message:
        """Feed another recording from now on.  Raises TheirError NOT_FOUND where the session is gone."""
        if message.is_open and self._deliver_departed(message):
            return m.Done()
        camera = self._known(message.session)
        if not message.is_open:
            camera.feed_next(self._make_feed(camera, message.recording, False))
        elif not camera.is_shown:
            camera.begin_recording(message.recording)
            self._on_shown(camera)
        elif camera.feed is None or camera.feed.recording != message.recording:
            camera.feed_next(self._make_feed(camera, message.recording, True))
        return m.Done()

    def keep(self, message: m.PublisherKeep) -> None:
        """Keep something for a control that restarts."""
        camera = self.of_session(message.session)
        if camera is not None:
            camera.kept = message.kept

    def want_recordings(self) -> None:
        """Ask control again for the recordings that packets wait for; call it once a second."""
        for departed in list(self._departed.values()):
            self._review_departed(departed)
        for camera in self.by_camera.values():
            self._want_recording(camera)

    def _want_recording(self, camera: CameraPeer) -> None:
        held = camera.feed.held_back if camera.feed is not None and not camera.is_shown else None
        if held is not None and held.since is not None:
            self._post(m.RecordingWanted(camera.session, camera.camera, held.since / 1e9))

    def _make_feed(self, camera: CameraPeer, recording: str, is_open: bool) -> TapFeed:
        held = None if is_open else HeldBack(self._tap.room, partial(self._want_recording, camera))
        return TapFeed(recording, camera.camera, held)

    # --- cameras that left while their recording was being opened -----------------------------------------------------

    def _keep_departed(self, camera: CameraPeer) -> None:
        """Keep the packets that are held back for a session that ended: its recording may be open in a moment."""
        self._drop_departed(camera.camera)
        if camera.feed is not None and camera.feed.held_back is not None:
            until = self._clock.monotonic() + DEPARTED_SECONDS
            self._departed[camera.camera] = _Departed(camera.session, camera.feed, until)

    def _deliver_departed(self, message: m.RecordingSwitch) -> bool:
        """Hand the packets of a session that left over to its recording; returns whether there is such a session."""
        departed = next((each for each in self._departed.values() if each.session == message.session), None)
        if departed is not None:
            departed.feed.recording, departed.feed.is_open = message.recording, True
            self._review_departed(departed)
        return departed is not None

    def _review_departed(self, departed: _Departed) -> None:
        """Hand over what waited where the recording is open and the recorder connected; after a while it is lost."""
        feed = departed.feed
        if feed.is_open:
            self._tap.begin(feed, feed.recording)
        if feed.held_back is None:
            del self._departed[feed.camera]
        elif self._clock.monotonic() >= departed.until:
            self._drop_departed(feed.camera)

    def _drop_departed(self, camera: str) -> None:
        departed = self._departed.pop(camera, None)
        if departed is not None and departed.feed.held_back is not None:
            departed.feed.held_back.drop()

    # --- what control asks of a camera --------------------------------------------------------------------------------

    def change(self, message: m.PublisherChange) -> m.Message:
        """Take another setting of live sound, or a confirmation.  Raises TheirError NOT_FOUND where the session is gone."""
        camera = self._known(message.session)
        camera.live_audio, camera.confirmed = message.live_audio, message.confirmed_mono
        if not message.live_audio:
            # Packets that wait to be sent go too; the recording keeps its sound, as its signed start says.
            self._legs.mute(camera.camera)
        return m.Done()

    def ask_keyframe(self, message: m.KeyframeAsk) -> None:
        """Ask a camera for a keyframe of its best picture."""
        camera = self.by_camera.get(message.camera)
        stream = camera.layer("high") if camera is not None else None
        if stream is not None:
            stream.keyframes.want(self._clock.monotonic())

    def close_all(self) -> None:
        """End every session because the worker ends."""
        for camera in list(self.by_camera.values()):
            camera.close("ended", SHUTDOWN, shutdown=True)

    def of_session(self, session: str) -> CameraPeer | None:
        """Return the camera that holds a session."""
        return next((camera for camera in self.by_camera.values() if camera.session == session), None)

    def feeds(self) -> list[TapFeed]:
        """Return the recordings that this worker feeds."""
        return [camera.feed for camera in self.by_camera.values() if camera.feed is not None]

    def _known(self, session: str) -> CameraPeer:
        camera = self.of_session(session)
        if camera is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        return camera

    def _on_changed(self, camera: CameraPeer, reason: str) -> None:
        utc_ns = self._clock.utc_ns()
        self._post(m.PublisherState(camera.session, camera.camera, camera.state, reason, utc_ns, camera.has_stopped))

    def _on_over(self, camera: CameraPeer, reason: str) -> None:
        logger.info("camera %s: session %s: %s", camera.camera, camera.state, reason)
        self._keep_departed(camera)
        if self.by_camera.get(camera.camera) is camera:
            del self.by_camera[camera.camera]
            self._legs.restart(camera.camera)
        self._on_changed(camera, reason)
