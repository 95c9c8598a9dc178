"""Unwrapped keys: a playback asks the token once; a key that was erased, rotated or is old is not in memory."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.base.clock import ManualClock
from relay.base.errors import Kind, OurError, TheirError
from relay.store.key_cache import LIFE_SECONDS, MAX_HELD, KeyCache
from relay.store.keyring import Keyring
from tests.support.faulty_disk import FaultyOps
from tests.support.memory_token import MemoryPlaces, MemoryToken

ONE = "1" * 32
DAY, LATER = "2026-12-22", "2027-06-01"


class WatchedCache(KeyCache):
    """A cache of which a test sees the bytes that it took over."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock.monotonic)
        self.taken: list[bytearray] = []

    def keep(self, recording: str, wrapped: tuple[bytes, ...], key: bytearray, mark: int) -> None:
        self.taken.append(key)
        super().keep(recording, wrapped, key, mark)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> WatchedCache:
    return WatchedCache(clock)


@pytest.fixture
def token() -> MemoryToken:
    return MemoryToken()


@pytest.fixture
def ring(tmp_path: Path, cache: WatchedCache, token: MemoryToken) -> Keyring:
    return Keyring(tmp_path / "keys", places=MemoryPlaces(memory=token), cache=cache)


def test_a_thousand_fragments_cost_one_call(ring: Keyring, token: MemoryToken) -> None:
    key = ring.create_recording_key(ONE, DAY)
    token.kek_calls = 0
    assert {ring.recording_key(ONE) for _ in range(1000)} == {key}
    assert token.kek_calls == 1


def test_however_often_it_is_used_a_key_is_unwrapped_anew_after_half_a_minute(
    ring: Keyring, token: MemoryToken, clock: ManualClock
) -> None:
    ring.create_recording_key(ONE, DAY)
    token.kek_calls = 0
    for _ in range(7):
        ring.recording_key(ONE)
        clock.advance(LIFE_SECONDS / 3)
    assert token.kek_calls == 3


def test_what_nobody_asks_for_any_more_is_forgotten_too(ring: Keyring, clock: ManualClock) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    ring.forget_old_keys()
    assert ring.keys_in_memory == 1
    clock.advance(LIFE_SECONDS)
    ring.forget_old_keys()
    assert ring.keys_in_memory == 0


@pytest.mark.parametrize("erase", [lambda ring: ring.destroy_recording(ONE), lambda ring: ring.destroy_day(DAY)])
def test_an_erased_recordings_key_is_neither_used_nor_in_memory(
    ring: Keyring, cache: WatchedCache, erase: Callable[[Keyring], object]
) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    held = cache.taken[-1]
    erase(ring)
    assert (ring.keys_in_memory, bytes(held)) == (0, bytes(32))
    with pytest.raises(TheirError) as caught:
        ring.recording_key(ONE)
    assert caught.value.kind is Kind.GONE


def test_an_erasure_while_the_token_thinks_leaves_nothing_in_memory(ring: Keyring, token: MemoryToken) -> None:
    ring.create_recording_key(ONE, DAY)
    token.meanwhile = lambda: ring.destroy_recording(ONE)
    ring.recording_key(ONE)
    assert ring.keys_in_memory == 0
    with pytest.raises(TheirError):
        ring.recording_key(ONE)


def test_an_erasure_that_the_disk_refuses_is_forgotten_all_the_same(
    ring: Keyring, cache: WatchedCache, token: MemoryToken, tmp_path: Path
) -> None:
    ring.create_recording_key(ONE, DAY)
    failing = FaultyOps(lambda number, name: errno.EIO)
    ring = Keyring(tmp_path / "keys", failing, MemoryPlaces(memory=token), cache)
    ring.recording_key(ONE)
    with pytest.raises(OSError, match="EIO"):
        ring.destroy_recording(ONE)
    assert ring.keys_in_memory == 0


def test_a_rotation_forgets_everything(ring: Keyring) -> None:
    key = ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    ring.rotate_kek()
    assert ring.keys_in_memory == 0
    assert ring.recording_key(ONE) == key


def test_a_held_recording_is_opened_under_its_later_day(ring: Keyring, token: MemoryToken) -> None:
    key = ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    ring.rewrap(ONE, LATER)
    token.kek_calls = 0
    assert (ring.recording_key(ONE), ring.recording_key(ONE), token.kek_calls) == (key, key, 1)


@pytest.mark.parametrize("name", [f"wrapped/{DAY}/{ONE}.key", f"days/{DAY}.key"])
def test_a_file_that_was_damaged_since_is_not_passed_over(ring: Keyring, tmp_path: Path, name: str) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.recording_key(ONE)
    path = tmp_path / "keys" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(OurError):
        ring.recording_key(ONE)


def test_no_more_than_a_few_are_held_and_the_oldest_goes_first(clock: ManualClock) -> None:
    opened = KeyCache(clock.monotonic)
    names = [f"{number:032x}" for number in range(MAX_HELD + 3)]
    for name in names:
        opened.keep(name, (name.encode(),), bytearray(32), opened.mark())
    assert len(opened) == MAX_HELD
    assert [opened.get(name, (name.encode(),)) is not None for name in names] == [False] * 3 + [True] * MAX_HELD
