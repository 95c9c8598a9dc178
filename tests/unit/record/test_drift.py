"""Clocks that run too fast or too slow: sound and picture drift apart, and sender reports bring them together again."""

import random

import pytest

from relay.evidence.lipsync import offset_at, sound_shifts
from relay.evidence.records import ClockMap, Link, SyncSource, TrackKind, TrackPart
from relay.record.timeline import SECOND, Timeline

HOURS = 12
UTC = 1_767_225_600 * SECOND
RATES = {TrackKind.VIDEO: 90_000, TrackKind.AUDIO: 48_000}


@pytest.mark.parametrize(("picture_ppm", "sound_ppm"), [(0, 0), (50, -50), (-100, 0), (500, 450), (20, 95)])
def test_sound_and_picture_of_half_a_day_stay_within_40_ms_with_any_crystals(picture_ppm: int, sound_ppm: int) -> None:
    chance = random.Random(picture_ppm * 1000 + sound_ppm)
    pace = {TrackKind.VIDEO: 1 + picture_ppm / 1e6, TrackKind.AUDIO: 1 + sound_ppm / 1e6}
    lines = {kind: Timeline(rate, 0) for kind, rate in RATES.items()}
    links, places = [], []
    for second in range(0, HOURS * 3600, 5):
        at = second * SECOND
        stamps = {kind: round(second * RATES[kind] * pace[kind]) for kind in RATES}
        arrival = {kind: at + chance.randrange(80_000_000) + (kind is TrackKind.AUDIO) * 250_000_000 for kind in RATES}
        times = {kind: lines[kind].place(stamps[kind], arrival[kind]) for kind in RATES}
        assert not any(place.jump for place in times.values())
        places.append((times[TrackKind.VIDEO].time, times[TrackKind.AUDIO].time))
        clocks = []
        for track, kind in enumerate(RATES, 1):
            lines[kind].report(stamps[kind], UTC + at, UTC + at + chance.randrange(80_000_000), 60_000_000)
            fix = lines[kind].take_fix(at, UTC)
            if fix is not None:
                source = SyncSource.SENDER_REPORT if fix.by_report else SyncSource.ARRIVAL
                clocks.append(ClockMap(track, source, fix.wall_ns, fix.rtp, fix.time, fix.offset_ns, fix.uncertainty_ns))
        parts = tuple(TrackPart(n, kind, 1, bytes(32), times[kind].time, 1) for n, kind in enumerate(RATES, 1))
        links.append(Link(second, 0, False, 0, 1, 17, bytes(32), bytes(32), parts, UTC + at, 1, tuple(clocks)))
    shifts = sound_shifts(links)
    worst = max(
        abs(sound * SECOND // 48_000 + offset_at(shifts, sound) - picture * SECOND // 90_000) for picture, sound in places
    )
    assert worst <= 40_000_000
