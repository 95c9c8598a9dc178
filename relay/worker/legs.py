"""Which view each slot shows, and until when.

Owns: views, their leases, and the facts posted at their beginning and end.  Must never know: packets,
peers' keys, in which order slots are served.
"""

from collections.abc import Callable, Iterator

from relay.base.clock import Clock
from relay.channel.messages import LeaseRenew, LegEnded, LegHeld, LegStarted, Message, SlotAssign
from relay.worker.fan import Audience
from relay.worker.slot import Slot
from relay.worker.viewer_peer import ViewerPeer


class Legs:
    """All views of one worker; `post` sends a fact to control."""

    def __init__(self, audience: Audience, clock: Clock, post: Callable[[Message], None]) -> None:
        self._audience = audience
        self._clock = clock
        self._post = post
        self._views: dict[str, tuple[ViewerPeer, Slot]] = {}

    # --- changes -------------------------------------------------------------------------------------------------------

    def assign(self, viewer: ViewerPeer, slot: Slot, message: SlotAssign) -> None:
        """Give a slot a camera, or none."""
        self._end(slot, "assigned" if message.camera is not None else "left")
        if message.camera is not None:
            slot.assign(message.camera, message.view, message.layer, message.lease_mono)
            self._audience.add(slot)
            self._views[message.view] = (viewer, slot)
        if viewer.sound_slot == slot.number:
            self.assign_sound(viewer, slot.number)

    def assign_sound(self, viewer: ViewerPeer, number: int | None) -> None:
        """Send the sound of one slot's camera, or none; it follows the slot when the slot changes its camera."""
        audio = viewer.audio
        if audio is None:
            return
        self._audience.remove(audio)
        audio.clear()
        viewer.sound_slot = number
        shown = viewer.slots[number] if number is not None else None
        if shown is not None and shown.camera is not None:
            audio.assign(shown.camera, "", "high", shown.lease)
            self._audience.add(audio)

    def renew(self, message: LeaseRenew) -> None:
        """Prolong views."""
        for view in message.views:
            entry = self._views.get(view)
            if entry is not None:
                entry[1].lease = message.lease_mono

    def expired(self, now: float) -> list[tuple[ViewerPeer, Slot]]:
        """Return the views whose lease is over: without control no view goes on."""
        return [(viewer, slot) for viewer, slot in self._views.values() if now > slot.lease]

    def end_lease(self, viewer: ViewerPeer, slot: Slot) -> None:
        """End a view whose lease is over."""
        self._end(slot, "lease over")
        if viewer.sound_slot == slot.number:
            self.assign_sound(viewer, slot.number)

    def restart(self, camera: str) -> None:
        """The camera's session is over: its slots wait for its next session."""
        for slot in self._audience.of(camera):
            slot.sender.restart()

    def mute(self, camera: str) -> None:
        """Live sound of the camera is switched off: send it to no viewer any more."""
        for viewer in {viewer for viewer, _ in self._views.values()}:
            if viewer.audio is not None and viewer.audio.camera == camera:
                self.assign_sound(viewer, None)

    def drop(self, viewer: ViewerPeer, reason: str) -> None:
        """The viewer is gone: all its views end."""
        self.assign_sound(viewer, None)
        for slot in viewer.slots:
            self._end(slot, reason)

    def _end(self, slot: Slot, reason: str) -> None:
        if slot.camera is None:
            return
        self._audience.remove(slot)
        self._views.pop(slot.view, None)
        self._post(LegEnded(slot.view, *self._span(slot), slot.sender.packets, reason))
        slot.clear()

    def count(self, camera: str) -> int:
        """Return how many slots show a camera."""
        return len(self._audience.pictures.get(camera, ()))

    # --- facts ---------------------------------------------------------------------------------------------------------

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
