"""The forecast of the disk: which rate counts, when there is none, how often pages are notified."""

import pytest

from relay.live.disk import LONG_SPAN_SECONDS, SHORT_SPAN_SECONDS, Disk, Outlook, Trend

GIB = 1 << 30
DAY = 86_400.0


def filling(disk: Disk, free: float, rate: float, seconds: float, step: float = 10, start: float = 0.0) -> float:
    """Report each `step` seconds while `rate` bytes a second are written; return what is free at the end."""
    now = start
    while now <= start + seconds:
        disk.take(0, "ok", int(free - rate * (now - start)), now)
        now += step
    return free - rate * seconds


def test_a_disk_that_fills_is_forecast_to_be_full_when_it_will_be() -> None:
    disk = Disk()
    filling(disk, 100 * GIB, 1_000_000, 600)
    assert disk.outlook.full_in == pytest.approx(disk.outlook.free / 1_000_000, rel=0.01)


def test_a_busy_night_counts_although_the_day_was_quiet() -> None:
    disk = Disk()
    free = filling(disk, 100 * GIB, 10_000, DAY, 60)
    forecast = disk.outlook.full_in
    filling(disk, free, 5_000_000, 600, start=DAY + 10)
    assert forecast is not None
    assert disk.outlook.full_in is not None
    assert forecast > 100 * DAY
    assert disk.outlook.full_in < 0.3 * DAY


def test_a_quiet_hour_does_not_hide_what_the_days_cost() -> None:
    disk = Disk()
    free = filling(disk, 100 * GIB, 500_000, DAY / 2, 60)
    filling(disk, free, 0, 3600, start=DAY / 2 + 10)
    assert disk.outlook.full_in is not None
    assert 1 * DAY < disk.outlook.full_in < 3 * DAY


@pytest.mark.parametrize(("rate", "seconds"), [(0, 600), (-1_000_000, 600), (1_000_000, 290), (100, 600)])
def test_nothing_is_forecast_of_a_disk_that_does_not_fill_or_is_hardly_known(rate: float, seconds: float) -> None:
    disk = Disk()
    filling(disk, 100 * GIB, rate, seconds)
    assert disk.outlook.full_in is None


def test_the_worst_of_several_recorders_is_reported_and_the_least_room() -> None:
    disk = Disk()
    disk.take(0, "ok", 5 * GIB, 0.0)
    disk.take(1, "stalled", 4 * GIB, 0.0)
    assert disk.outlook == Outlook("stalled", 4 * GIB, None)
    disk.take(1, "ok", 4 * GIB, 1.0)
    assert disk.outlook.state == "ok"


def test_a_disk_that_is_gone_does_not_spoil_the_rate() -> None:
    disk = Disk()
    free = filling(disk, 100 * GIB, 1_000_000, 600)
    disk.take(0, "gone", 0, 610.0)
    disk.take(0, "ok", int(free), 620.0)
    assert disk.outlook.full_in == pytest.approx(free / 1_000_000, rel=0.1)


def test_pages_hear_of_what_a_person_would_read_differently_only() -> None:
    disk = Disk()
    heard: list[Outlook] = []
    disk.on_change.append(heard.append)
    filling(disk, 100 * GIB, 1000, 600, 1)
    assert len(heard) == 1
    disk.take(0, "full", 0, 601.0)
    assert [outlook.state for outlook in heard] == ["ok", "full"]


def test_samples_are_bounded() -> None:
    trend = Trend(10.0, SHORT_SPAN_SECONDS)
    for second in range(int(LONG_SPAN_SECONDS)):
        trend.take(float(second), GIB)
    assert len(trend) == SHORT_SPAN_SECONDS / 10 + 1
