"""How fast the pages of one person may send messages over their live sockets.

Owns: the rates, and when a socket that goes on beyond them is hopeless.  Must never know: sockets, what a message does; any
clock but the `now` it is given (monotonic seconds).

A page is slowed down, not robbed: the relay waits before it acts on the next message and meanwhile reads nothing from that
socket, so that the flood waits at its sender.  Nothing is dropped, answers keep their order, and nobody else waits.  A camera
is not slowed down, because a press behind the flood must not be late (`live/camera_budget`).  A socket that is slowed down for
long is closed.  All pages of one person share one pace: who reconnects gets no new one.
"""

from collections import OrderedDict

from relay.base.allowance import Allowance
from relay.protocol import page as messages

RATES: dict[type | None, tuple[float, float]] = {
    messages.Assign: (20, 256),
    messages.SetLayer: (20, 256),
    messages.Listen: (5, 50),
    messages.AskTime: (5, 50),
    None: (1, 20),
}
"""Messages a second on average, and at once; None: those that cannot be read.  A wall of 16 tiles that comes back sends 16
`assign`; a page sends a `time` every 2 s."""
WAITS_PER_SECOND, WAITS_AT_ONCE = 0.25, 30.0
"""Seconds that a person's pages may be slowed down: half a minute at a stretch, and a quarter of the time."""
SHORTEST_WAIT = 0.01
MAX_PEOPLE = 1000


class PagePace:
    """The pace of one person's pages."""

    def __init__(self) -> None:
        self._kinds = {kind: Allowance(*rate) for kind, rate in RATES.items()}
        self._patience = Allowance(WAITS_PER_SECOND, WAITS_AT_ONCE)

    def take(self, kind: type | None, now: float) -> float:
        """Count one message; return 0, or the seconds to wait before it is tried again (then it is not counted)."""
        allowance = self._kinds[kind]
        return 0.0 if allowance.take(now) else max(SHORTEST_WAIT, allowance.wait(now))

    def may_wait(self, seconds: float, now: float) -> bool:
        """Note a wait; return False where the pages were slowed down too long: the socket is to be closed."""
        return self._patience.take(now, seconds)


class PagePaces:
    """The paces of all people, as many as were here last."""

    def __init__(self) -> None:
        self._people: OrderedDict[str, PagePace] = OrderedDict()

    def __len__(self) -> int:
        return len(self._people)

    def of(self, user: str) -> PagePace:
        """Return a person's pace."""
        pace = self._people.setdefault(user, PagePace())
        self._people.move_to_end(user)
        if len(self._people) > MAX_PEOPLE:
            self._people.popitem(last=False)
        return pace
