"""Unwrapped keys: a playback asks the token once; what is erased, rotated or old is in nobody's memory."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.base.clock import ManualClock
from relay.base.errors import Kind, OurError, TheirError
from relay.store.key_cache import LIFE, MAX_HELD, KeyCache
from relay.store.keyring import Keyring
from relay.store.wrapping import Kek
from tests.support.faulty_disk import FaultyOps

ONE = "1" * 32
DAY, LATER = "2026-12-22", "2027-06-01"


class Counting:
    """A key-encryption key that counts what it is asked, and does something while it is being asked."""

    def __init__(self, kek: Kek) -> None:
        self._kek = kek
        self.calls = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        self.calls += 1
        return self._kek.wrap(secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        self.calls += 1
        secret = self._kek.unwrap(wrapped, context)
        self.meanwhile()
        return secret


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ring(tmp_path: Path, clock: ManualClock) -> Keyring:
    made = Keyring(tmp_path / "keys")
    made._opened = KeyCache(clock.monotonic)
    return made


def counted(ring: Keyring) -> Counting:
    kek = Counting(ring._kek)
    ring._kek = kek
    return kek


def test_a_thousand_fragments_cost_one_call(ring: Keyring) -> None:
    key = ring.create_recording_key(ONE, DAY)
    kek = counted(ring)
    assert {ring.recording_key(ONE) for _ in range(1000)} == {key}
    assert kek.calls == 1


def test_however_often_it_is_used_a_key_is_unwrapped_anew_after_half_a_minute(ring: Keyring, clock: ManualClock) -> None:
    ring.create_recording_key(ONE, DAY)
    kek = counted(ring)
    for _ in range(7):
        ring.recording_key(ONE)
        clock.advance(LIFE / 3)
    assert kek.calls == 3


def test_what_nobody_asks_for_any_more_is_forgotten_too(ring: Keyring, clock: ManualClock) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    ring.forget_opened()
    assert len(ring._opened) == 1
    clock.advance(LIFE)
    ring.forget_opened()
    assert len(ring._opened) == 0


@pytest.mark.parametrize("erase", [lambda ring: ring.destroy_recording(ONE), lambda ring: ring.destroy_day(DAY)])
def test_an_erased_recordings_key_is_neither_used_nor_in_memory(ring: Keyring, erase: Callable[[Keyring], object]) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    held = ring._opened._held[ONE].key
    erase(ring)
    assert (len(ring._opened), bytes(held)) == (0, bytes(32))
    with pytest.raises(TheirError) as caught:
        ring.recording_key(ONE)
    assert caught.value.kind is Kind.GONE


def test_an_erasure_while_the_token_thinks_leaves_nothing_in_memory(ring: Keyring) -> None:
    ring.create_recording_key(ONE, DAY)
    kek = counted(ring)
    kek.meanwhile = lambda: ring.destroy_recording(ONE)
    ring.recording_key(ONE)
    assert len(ring._opened) == 0
    with pytest.raises(TheirError):
        ring.recording_key(ONE)


def test_an_erasure_that_the_disk_refuses_is_forgotten_all_the_same(ring: Keyring) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    ring._ops = FaultyOps(lambda number, name: errno.EIO)
    with pytest.raises(OSError, match="EIO"):
        ring.destroy_recording(ONE)
    assert len(ring._opened) == 0


def test_a_rotation_forgets_everything(ring: Keyring) -> None:
    key = ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    ring.rotate_kek()
    assert len(ring._opened) == 0
    assert ring.recording_key(ONE) == key


def test_a_held_recording_is_opened_under_its_later_day(ring: Keyring) -> None:
    key = ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    ring.rewrap(ONE, LATER)
    kek = counted(ring)
    assert (ring.recording_key(ONE), ring.recording_key(ONE), kek.calls) == (key, key, 1)


@pytest.mark.parametrize("name", [f"wrapped/{DAY}/{ONE}.key", f"days/{DAY}.key"])
def test_a_file_that_was_damaged_since_is_not_passed_over(ring: Keyring, tmp_path: Path, name: str) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    path = tmp_path / "keys" / name
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(OurError):
        ring.recording_key(ONE)


def test_no_more_than_a_few_are_held_and_the_oldest_goes_first(clock: ManualClock) -> None:
    opened = KeyCache(clock.monotonic)
    names = [f"{number:032x}" for number in range(MAX_HELD + 3)]
    for name in names:
        opened.keep(name, (name.encode(),), bytes(32), opened.mark())
    assert len(opened) == MAX_HELD
    assert [opened.get(name, (name.encode(),)) is not None for name in names] == [False] * 3 + [True] * MAX_HELD
