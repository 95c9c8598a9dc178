"""What waits to be sent over one live socket: a line in which a state that changes again takes the place of the older one.

Owns: which message is a state (only the latest counts) and which is an event (each counts), their order, the bounds.
Must never know: sockets, tasks, clocks.

States are bounded by what they are states of: cameras, views, workers.  Events are bounded by `bound`; a line that has no
room for one is over.  So a page that reads slowly gets the latest state of each camera, however large the fleet is and however
often it changes.

| message | what it is |
|---|---|
| `camera` / `states`, `gone` | state of one camera; a press that was released while it waited stays before the later state |
| `leg` | state of one view; `ended` removes it |
| `alarm` | one for each camera and reason: a page shows no more of them |
| `disk`, `interventions` | state of the relay |
| `worker` | state of one worker; *down, up* stays both, because a page must learn that its session is lost |
| `watched`, the relay's question `time`, `pressed`, `stop`, `republish` | state of one camera's socket |
| `request` | one for each request that the relay still remembers |
| all others | events |
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from relay.live.camera_intents import MAX_REQUESTS
from relay.protocol import camera, page, wire

BATCH = 32
"""States in one message: some 20 kB, so that a page on a slow line receives something every second."""

Item: TypeAlias = wire.Message | page.CameraUpdate


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands; `key` None: an event, at the end."""

    key: Hashable | None = None
    removes: tuple[Hashable, ...] = ()
    """Keys of messages that lose their meaning by this one."""


EVENT = Place()


def place_of(item: Item) -> Place:  # noqa: C901, PLR0911 - one line for each kind of message, as in the table above
    """Return where a message stands."""
    match item:
        case page.CameraUpdate():
            return Place(("camera", item.state.camera))
        case page.CameraGone():
            return Place(("camera", item.camera))
        case page.LegReport():
            return Place(("leg", item.view))
        case page.ViewEnded():
            return Place(removes=(("leg", item.view),))
        case page.AlarmRaised():
            return Place(("alarm", item.camera, item.reason))
        case page.WorkerChanged(up=False):
            return Place(("down", item.worker), removes=(("up", item.worker), ("down", item.worker)))
        case page.WorkerChanged():
            return Place(("up", item.worker))
        case camera.StreamRequest():
            return Place(("request", item.request))
        case camera.ServerTime() if item.echo is not None:
            return EVENT
        case camera.Stop() | camera.Republish():
            return Place(type(item), removes=(type(item),))
        case page.DiskReport() | page.InterventionsChanged() | camera.Watched() | camera.Pressed() | camera.ServerTime():
            return Place(type(item))
        case _:
            return EVENT


class Waiting:
    """The line of one socket."""

    def __init__(self, bound: int, *, batches: bool = False) -> None:
        """`batches`: the states of several cameras go out as one message."""
        self._bound = bound
        self._batches = batches
        self._line: OrderedDict[Hashable, Item] = OrderedDict()
        self._number = 0
        self.events = 0
        """Events that wait."""
        self.last: wire.Message | None = None
        """Goes out when nothing else waits any more."""

    def __len__(self) -> int:
        return len(self._line)

    def put(self, item: Item) -> bool:
        """Put a message into the line; return False where it is an event for which there is no room."""
        place = place_of(item)
        for key in place.removes:
            self._line.pop(key, None)
        if isinstance(item, page.CameraUpdate):
            self._keep_press(item)
        if place.key is not None:
            self._line[place.key] = item
            if isinstance(item, camera.StreamRequest):
                self._forget_requests()
            return True
        if self.events >= self._bound:
            return False
        self._number += 1
        self.events += 1
        self._line[self._number] = item
        return True

    def _keep_press(self, newer: page.CameraUpdate) -> None:
        """Keep a state with a press which this one would replace by one without: a page must show every press."""
        name = newer.state.camera
        older = self._line.get(("camera", name))
        if isinstance(older, page.CameraUpdate) and older.state.pressed and not newer.state.pressed:
            self._line.pop(("press", name), None)
            self._line[("press", name)] = self._line.pop(("camera", name))

    def _forget_requests(self) -> None:
        """Keep as many requests as the relay remembers: an answer to an older one would be refused."""
        asked = [key for key, item in self._line.items() if isinstance(item, camera.StreamRequest)]
        for key in asked[:-MAX_REQUESTS]:
            del self._line[key]

    def take(self) -> bytes | None:
        """Take the next message, encoded; None where nothing waits."""
        if not self._line:
            last, self.last = self.last, None
            return wire.encode(last) if last is not None else None
        key, item = self._line.popitem(last=False)
        if isinstance(item, page.CameraUpdate):
            return self._states(item) if self._batches else item.alone()
        self.events -= isinstance(key, int)
        return wire.encode(item)

    def _states(self, first: page.CameraUpdate) -> bytes:
        """Take the states that stand behind the first one, too, as many as one message carries."""
        keys = list(islice(self._cameras(), BATCH - 1))
        more = [self._line.pop(key) for key in keys]
        return page.batch([first, *(item for item in more if isinstance(item, page.CameraUpdate))])

    def _cameras(self) -> Iterator[Hashable]:
        return (key for key, item in self._line.items() if isinstance(item, page.CameraUpdate))
