"""A bad network as a pure, seeded object: loss, delay, jitter, duplication, reordering, cuts, a narrow pipe.

Owns: the fate of each datagram of one direction.  Must never know: sockets, clocks or asyncio: the caller passes each datagram
and `now` (float seconds on any monotonic clock), and gets back the datagrams that arrive.  Equal seeds, inputs and times give
equal outputs.
"""

import dataclasses
import heapq
import random
from typing import Generic, TypeVar

T = TypeVar("T")

_MAX_HELD = 8192


@dataclasses.dataclass(frozen=True)
class Network:
    """One direction of a network.  Shares are 0..1, times are seconds."""

    loss: float = 0.0
    burst: float = 1.0
    """Mean length of a run of losses, in datagrams; 1 means independent losses (else a Gilbert model)."""
    delay: float = 0.0
    jitter: float = 0.0
    """Extra delay, uniform in 0..jitter; it never reorders, as a queue does not."""
    duplicate: float = 0.0
    reorder: float = 0.0
    """Share of datagrams held back by `reorder_by`, so that later ones overtake them."""
    reorder_by: float = 0.02
    bandwidth: float | None = None
    """Bits per second; None: unlimited."""
    queue_bytes: int = 64_000
    """Bytes that may wait before the narrow pipe; beyond that the newest datagram is dropped."""

    def __post_init__(self) -> None:
        shares = (self.loss, self.duplicate, self.reorder)
        if not all(0 <= share <= 1 for share in shares) or self.burst < 1:
            raise ValueError(f"shares must be 0..1 and burst at least 1: {self}")
        if min(self.delay, self.jitter, self.reorder_by) < 0 or (self.bandwidth is not None and self.bandwidth <= 0):
            raise ValueError(f"times must not be negative and bandwidth must be positive: {self}")


PERFECT = Network()


@dataclasses.dataclass
class Tally:
    """Counts of the datagrams of one direction, by their fate."""

    offered: int = 0
    delivered: int = 0
    lost: int = 0
    cut: int = 0
    overflowed: int = 0
    duplicated: int = 0
    reordered: int = 0


class Impairment(Generic[T]):
    """One direction.  `push` what is sent, `pop` what arrives, `next_at` says when to pop again.

    Each datagram draws the same number of random numbers whatever the settings, so what is lost at 1 % is also lost at 5 %
    under the same seed, and changing the settings midway keeps the run repeatable.  At most 8192 datagrams are held.
    """

    def __init__(self, network: Network, seed: int) -> None:
        self.network = network  # through its setter
        self.tally = Tally()
        self._random = random.Random(seed)  # noqa: S311 - a repeatable network, not a secret
        self._held: list[tuple[float, int, T]] = []
        self._order = 0
        self._in_burst = False
        self._cut_until, self._was_cut = float("-inf"), False
        self._pipe_free_at = float("-inf")
        self._last_due = float("-inf")

    @property
    def network(self) -> Network:
        """The network from now on."""
        return self._network

    @network.setter
    def network(self, network: Network) -> None:
        self._network = network
        self._perfect = network == PERFECT

    @property
    def transparent(self) -> bool:
        """Whether a datagram passes at once and unchanged: a perfect network that was never cut, with none under way."""
        return self._perfect and not self._held and not self._was_cut

    def cut(self, now: float, seconds: float) -> None:
        """Lose everything pushed from `now` on, for `seconds`."""
        self._cut_until, self._was_cut = now + seconds, True

    def push(self, datagram: T, size: int, now: float) -> None:
        """Send a datagram of `size` bytes at `now`."""
        draw = [self._random.random() for _ in range(4)]
        tally, network = self.tally, self.network
        tally.offered += 1
        if now < self._cut_until:
            tally.cut += 1
        elif self._loses(draw[0]):
            tally.lost += 1
        elif (leaves := self._through_pipe(size, now)) is None:
            tally.overflowed += 1
        else:
            due = self._last_due = max(self._last_due, leaves + network.delay + network.jitter * draw[1])
            if draw[2] < network.reorder:
                tally.reordered += 1
                due += network.reorder_by
            self._hold(due, datagram)
            if draw[3] < network.duplicate:
                tally.duplicated += 1
                self._hold(due, datagram)

    def pop(self, now: float) -> list[T]:
        """Return what has arrived by `now`, in order of arrival."""
        out = []
        while self._held and self._held[0][0] <= now:
            out.append(heapq.heappop(self._held)[2])
        self.tally.delivered += len(out)
        return out

    def next_at(self) -> float | None:
        """Return when the next datagram arrives, or None."""
        return self._held[0][0] if self._held else None

    def _loses(self, draw: float) -> bool:
        """Return whether this datagram is lost: independently, or by a two-state Gilbert chain of the same mean."""
        loss, burst = self.network.loss, self.network.burst
        if burst <= 1 or loss >= 1:
            return draw < loss
        leave = 1 / burst
        enter = loss * leave / (1 - loss)
        self._in_burst = draw >= leave if self._in_burst else draw < enter
        return self._in_burst

    def _through_pipe(self, size: int, now: float) -> float | None:
        """Return when the datagram has left the narrow pipe, or None where its queue is full."""
        bandwidth = self.network.bandwidth
        if bandwidth is None:
            return now
        waiting = max(0.0, self._pipe_free_at - now)
        if waiting * bandwidth / 8 + size > self.network.queue_bytes:
            return None
        self._pipe_free_at = now + waiting + size * 8 / bandwidth
        return self._pipe_free_at

    def _hold(self, due: float, datagram: T) -> None:
        if len(self._held) >= _MAX_HELD:
            self.tally.overflowed += 1
            return
        self._order += 1
        heapq.heappush(self._held, (due, self._order, datagram))
