"""The state of the vault's disk: the one place that says what is still stored while the disk refuses or is full.

Owns: the states, the events and the transition table.  Must never know: files, threads, clocks, jobs.

Theory of operation.  The vault keeps a preallocated file, its reserve.  While the disk takes everything, media, gaps and ends
are stored.  There are two kinds of refusal:

* *stalled*: an operation failed for another reason than room (I/O error, read-only, device gone).  The refused job is tried
  again; the first job that is carried out ends the state.  Media that waited for longer than the backlog becomes a gap.
* *full*: an operation failed for want of room, or less room is left than is kept free for others.  A job that is carried out
  does not end this state, because a small job may always fit.  Only a probe that finds room for the reserve and more ends it.
  The reserve is given up (unlinked) only once it is needed: when media is being dropped, or when a gap or an end waits.  Its
  room is for gaps, ends and the one fragment whose number is already spent.  Other media then becomes a gap at once.

A state is the pair of the disk's condition and whether the reserve is held.  Where the table is blank, the state stays:

                 ------------------ state ------------------------------------------------------------------------
    event        OK          OK_NO_RESERVE   STALLED    STALLED_NO_RESERVE   FULL              FULL_NO_RESERVE
    REFUSED      STALLED!    STALLED_NO_R.!
    NO_ROOM      FULL!       FULL_NO_R.!     FULL       FULL_NO_R.
    CARRIED_OUT                              OK         OK_NO_RESERVE
    URGENT                                                                   FULL_NO_R. [u]
    FOUND_ROOM               OK              OK         OK                   OK                OK
    RESERVE_ONLY             OK              OK         OK                                     FULL
    NO_RESERVE   OK_NO_R.                    ST._NO_R.                       FULL_NO_R.

`!`: the action is REPORT (one log line when the disk begins to refuse); `[u]`: it is UNLINK_RESERVE.  FOUND_ROOM, RESERVE_ONLY
and NO_RESERVE are the results of a probe.  Probes are made at the start, after each sync while the disk is full, and after each
sync while it is stalled and no job waits (nothing else would try whether the disk is back).

*Gone* is no state of its own: it is how a stalled disk is reported whose free room cannot be read either (`report`).
"""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

DiskReport: TypeAlias = Literal["ok", "stalled", "full", "gone"]
"""As control, the page and the metrics name it."""


class State(Enum):
    """Condition of the disk, and whether the reserve is held."""

    OK = auto()
    OK_NO_RESERVE = auto()
    STALLED = auto()
    STALLED_NO_RESERVE = auto()
    FULL = auto()
    FULL_NO_RESERVE = auto()

    @property
    def is_ok(self) -> bool:
        """Whether the disk takes what it is given."""
        return self in (State.OK, State.OK_NO_RESERVE)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for new recordings."""
        return self in (State.FULL, State.FULL_NO_RESERVE)

    @property
    def drops_media(self) -> bool:
        """Whether media becomes a gap at once: the room that a given-up reserve left is for gaps and ends."""
        return self is State.FULL_NO_RESERVE

    @property
    def may_give_up_reserve(self) -> bool:
        """Whether the reserve is there to be given up once something must be written."""
        return self is State.FULL

    def needs_probe(self, *, idle: bool) -> bool:
        """Return whether to look for room after a sync; `idle`: no job waits."""
        return self.is_full or (idle and not self.is_ok)


class Event(Enum):
    """Something that the vault thread saw of the disk."""

    REFUSED = auto()
    """An operation failed for another reason than room."""
    NO_ROOM = auto()
    """An operation failed for want of room (ENOSPC, EDQUOT), or less is free than belongs to others."""
    CARRIED_OUT = auto()
    """A job was carried out."""
    URGENT = auto()
    """A job was refused while media is being dropped, a gap or an end waits, or the thread is stopping."""
    FOUND_ROOM = auto()
    """Probe: the reserve is allocated, and there is enough room beyond it."""
    RESERVE_ONLY = auto()
    """Probe: the reserve is allocated, and there is not enough room beyond it."""
    NO_RESERVE = auto()
    """Probe: there is neither a reserve nor room for one."""


class Action(Enum):
    """What the vault thread has to do because of a transition."""

    NONE = auto()
    REPORT = auto()
    """Log that the disk begins to refuse."""
    UNLINK_RESERVE = auto()
    """Give up the reserve."""


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.OK, Event.REFUSED): State.STALLED,
        (State.OK_NO_RESERVE, Event.REFUSED): State.STALLED_NO_RESERVE,
        (State.OK, Event.NO_ROOM): State.FULL,
        (State.OK_NO_RESERVE, Event.NO_ROOM): State.FULL_NO_RESERVE,
        (State.STALLED, Event.NO_ROOM): State.FULL,
        (State.STALLED_NO_RESERVE, Event.NO_ROOM): State.FULL_NO_RESERVE,
        (State.STALLED, Event.CARRIED_OUT): State.OK,
        (State.STALLED_NO_RESERVE, Event.CARRIED_OUT): State.OK_NO_RESERVE,
        (State.FULL, Event.URGENT): State.FULL_NO_RESERVE,
        **{(state, Event.FOUND_ROOM): State.OK for state in State if state is not State.OK},
        (State.OK_NO_RESERVE, Event.RESERVE_ONLY): State.OK,
        (State.STALLED, Event.RESERVE_ONLY): State.OK,
        (State.STALLED_NO_RESERVE, Event.RESERVE_ONLY): State.OK,
        (State.FULL_NO_RESERVE, Event.RESERVE_ONLY): State.FULL,
        (State.OK, Event.NO_RESERVE): State.OK_NO_RESERVE,
        (State.STALLED, Event.NO_RESERVE): State.STALLED_NO_RESERVE,
        (State.FULL, Event.NO_RESERVE): State.FULL_NO_RESERVE,
    }
)
"""The table above.  A pair that is not in it leaves the state as it is."""


def step(state: State, event: Event) -> tuple[State, Action]:
    """Return the state after an event, and what has to be done."""
    after = TRANSITIONS.get((state, event), state)
    if event in (Event.REFUSED, Event.NO_ROOM) and state.is_ok:
        return after, Action.REPORT
    if event is Event.URGENT and after is not state:
        return after, Action.UNLINK_RESERVE
    return after, Action.NONE


def report(state: State, *, free_bytes: int, slow: bool) -> DiskReport:
    """Return how a state is reported; `free_bytes` is 0 where it cannot be read, `slow`: a job has waited for too long."""
    if state.is_full:
        return "full"
    if state.is_ok:
        return "stalled" if slow else "ok"
    return "stalled" if free_bytes else "gone"
