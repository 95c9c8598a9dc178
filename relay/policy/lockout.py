"""How failed sign-ins delay the next ones (SEC-01): counts and back-off.

Owns: the arithmetic.  Must never know: passwords, people, where the counts are kept.
"""

from dataclasses import dataclass, replace

from relay.base.clock import SECOND_NS


@dataclass(frozen=True, slots=True)
class Limits:
    """After `free_failures` a wait doubles from `first_seconds` to `longest_seconds`; `forget_seconds` clears the count."""

    free_failures: int = 5
    first_seconds: float = 2.0
    longest_seconds: float = 900.0
    forget_seconds: float = 86_400.0
    free_names: int = 20
    """Different names that may fail at one source without a wait: a whole command room may share one address."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Consecutive failures and when the last one was (steady UTC ns).

    `pending` attempts are being checked.  Each counts as a failure until it is decided, so that many at once pass no limit.
    """

    count: int = 0
    last_ns: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Tried:
    """The names that failed at one source since the last sign-in there; beyond `free_names` every failure counts."""

    names: frozenset[str] = frozenset()
    failures: Failures = Failures()


def begun(state: Failures) -> Failures:
    """Return the state while one more attempt is being checked."""
    return replace(state, pending=state.pending + 1)


def given_back(state: Failures) -> Failures:
    """Return the state after an attempt that was no failure, or that could not be checked."""
    return replace(state, pending=max(0, state.pending - 1))


def cleared(state: Failures) -> Failures:
    """Return the state after a success: no failure is left, other attempts are still being checked."""
    return Failures(pending=given_back(state).pending)


def failed(state: Failures, now_ns: int, limits: Limits) -> Failures:
    """Return the state after one more failure."""
    return Failures(_remembered(state, now_ns, limits) + 1, now_ns, given_back(state).pending)


def tried(state: Tried, name: str, now_ns: int, limits: Limits) -> Tried:
    """Return the state of a source after one more failure: a name counts once, because it has its own wait.

    From `free_names` on every failure counts and no further name is kept, so that guessing costs no memory.
    """
    names = state.names if _remembered(state.failures, now_ns, limits) else frozenset()
    if len(names) < limits.free_names:
        if name in names:
            return Tried(names, given_back(state.failures))
        names |= {name}
    return Tried(names, failed(state.failures, now_ns, limits))


def wait_seconds(state: Failures, now_ns: int, limits: Limits, free: int | None = None) -> float:
    """Return for how many seconds the next attempt must wait, 0 for none; `free` failures have no wait."""
    free = limits.free_failures if free is None else free
    count = _remembered(state, now_ns, limits)
    if state.pending and count + state.pending >= free:
        # The attempts that are being checked are decided by then.
        return limits.first_seconds
    beyond = count - free
    if beyond < 0:
        return 0.0
    # 2**64 seconds is above any limit; the exponent is clamped so that a long attack cannot overflow a float.
    penalty = min(limits.longest_seconds, limits.first_seconds * 2.0 ** min(beyond, 64))
    # A clock that is stepped back must not lengthen a wait beyond its penalty.
    elapsed = max(0.0, (now_ns - state.last_ns) / SECOND_NS)
    return max(0.0, penalty - elapsed)


def _remembered(state: Failures, now_ns: int, limits: Limits) -> int:
    return 0 if now_ns - state.last_ns > limits.forget_seconds * SECOND_NS else state.count
