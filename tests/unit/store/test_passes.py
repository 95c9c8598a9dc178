"""What processes show each other: the same after a restart, another one for each door, damaged keys refused."""

from pathlib import Path

import pytest

from relay.base.errors import OurError
from relay.store.passes import CONSOLE, NAME, Passes, console_pass, control_of, tap_of


def test_passes_are_the_same_after_a_restart_and_differ_by_door_and_installation(tmp_path: Path) -> None:
    doors = [CONSOLE, *(control_of(name) for name in ("worker-0", "worker-1", "recorder-0")), tap_of(0), tap_of(1)]
    first, other = Passes(tmp_path / "a"), Passes(tmp_path / "b")
    made = [first.of(door) for door in doors]
    assert [len(each) for each in made] == [32] * len(doors)
    assert len({*made, *(other.of(door) for door in doors)}) == 2 * len(doors)
    assert [Passes(tmp_path / "a").of(door) for door in doors] == made


def test_the_key_is_for_its_owner_only_and_is_no_pass(tmp_path: Path) -> None:
    passes = Passes(tmp_path)
    assert (tmp_path / NAME).stat().st_mode & 0o077 == 0
    assert passes.of(CONSOLE) != (tmp_path / NAME).read_bytes()


def test_a_command_reads_the_consoles_pass_and_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(OurError, match="the relay's own user"):
        console_pass(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Passes(tmp_path).of(CONSOLE) == console_pass(tmp_path)


def test_a_damaged_key_is_named_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"short")
    for read in (Passes, console_pass):
        with pytest.raises(OurError, match="the next start makes another"):
            read(tmp_path)
