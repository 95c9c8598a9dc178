"""One calendar month is not thirty days, and it runs from the Paris day of recording."""

import calendar
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.clock import PARIS, SECOND_NS, paris_day
from relay.base.errors import TheirError
from relay.policy.regimes import Regime
from relay.policy.retention import add_months, due_ns, expires_on, is_due, journal_purge_ns, lateness_seconds

DAYS = st.dates(date(2020, 1, 1), date(2099, 12, 31))
INSTANTS = st.integers(1_577_836_800 * SECOND_NS, 4_000_000_000 * SECOND_NS)


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * SECOND_NS


@pytest.mark.parametrize(
    ("recorded", "expires"),
    [
        ("2026-02-10T12:00+01:00", "2026-03-10"),
        ("2026-01-29T12:00+01:00", "2026-02-28"),
        ("2026-01-30T12:00+01:00", "2026-02-28"),
        ("2026-01-31T12:00+01:00", "2026-02-28"),
        ("2028-01-31T12:00+01:00", "2028-02-29"),
        ("2028-02-29T12:00+01:00", "2028-03-29"),
        ("2026-02-28T12:00+01:00", "2026-03-28"),
        ("2026-12-31T12:00+01:00", "2027-01-31"),
        ("2026-05-31T23:59+02:00", "2026-06-30"),
        ("2026-06-01T00:00+02:00", "2026-07-01"),
        ("2026-03-29T01:59+01:00", "2026-04-29"),
        ("2026-03-29T03:00+02:00", "2026-04-29"),
        ("2026-10-25T02:30+02:00", "2026-11-25"),
        ("2026-10-25T02:30+01:00", "2026-11-25"),
        ("2026-07-14T23:30+00:00", "2026-08-15"),
    ],
)
def test_the_term_is_one_calendar_month_after_the_paris_day(recorded: str, expires: str) -> None:
    assert expires_on("bodycam_pm", _ns(recorded)).isoformat() == expires


@given(INSTANTS)
def test_no_recording_outlives_one_calendar_month(now_ns: int) -> None:
    day, term = paris_day(now_ns), expires_on("bodycam_pm", now_ns)
    assert 28 <= (term - day).days <= 31
    last_day = calendar.monthrange(term.year, term.month)[1]
    assert term.day == min(day.day, last_day)
    assert (term.year * 12 + term.month) - (day.year * 12 + day.month) == 1


@given(INSTANTS, INSTANTS)
def test_later_recordings_never_expire_earlier(first: int, second: int) -> None:
    early, late = sorted((first, second))
    assert expires_on("bodycam_pm", early) <= expires_on("bodycam_pm", late)


@given(DAYS)
def test_a_recording_is_due_from_the_first_instant_of_its_paris_day_on(day: date) -> None:
    start = due_ns(day)
    assert paris_day(start) == day
    assert paris_day(start - 1_000) == day - timedelta(days=1)
    assert datetime.fromtimestamp(start / SECOND_NS, PARIS).hour == 0
    assert (is_due(day, start - 1), is_due(day, start)) == (False, True)


@given(DAYS, st.integers(0, 400 * 86_400))
def test_an_erasure_is_late_only_after_its_day_is_over(day: date, seconds: int) -> None:
    now_ns = due_ns(day) + seconds * SECOND_NS
    assert (lateness_seconds(day, now_ns) > 0) == (now_ns - due_ns(day + timedelta(days=1)) >= SECOND_NS)


@given(DAYS, st.integers(-40 * 86_400, 400 * 86_400), st.integers(0, 400 * 86_400))
def test_what_was_held_has_a_day_from_its_lifting_and_never_less_than_its_own(day: date, lifted: int, after: int) -> None:
    lifted_ns = due_ns(day) + lifted * SECOND_NS
    now_ns = max(lifted_ns, due_ns(day)) + after * SECOND_NS
    day_after_ns = lifted_ns + 86_400 * SECOND_NS
    late = lateness_seconds(day, now_ns, lifted_ns)
    assert late == min(lateness_seconds(day, now_ns), max(0, (now_ns - day_after_ns) // SECOND_NS))


@given(DAYS, st.integers(0, 60), st.integers(0, 60))
def test_months_add_up_on_days_that_every_month_has(day: date, first: int, second: int) -> None:
    day = day.replace(day=min(day.day, 28))
    assert add_months(add_months(day, first), second) == add_months(day, first + second)


@pytest.mark.parametrize(
    ("regime", "term"),
    [
        (Regime.BODYCAM_PN_GN, "2026-02-15"),
        (Regime.BODYCAM_SIS, "2026-07-15"),
        (Regime.EMBARQUEE, "2026-01-22"),
        (Regime.VIDEOPROTECTION, "2026-02-15"),
    ],
)
def test_each_regime_has_its_own_term(regime: Regime, term: str) -> None:
    assert expires_on(regime.value, _ns("2026-01-15T10:00+01:00")).isoformat() == term


@given(st.integers(0, 400))
def test_a_prefects_act_can_only_shorten(days: int) -> None:
    at = _ns("2026-01-15T10:00+01:00")
    assert expires_on("videoprotection", at, days) == min(
        expires_on("videoprotection", at), date(2026, 1, 15) + timedelta(days)
    )


def test_an_unknown_regime_has_no_term() -> None:
    with pytest.raises(TheirError):
        expires_on("dashcam", 0)


@pytest.mark.parametrize(("at", "gone"), [("2026-05-10T12:00+02:00", "2029-05-10"), ("2028-02-29T12:00+01:00", "2031-02-28")])
def test_journal_entries_are_kept_three_calendar_years(at: str, gone: str) -> None:
    assert journal_purge_ns(_ns(at)) == due_ns(date.fromisoformat(gone))
