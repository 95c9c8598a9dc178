"""How failed sign-ins slow the next ones down (SEC-01): counts and back-off, nothing else.

Owns: the arithmetic.  Must never know: passwords, people, where the counts are kept.
"""

from dataclasses import dataclass

from relay.base.clock import SECOND_NS


@dataclass(frozen=True, slots=True)
class Limits:
    """Free failures, then a wait that doubles from `first_seconds` up to `longest_seconds`; then forgotten."""

    free_failures: int = 5
    first_seconds: float = 2.0
    longest_seconds: float = 900.0
    forget_seconds: float = 86_400.0
    free_names: int = 20
    """Names that may fail at one source: a whole post may sit behind one address."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Consecutive failures of one name and when the last one was (steady UTC ns)."""

    count: int = 0
    last_ns: int = 0


@dataclass(frozen=True, slots=True)
class Tried:
    """The names that failed from one source since somebody signed in there; beyond the bound each further one counts."""

    names: frozenset[str] = frozenset()
    failures: Failures = Failures()


def failed(state: Failures, now_ns: int, limits: Limits) -> Failures:
    """Return the state after one more failure."""
    return Failures(_remembered(state, now_ns, limits) + 1, now_ns)


def tried(state: Tried, name: str, now_ns: int, limits: Limits) -> Tried:
    """Return the state of a source after one more failure: a name counts once (it has a wait of its own).

    From `free_names` on every failure counts and no further name is kept: a list of guesses costs no memory.
    """
    names = state.names if _remembered(state.failures, now_ns, limits) else frozenset()
    if len(names) < limits.free_names:
        if name in names:
            return state
        names |= {name}
    return Tried(names, failed(state.failures, now_ns, limits))


def wait_seconds(state: Failures, now_ns: int, limits: Limits, free: int | None = None) -> float:
    """Return how long the next attempt must still wait, `free` failures being free; 0 when it may be made now."""
    beyond = _remembered(state, now_ns, limits) - (limits.free_failures if free is None else free)
    if beyond < 0:
        return 0.0
    # 2**64 seconds is past any limit: the exponent is clamped so that a long attack cannot overflow a float.
    penalty = min(limits.longest_seconds, limits.first_seconds * 2.0 ** min(beyond, 64))
    # Whatever clock the caller reads: one stepped back must not lengthen a lock beyond its own penalty.
    elapsed = max(0.0, (now_ns - state.last_ns) / SECOND_NS)
    return max(0.0, penalty - elapsed)


def _remembered(state: Failures, now_ns: int, limits: Limits) -> int:
    return 0 if now_ns - state.last_ns > limits.forget_seconds * SECOND_NS else state.count
