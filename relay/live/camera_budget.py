"""How many messages a camera may send over its live socket, and which of its acts wait.

Owns: the rates, and what a camera does faster than they allow.  Must never know: sockets, what a message means to the relay;
any clock but the `now` it is given (monotonic seconds).

```
message ─▶ press, release, accept, decline ── within their rate ──▶ carried out at once, in order
             │                             └─ beyond it ──────────▶ the latest of each waits; all that wait are carried out
             │                                                      together as soon as the rate allows (within a second)
             ▼
           every other kind ── beyond its rate ──▶ dropped and counted
             ▼
           all together beyond theirs ──▶ the socket is closed
```
A press is therefore never lost, however many messages a camera sends; and whatever it sends, at most one lot of acts a second
reaches pages, journal and log.  The budget belongs to the camera, not to its socket: who reconnects gets no new one.
"""

from collections import OrderedDict
from typing import TypeAlias

from relay.base.allowance import Allowance
from relay.live.camera_intents import MAX_REQUESTS
from relay.protocol import camera as messages

Act: TypeAlias = messages.Press | messages.Release | messages.Accept | messages.Decline
ACTS_PER_SECOND, ACTS_AT_ONCE = 1.0, 8.0
MAX_WAITING = 2 + MAX_REQUESTS
"""A press, a release, and an answer to each request."""
RATES: dict[type, tuple[float, float]] = {
    messages.Hello: (0.2, 5),
    messages.Beat: (1, 10),
    messages.CameraTime: (5, 20),
}
"""Messages a second on average, and at once.  A camera of the contract sends a fifth of them at most."""
ALL_PER_SECOND, ALL_AT_ONCE = 50.0, 500.0


class WaitingActs:
    """The acts of one camera that came faster than they may be carried out: the latest press, release and answers."""

    def __init__(self) -> None:
        self._allowance = Allowance(ACTS_PER_SECOND, ACTS_AT_ONCE)
        self._waiting: OrderedDict[str, Act] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, act: Act, now: float) -> tuple[Act, ...]:
        """Add an act; return those to carry out now, in their order."""
        key = _key(act)
        self._waiting[key] = act
        self._waiting.move_to_end(key)
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(key for key in self._waiting if key not in ("press", "release"))]
        return self.due(now)

    def due(self, now: float) -> tuple[Act, ...]:
        """Return the acts that may be carried out now; call about once a second."""
        return self.all() if self._waiting and self._allowance.take(now) else ()

    def all(self) -> tuple[Act, ...]:
        """Return all acts that wait, to be carried out whatever the rate: the camera publishes, which needs them."""
        acts = tuple(self._waiting.values())
        self._waiting.clear()
        return acts


def _key(act: Act) -> str:
    match act:
        case messages.Press():
            return "press"
        case messages.Release():
            return "release"
        case messages.Accept() | messages.Decline():
            return f"request {act.request}"


class CameraBudget:
    """What one camera may send."""

    def __init__(self) -> None:
        self.acts = WaitingActs()
        self._all = Allowance(ALL_PER_SECOND, ALL_AT_ONCE)
        self._kinds = {kind: Allowance(*rate) for kind, rate in RATES.items()}

    def take(self, now: float) -> bool:
        """Count one message of any kind; return False where there were too many: the socket is to be closed."""
        return self._all.take(now)

    def allows(self, message: messages.FromCamera, now: float) -> bool:
        """Count one message that is no act; return False where it is to be dropped."""
        return self._kinds[type(message)].take(now)
