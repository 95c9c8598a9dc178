"""Which slots show which camera, under which view and until when.

What this file owns: the lists of slots by camera (replaced, never changed, so that a fan-out iterates a frozen one), leases,
and how a view's beginning and end are told.  What it must never know: packets, peers' keys.
"""

from collections.abc import Callable, Iterator

from relay.base.clock import Clock
from relay.channel.messages import LeaseRenew, LegEnded, LegHeld, LegStarted, Message, SlotAssign, SlotLayer
from relay.fanout.stream import Stream
from relay.worker.camera_peer import CameraPeer
from relay.worker.slot import Slot
from relay.worker.viewer_peer import ViewerPeer


class Legs:
    """See the module."""

    def __init__(self, clock: Clock, post: Callable[[Message], None]) -> None:
        self._clock = clock
        self._post = post
        self._video: dict[str, tuple[Slot, ...]] = {}
        self._audio: dict[str, tuple[Slot, ...]] = {}
        self._views: dict[str, tuple[ViewerPeer, Slot]] = {}

    # --- who shows what ------------------------------------------------------------------------------------------------

    def showing(self, camera: CameraPeer, stream: Stream) -> tuple[Slot, ...]:
        """Return the slots that should get a batch of this stream now."""
        if stream.spec.kind == "audio":
            return self._audio.get(camera.camera, ()) if camera.live_audio and stream is camera.source.audio else ()
        slots = self._video.get(camera.camera, ())
        if len(camera.source.layers) < 2:
            return slots if stream in camera.source.layers.values() else ()
        return tuple(slot for slot in slots if _shows(slot, camera, stream))

    def count(self, camera: str) -> int:
        """Return how many slots show a camera."""
        return len(self._video.get(camera, ()))

    # --- changes -------------------------------------------------------------------------------------------------------

    def assign(self, viewer: ViewerPeer, slot: Slot, message: SlotAssign) -> None:
        """Give a slot a camera, or none."""
        self._end(viewer, slot, "assigned" if message.camera is not None else "left")
        if message.camera is not None:
            slot.assign(message.camera, message.view, message.layer, message.lease_mono)
            self._video[message.camera] = (*self._video.get(message.camera, ()), slot)
            self._views[message.view] = (viewer, slot)
        if viewer.heard_slot == slot.number:
            self.hear(viewer, slot.number)

    def hear(self, viewer: ViewerPeer, number: int | None) -> None:
        """Make one slot's camera heard, or none; the sound follows the slot when it changes its camera."""
        audio = viewer.audio
        if audio is None:
            return
        if audio.camera is not None:
            _remove(self._audio, audio)
        viewer.forget_backlog(audio)
        audio.clear()
        viewer.heard_slot = number
        shown = viewer.slots[number] if number is not None else None
        if shown is not None and shown.camera is not None:
            audio.assign(shown.camera, "", "high", shown.lease)
            self._audio[shown.camera] = (*self._audio.get(shown.camera, ()), audio)

    def relayer(self, viewer: ViewerPeer | None, message: SlotLayer) -> None:
        """A tile changed size."""
        if viewer is not None and 0 <= message.slot < len(viewer.slots):
            viewer.slots[message.slot].want(message.layer)

    def renew(self, message: LeaseRenew) -> None:
        """Prolong views."""
        for view in message.views:
            entry = self._views.get(view)
            if entry is not None:
                entry[1].lease = message.lease_mono

    def over(self, now: float) -> list[tuple[ViewerPeer, Slot]]:
        """Return the views whose lease is over: nobody may watch on because control is dead."""
        return [(viewer, slot) for viewer, slot in self._views.values() if now > slot.lease]

    def end_lease(self, viewer: ViewerPeer, slot: Slot) -> None:
        """End a view whose lease is over."""
        self._end(viewer, slot, "lease over")
        if viewer.heard_slot == slot.number:
            self.hear(viewer, slot.number)

    def silence(self, camera: str) -> None:
        """The camera's session is over: its slots wait for the next one, which begins anew."""
        for slot in (*self._video.get(camera, ()), *self._audio.get(camera, ())):
            slot.restart()

    def drop(self, viewer: ViewerPeer, reason: str) -> None:
        """The viewer is gone: all its views end."""
        self.hear(viewer, None)
        for slot in viewer.slots:
            self._end(viewer, slot, reason)

    def _end(self, viewer: ViewerPeer, slot: Slot, reason: str) -> None:
        viewer.forget_backlog(slot)
        if slot.camera is None:
            return
        _remove(self._video, slot)
        self._views.pop(slot.view, None)
        self._post(LegEnded(slot.view, *self._span(slot), slot.packets, reason))
        slot.clear()

    # --- telling -------------------------------------------------------------------------------------------------------

    def started(self, slot: Slot) -> None:
        """The first packet of a view left (sound belongs to the view of its picture)."""
        if slot.view:
            self._post(LegStarted(slot.view, self._clock.utc_ns()))

    def _span(self, slot: Slot) -> tuple[int | None, int | None]:
        return slot.span(self._clock.utc_ns(), self._clock.monotonic())

    def held(self, viewer: ViewerPeer) -> Iterator[LegHeld]:
        """Yield the legs of a viewer, for a control that just started."""
        for slot in viewer.slots:
            if slot.camera is not None:
                yield LegHeld(viewer.session, slot.number, slot.camera, slot.view, *self._span(slot))


def _shows(slot: Slot, camera: CameraPeer, stream: Stream) -> bool:
    """The wanted layer where it can start, else the layer the slot shows already."""
    slot.layered = True
    wanted = camera.layer(slot.layer)
    if wanted is not None and wanted is not slot.stream and not wanted.cache.ready and slot.stream is not None:
        wanted.keyframes.want(camera.now)
        return stream is slot.stream
    return stream is wanted


def _remove(lists: dict[str, tuple[Slot, ...]], slot: Slot) -> None:
    if slot.camera is None:
        return
    rest = tuple(other for other in lists.get(slot.camera, ()) if other is not slot)
    if rest:
        lists[slot.camera] = rest
    else:
        lists.pop(slot.camera, None)
