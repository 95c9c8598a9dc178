"""Which packets of an incoming stream are missing, and when each is asked for (RFC 4585 §6.2.1, RFC 4588).

Owns: the missing packets, the schedule of NACKs, the round trip that answers show.
Must never know: sequence numbers on the wire, legs, sockets, codecs.

A NACK is due soon after the gap is seen.  It is repeated once per round trip until the packet came or is too late for every
viewer.

The round trip is measured by packets that were asked for once (Karn's rule).  Where RTX was agreed, only RTX packets count.
Without RTX an answer looks like an original that was late, until the other copy comes or does not come.  Answers to packets
that were asked for several times show only that the pause may be too short: the pause grows until an answer comes to a first
NACK.
"""

MAX_MISSING = 500
"""Packets that may be missing at once.  Of a wider gap the newest are asked for, so that no jump of a hostile camera makes
more work in a second than this."""
NACK_BATCH = 250
"""Packets asked for at once."""
REORDER_SLACK_SECONDS = 0.008
"""Seconds that a packet may be late before its first NACK: packets overtake each other on a radio."""
GIVE_UP_SECONDS = 1.0
"""Seconds after which a missing packet helps no viewer; until then it is taken, however often it was asked for."""
MAX_TRIES = 12
MIN_RETRY_SECONDS = 0.025
MAX_RETRY_SECONDS = 0.5
"""Seconds between two NACKs for one packet, at least and at most."""
START_RTT_SECONDS = 0.1
"""Seconds taken for the round trip before one was measured."""
_PAUSE_GROWTH = 1.5
"""Factor by which the pause grows where an answer comes to a packet that was asked for twice."""


class MissingPacket:
    """A packet that has not come."""

    __slots__ = ("asked", "due", "too_late", "tries")

    def __init__(self, now: float, due: float) -> None:
        self.too_late = now + GIVE_UP_SECONDS
        self.due = due
        """When the next step is due: asking, or giving up."""
        self.asked = 0.0
        """When it was asked for first."""
        self.tries = 0


class RepairSchedule:
    """The missing packets of one stream, by their index."""

    def __init__(self, *, nack: bool, rtx: bool) -> None:
        """`nack`: the sender takes NACKs; `rtx`: it answers them with RTX packets."""
        self._nack = nack
        self._rtx = rtx
        self.missing: dict[int, MissingPacket] = {}
        self.rtt: float | None = None
        """Round trip in seconds, as repairs show it."""
        self.recovered = 0
        self.abandoned = 0
        """Packets lost for good."""
        self._restarted_at = float("-inf")
        self._silent_until = float("-inf")
        """A sender that restarted twice within `GIVE_UP_SECONDS` is not asked for anything until then."""
        self._pause = 1.0
        """Factor on the pause between two NACKs."""
        self._pause_grew_at = 0.0
        self._doubted: dict[int, MissingPacket] = {}
        """Packets that came after their first NACK where there is no RTX; `due` is when they came."""
        self._due_at = 0.0
        """Before this no packet of `missing` is due."""

    # --- what came -----------------------------------------------------------------------------------------------------

    def pass_over(self, first: int, end: int, now: float) -> None:
        """The indices from `first` up to, not with, `end` have not come."""
        room = 0 if now < self._silent_until else MAX_MISSING - len(self.missing)
        start = max(first, end - room)
        self.abandoned += start - first
        if start < end:
            due = now + (REORDER_SLACK_SECONDS if self._nack else GIVE_UP_SECONDS)
            self._due_at = min(self._due_at, due) if self.missing else due
            for index in range(start, end):
                self.missing[index] = MissingPacket(now, due)

    def restarted(self, now: float) -> None:
        """The sender restarted: what was missing never comes, at least one packet of it is lost."""
        self.missing.clear()
        self.abandoned += 1
        if now - self._restarted_at < GIVE_UP_SECONDS:
            self._silent_until = now + GIVE_UP_SECONDS
        self._restarted_at = now

    def fill(self, index: int, now: float, repair: bool) -> bool:
        """Take a packet that came late; False where it was not missing.  `repair`: it came on the RTX stream."""
        packet = self.missing.pop(index, None)
        if packet is None:
            doubted = self._doubted.pop(index, None)
            if doubted is not None:  # so the first copy was the original, and this is the answer
                self._measure(now - doubted.asked)
            return False
        if packet.tries:
            self.recovered += 1
            if repair or not self._rtx:
                self._learn(index, packet, now, repair)
        return True

    # --- round trip ----------------------------------------------------------------------------------------------------

    def _learn(self, index: int, packet: MissingPacket, now: float, repair: bool) -> None:
        if packet.tries > 1:
            if packet.asked > self._pause_grew_at:  # packets asked for together are one piece of evidence
                self._pause *= _PAUSE_GROWTH
                self._pause_grew_at = now
        elif repair:
            self._measure(now - packet.asked)
        elif len(self._doubted) < MAX_MISSING:
            packet.due = now
            self._doubted[index] = packet

    def _measure(self, sample: float) -> None:
        base = sample if self.rtt is None else self.rtt
        self.rtt = base + (sample - base) / (4 if self._pause == 1.0 else 2)
        self._pause = 1.0

    def _settle_doubted(self, now: float) -> None:
        """Where no second copy came in time, the first one was the answer."""
        while self._doubted:
            index, packet = next(iter(self._doubted.items()))
            if now < packet.too_late:
                return
            del self._doubted[index]
            self._measure(packet.due - packet.asked)

    # --- what is due ---------------------------------------------------------------------------------------------------

    def due(self, now: float) -> list[int]:
        """Return the indices to ask for now, in order.  Forgets packets that are too late, and counts them as abandoned."""
        if self._doubted:
            self._settle_doubted(now)
        if not self.missing or now < self._due_at:
            return []
        again = now + min(MAX_RETRY_SECONDS, max(MIN_RETRY_SECONDS, 1.25 * (self.rtt or START_RTT_SECONDS) * self._pause))
        wanted: list[int] = []
        late = [index for index, packet in self.missing.items() if now >= packet.due]
        for index in late:
            packet = self.missing[index]
            if now >= packet.too_late:
                del self.missing[index]
                self.abandoned += 1
            elif len(wanted) < NACK_BATCH:
                self._ask(packet, now, again)
                wanted.append(index)
        self._due_at = min((packet.due for packet in self.missing.values()), default=0.0)
        return wanted

    def _ask(self, packet: MissingPacket, now: float, again: float) -> None:
        packet.tries += 1
        if packet.tries == 1:
            packet.asked = now
        packet.due = packet.too_late if packet.tries >= MAX_TRIES else min(again, packet.too_late)
