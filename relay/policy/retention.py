"""When a recording must be erased (RET-01, VID-04), and what a hold changes (RET-02).

Owns: calendar arithmetic.  Must never know: files, keys, the database, the clock but the `now` it is given.
The day of recording is the civil day in Europe/Paris on which the recording *started*; midnight does not split it (LAW.md T2).
A recording is due at the start of its expiry day, Paris time (LAW.md, open point 3, the strict reading).
"""

import calendar
from datetime import UTC, date, datetime, time, timedelta

from relay.base.clock import PARIS, SECOND_NS, paris_day
from relay.policy.regimes import Regime, rules_of

LIFTED_SECONDS = 86_400
"""RET-02: a recording whose last hold is lifted after its term is erased within a day."""
JOURNAL_YEARS = 3
"""JRN-03: the journal is kept three years (R241-5, R241-14)."""


def add_months(day: date, months: int) -> date:
    """Return the same day number `months` later, clamped to that month's last day (31 January + 1 → 28 or 29 February)."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month0 + 1, min(day.day, calendar.monthrange(year, month0 + 1)[1]))


def expires_on(regime: str, started_ns: int, prefect_days: int | None = None) -> date:
    """RET-01, VID-04: return the Paris day at whose start a recording begun at `started_ns` (UTC ns) is due.

    `prefect_days` is the shorter term of the prefect's act for videoprotection; it can only shorten.
    Raises TheirError(INVALID) for an unknown regime.
    """
    rules = rules_of(regime)
    day = paris_day(started_ns)
    if rules.retention_months is not None:
        term = add_months(day, rules.retention_months)
    else:
        term = day + timedelta(days=rules.retention_days or 0)
    if prefect_days is None or rules.regime is not Regime.VIDEOPROTECTION:
        return term
    return min(term, day + timedelta(days=prefect_days))


def due_ns(day: date) -> int:
    """Return the UTC nanosecond at which the Paris day begins: from then on the recording must be erased."""
    return int(datetime.combine(day, time(), PARIS).astimezone(UTC).timestamp()) * SECOND_NS


def is_due(day: date, now_ns: int) -> bool:
    """Return whether a recording expiring on `day` must be erased at `now_ns`."""
    return now_ns >= due_ns(day)


def lateness_seconds(day: date, now_ns: int, lifted_ns: int | None = None) -> int:
    """Return by how many whole seconds an erasure at `now_ns` is after the *end* of the expiry day (0: in time).

    Retention runs at least daily, so an erasure within the expiry day is in time.  RET-02: a recording that was held is in time
    until 24 hours after `lifted_ns`, the instant at which its last hold was lifted.
    """
    limit_ns = due_ns(day + timedelta(days=1))
    if lifted_ns is not None:
        limit_ns = max(limit_ns, lifted_ns + LIFTED_SECONDS * SECOND_NS)
    return max(0, (now_ns - limit_ns) // SECOND_NS)


def journal_purge_ns(at_ns: int) -> int:
    """JRN-03: return the instant (UTC ns) from which a journal entry of `at_ns` may lose its body."""
    return due_ns(add_months(paris_day(at_ns), 12 * JOURNAL_YEARS))
