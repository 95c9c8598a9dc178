"""The vault thread with a slow, a full and a vanished disk: no caller waits, each gap is signed, no nonce is used twice."""

import contextlib
import errno
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay.base.clock import Clock, SystemClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.evidence import seal
from relay.evidence.chain import Cause, Gap, Link, iterate
from relay.recorder import backlog, group_sync, sealing, vault_disk, writer
from relay.recorder.disk_state import report
from relay.recorder.jobs import GapSealed, Job, OpenJob, Progress, RecordingEnded, SegmentEnded, VaultEvent
from relay.recorder.writer import VaultThread, WriterSettings
from relay.store.vault import CHAIN, FileOps
from tests.support.faulty_disk import FaultyOps, HeldMedia, SmallDisk, never
from tests.support.sealing import KEY, RECORDING, T0, finish, gap_job, judge, media, plan, session

STEP = 400_000_000
"""Nanoseconds from one fragment to the next."""


class Jumping(SystemClock):
    """The machine's clock, which a test may put forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


class Bench:
    """A vault thread and its events."""

    def __init__(self, root: Path, ops: FileOps, clock: Clock, *, reserve: int = 4096, keep: int = 0) -> None:
        self.root = root
        self.events: queue.Queue[VaultEvent] = queue.Queue()
        self.counters = Counters()
        settings = WriterSettings(root, 0, sync_seconds=0.01, backlog_seconds=10.0, reserve_bytes=reserve, keep_free_bytes=keep)
        self.thread = VaultThread(settings, session(), clock, self.counters, self.events.put, ops)
        self.thread.start()

    def open(self, recording: str = RECORDING, previous: str | None = None) -> Exception | None:
        answered: queue.Queue[Exception | None] = queue.Queue()
        self.thread.put(OpenJob(plan(recording, previous=previous), KEY, answered.put))
        return answered.get(timeout=20)

    def put(self, *jobs: Job) -> None:
        for job in jobs:
            self.thread.put(job)

    def wait(self, kind: type, when: Callable[[VaultEvent], bool] = lambda _event: True) -> VaultEvent:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            event = self.events.get(timeout=20)
            if isinstance(event, kind) and when(event):
                return event
        raise AssertionError(f"no {kind.__name__}")

    def stored(self, number: int) -> bool:
        """Wait until fragment `number` is stored, or the disk is full."""
        until = time.monotonic() + 20
        while time.monotonic() < until and self.disk() != "full":
            with contextlib.suppress(queue.Empty):
                event = self.events.get(timeout=0.05)
                if isinstance(event, Progress) and event.links > number:
                    return True
        return False

    def disk(self) -> str:
        return report(self.thread.state, free_bytes=1, slow=False)

    def waiting(self) -> list[VaultEvent]:
        """Take the events that nobody has waited for."""
        reported = []
        with contextlib.suppress(queue.Empty):
            while True:
                reported.append(self.events.get_nowait())
        return reported

    def until(self, condition: Callable[[], object]) -> None:
        until, moment = time.monotonic() + 20, threading.Event()
        while not condition():
            assert time.monotonic() < until
            moment.wait(0.005)

    def gaps(self, recording: str = RECORDING) -> list[Gap]:
        bodies = [record.body for record in iterate((self.root / recording / CHAIN).read_bytes())]
        return [body for body in bodies if isinstance(body, Gap)]


@pytest.fixture
def encrypted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, str, int]]:
    """Every (key, recording, number) that was given to the cipher."""
    used: list[tuple[bytes, str, int]] = []
    real = seal.encrypt_fragment

    def noting(key: bytes, recording: str, fragment: int, plain: bytes) -> bytes:
        used.append((key, recording, fragment))
        return real(key, recording, fragment, plain)

    monkeypatch.setattr(sealing, "encrypt_fragment", noting)
    return used


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(ops: FileOps | None = None, clock: Clock | None = None, **options: int) -> Bench:
        made.append(Bench(tmp_path, ops or FileOps(), clock or SystemClock(), **options))
        return made[-1]

    yield make
    for one in made:
        one.thread.stop(10)


def test_recording_is_written_sealed_and_reported(bench: Callable[..., Bench], tmp_path: Path) -> None:
    one = bench()
    assert one.open() is None
    one.put(*(media(number, segment=number // 2) for number in range(4)), gap_job(4), finish(5))
    finished = one.wait(RecordingEnded)
    reported = []
    while not one.events.empty():
        reported.append(one.events.get())
    assert isinstance(finished, RecordingEnded)
    assert (finished.links, finished.gaps, finished.duration_ns) == (4, 1, 1_600_000_000)
    verdict = judge(tmp_path)
    assert (verdict.exit_code, verdict.fragments, verdict.head) == (0, 4, finished.head.hex())


def test_recording_lasts_from_its_first_sample_to_its_last_at_any_cadence(bench: Callable[..., Bench], tmp_path: Path) -> None:
    one = bench()
    one.open()
    one.put(*(media(number) for number in (2, 3, 9)))
    one.put(finish(10))
    finished = one.wait(RecordingEnded)
    assert isinstance(finished, RecordingEnded)
    assert finished.duration_ns == 8 * 400_000_000


def test_segment_is_reported_only_when_it_is_whole_and_synced(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.open()
    one.put(media(0), media(1), media(2, segment=1))
    sealed = one.wait(SegmentEnded)
    assert isinstance(sealed, SegmentEnded)
    assert (sealed.segment, sealed.first_link, sealed.last_link) == (0, 0, 1)
    one.put(finish(3))
    last = one.wait(SegmentEnded)
    assert isinstance(last, SegmentEnded)
    assert (last.segment, last.first_link, last.last_link) == (1, 2, 2)


def test_start_names_the_recording_before_where_its_head_is_known(bench: Callable[..., Bench], tmp_path: Path) -> None:
    one = bench()
    one.open()
    one.put(finish(0))
    finished = one.wait(RecordingEnded)
    assert isinstance(finished, RecordingEnded)
    following, orphan = "0" * 31 + "2", "0" * 31 + "3"
    assert one.open(following, RECORDING) is None
    assert one.open(orphan, "f" * 32) is None
    starts = [next(iterate((tmp_path / name / CHAIN).read_bytes())).body for name in (following, orphan)]
    assert [(getattr(start, "previous_recording"), getattr(start, "previous_head")) for start in starts] == [  # noqa: B009
        (RECORDING, finished.head),
        (None, None),
    ]


def test_stalled_disk_holds_nobody_up_and_what_waited_is_stored_when_it_is_back(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    stalled, released = threading.Event(), threading.Event()

    class Stalling(FileOps):
        def write(self, descriptor: int, data: bytes) -> int:
            if stalled.is_set():
                assert released.wait(20)
            return super().write(descriptor, data)

    one = bench(Stalling())
    one.open()
    stalled.set()
    one.put(*(media(number) for number in range(20)))
    assert one.thread.backlog_bytes >= 19 * 200
    released.set()
    one.put(finish(20))
    one.wait(RecordingEnded)
    assert judge(tmp_path).fragments == 20
    assert one.gaps() == []


def test_media_that_waited_longer_than_the_backlog_becomes_one_signed_gap(bench: Callable[..., Bench], tmp_path: Path) -> None:
    clock = Jumping()
    broken = threading.Event()
    ops = FaultyOps(lambda _number, name: errno.EIO if broken.is_set() and name == "write" else None)
    one = bench(ops, clock)
    one.open()
    one.put(media(0, queued=clock.monotonic()))
    one.wait(Progress, lambda event: isinstance(event, Progress) and event.links == 1)
    broken.set()
    one.put(*(media(number, queued=clock.monotonic()) for number in range(1, 6)))
    clock.advance(11)
    one.put(*(media(number, queued=clock.monotonic()) for number in range(30, 40)))
    clock.advance(1)
    broken.clear()
    one.put(media(40, queued=clock.monotonic()), finish(41))
    one.wait(RecordingEnded)
    (gap,) = one.gaps()
    lost = one.counters.values["vault_dropped"]
    assert lost >= 10
    assert (gap.cause, gap.detail) == (Cause.DISK, f"the disk did not take it ({lost} fragments)")
    assert (gap.start_ns, gap.length_ns) == (T0 + 30 * STEP, lost * STEP - 1_000_000)
    verdict = judge(tmp_path)
    assert (verdict.exit_code, verdict.integrity) == (0, "intact")


def test_full_disk_still_takes_gaps_and_the_end_and_media_again_once_there_is_room(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: list[tuple[bytes, str, int]]
) -> None:
    monkeypatch.setattr(vault_disk, "ROOM", 20_000)
    clock = Jumping()
    disk = SmallDisk(tmp_path, 100_000)
    one = bench(disk, clock, reserve=16_000)
    one.open()
    stored = 0
    for number in range(40):
        one.put(media(number, queued=clock.monotonic(), size=4000))
        clock.advance(0.4)
    clock.advance(11)
    nothing = gap_job(40)
    nothing.length_ns *= 10
    one.put(nothing)
    one.wait(GapSealed, lambda event: isinstance(event, GapSealed) and event.gap.cause is Cause.RADIO)
    assert one.disk() != "ok"
    assert not (tmp_path / "reserve-0").exists()
    disk.capacity = 400_000
    while one.disk() != "ok":
        one.put(gap_job(42))
        one.wait(Progress)
    stored = one.counters.values["vault_dropped"]
    one.put(*(media(number, queued=clock.monotonic(), size=4000) for number in range(50, 60)), finish(60))
    one.wait(RecordingEnded)
    assert stored > 0
    assert {gap.cause for gap in one.gaps()} >= {Cause.DISK}
    verdict = judge(tmp_path)
    assert (verdict.exit_code, verdict.integrity) == (0, "intact")
    assert len(set(encrypted)) == len(encrypted)
    assert (tmp_path / "reserve-0").stat().st_size == 16_000


def test_media_leaves_room_to_others_and_is_taken_again_once_there_is_more(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_disk, "ROOM", 20_000)
    clock, kept = Jumping(), 50_000
    disk = SmallDisk(tmp_path, 200_000)
    one = bench(disk, clock, reserve=16_000, keep=kept)
    one.open()
    for number in range(100):
        one.put(media(number, queued=clock.monotonic(), size=4000))
        if not one.stored(number):
            break
    assert kept - 3 * 4000 - 16_000 < disk.free(tmp_path) < kept
    assert isinstance(one.open("f" * 32), OurError), "no new recording where there is no room"
    clock.advance(11)
    one.put(media(number + 1, queued=clock.monotonic(), size=4000))
    disk.capacity += 100_000
    while one.disk() != "ok":
        one.put(gap_job(number + 2))
        one.wait(Progress)
    one.put(media(number + 3, queued=clock.monotonic(), size=4000), finish(number + 4))
    one.wait(RecordingEnded)
    assert judge(tmp_path).exit_code == 0


def test_what_a_full_disk_does_not_take_is_one_gap_or_one_every_ten_seconds(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_disk, "ROOM", 20_000)
    monkeypatch.setattr(group_sync, "OPEN_GAP_SECONDS", math.inf)
    clock, disk = Jumping(), SmallDisk(tmp_path, 200_000)
    one = bench(disk, clock, reserve=16_000, keep=50_000)
    one.open()
    one.put(media(0, queued=clock.monotonic()))
    one.wait(Progress, lambda event: isinstance(event, Progress) and event.links == 1)
    disk.capacity -= disk.free(tmp_path) - 20_000
    one.until(lambda: 0 < one.thread.free_bytes < 50_000)
    for number in range(1, 6):
        one.put(media(number, queued=clock.monotonic()))
    clock.advance(11)
    one.until(lambda: one.counters.values["vault_dropped"] == 5)
    monkeypatch.setattr(group_sync, "OPEN_GAP_SECONDS", 10.0)

    def signed() -> bool:
        clock.advance(5)
        return any(isinstance(event, GapSealed) for event in one.waiting())

    one.until(signed)
    monkeypatch.setattr(group_sync, "OPEN_GAP_SECONDS", math.inf)  # however slow this machine is
    one.put(*(media(number, queued=clock.monotonic()) for number in range(6, 9)))
    one.until(lambda: one.counters.values["vault_dropped"] == 8)
    disk.capacity = 400_000
    one.until(lambda: one.disk() == "ok")
    one.put(media(9, queued=clock.monotonic()), finish(10))
    finished = one.wait(RecordingEnded)
    assert isinstance(finished, RecordingEnded)
    assert (finished.links, finished.gaps) == (2, 2)
    assert [(gap.start_ns - T0, gap.length_ns, gap.cause) for gap in one.gaps()] == [
        (1 * STEP, 5 * STEP - 1_000_000, Cause.DISK),
        (6 * STEP, 3 * STEP - 1_000_000, Cause.DISK),
    ]
    assert judge(tmp_path).exit_code == 0


def test_an_init_segment_that_a_full_disk_did_not_take_is_stored_before_the_fragments_that_need_it(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_BYTES", 500)
    held = threading.Event()

    one = bench(HeldMedia(held))
    one.open()
    one.put(media(0), media(1))
    one.put(replace(media(2, segment=1), init=True, tracks=(), length_ns=0), media(2, segment=1), media(3, segment=1))
    held.set()
    one.until(lambda: one.thread.backlog_bytes == 0)
    one.put(media(4, segment=1), finish(5))
    one.wait(RecordingEnded)
    links = [record.body for record in iterate((tmp_path / RECORDING / CHAIN).read_bytes())]
    assert [(link.segment, link.init) for link in links if isinstance(link, Link)] == [
        (0, False),
        (0, False),
        (1, True),
        (1, False),
    ]


def test_cameras_that_lose_together_have_one_gap_each(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_BYTES", 500)
    held, other = threading.Event(), "f" * 32

    one = bench(HeldMedia(held))
    one.open()
    one.open(other)
    for number in range(20):
        one.put(media(number), media(number, recording=other))
    assert one.thread.waiting_jobs <= 5, "one that is stored of each, one gap of each, and perhaps still an opening"
    held.set()
    one.put(finish(20), finish(20, other))
    one.wait(RecordingEnded)
    one.wait(RecordingEnded)
    assert [(gap.start_ns - T0, gap.length_ns) for gap in one.gaps()] == [(STEP, 19 * STEP - 1_000_000)]
    assert one.gaps(other) == one.gaps()


def test_faults_anywhere_never_use_a_nonce_twice_nor_leave_an_unexplained_gap(
    bench: Callable[..., Bench], tmp_path: Path, encrypted: list[tuple[bytes, str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fifth write, fsync and open fails once, each in its turn."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.001)
    failing = threading.Event()
    codes = (errno.EIO, errno.ENOSPC, errno.EROFS)

    def plan_of(number: int, name: str) -> int | None:
        refused = failing.is_set() and number % 5 == 0 and name in ("write", "fsync", "open", "truncate")
        return codes[number % 2] if refused else None

    one = bench(FaultyOps(plan_of))
    one.open()
    failing.set()
    one.put(*(media(number, segment=number // 7) for number in range(40)), finish(40))
    one.wait(RecordingEnded)
    failing.clear()
    assert len(set(encrypted)) == len(encrypted)
    verdict = judge(tmp_path)
    assert (verdict.exit_code, verdict.integrity) == (0, "intact")
    assert one.counters.values["vault_errors"] > 0


def test_opening_on_a_dead_disk_is_refused_and_leaves_nothing(bench: Callable[..., Bench], tmp_path: Path) -> None:
    dead = threading.Event()
    ops = FaultyOps(lambda _number, name: errno.EROFS if dead.is_set() and name in ("mkdir", "open") else None)
    one = bench(ops)
    dead.set()
    assert one.open() is not None
    dead.clear()
    assert one.open() is None
    assert [path.name for path in tmp_path.glob("open-0/*")] == [RECORDING]


def test_backlog_is_bounded_in_bytes(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_BYTES", 1000)
    held = threading.Event()

    one = bench(HeldMedia(held))
    one.open()
    one.put(*(media(number) for number in range(50)))
    assert one.thread.backlog_bytes <= 1000
    assert one.thread.waiting_jobs <= 7
    held.set()
    one.put(finish(50))
    one.wait(RecordingEnded)
    (gap,) = one.gaps()
    assert gap.cause is Cause.DISK


def test_stop_carries_out_what_waits(bench: Callable[..., Bench], tmp_path: Path) -> None:
    one = bench(FaultyOps(never))
    one.open()
    one.put(*(media(number) for number in range(10)), finish(10))
    assert one.thread.stop(20)
    assert judge(tmp_path).exit_code == 0
