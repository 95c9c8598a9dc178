"""The vault's files: whole appends or none, order of syncs, reading back."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import Kind, TheirError
from relay.store.vault import CHAIN, AppendFile, FileOps, RecordingWriter, Vault, segment_name, write_file
from tests.support.faulty_disk import FaultyOps, Killed, killing, never

RECORDING = "0" * 31 + "a"


def test_folder_holds_a_chain_and_segments_private_to_the_relay(tmp_path: Path) -> None:
    writer = RecordingWriter(FileOps(), tmp_path / RECORDING)
    assert writer.append_stored(0, b"init") == 0
    assert writer.append_stored(0, b"fragment") == 4
    assert writer.append_stored(1, b"next") == 0
    writer.append_chain(b"record")
    writer.sync()
    writer.close()
    writer.close()
    folder = tmp_path / RECORDING
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        CHAIN: b"record",
        "00000.seg": b"initfragment",
        "00001.seg": b"next",
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_recording_is_never_written_twice(tmp_path: Path) -> None:
    RecordingWriter(FileOps(), tmp_path / RECORDING).close()
    with pytest.raises(FileExistsError):
        RecordingWriter(FileOps(), tmp_path / RECORDING)


def test_media_is_synced_before_the_chain_that_speaks_of_it(tmp_path: Path) -> None:
    synced: list[str] = []

    class LiveView(FileOps):
        def fsync(self, descriptor: int) -> None:
            synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    writer = RecordingWriter(LiveView(), tmp_path / RECORDING)
    writer.append_stored(0, b"a")
    writer.append_chain(b"r")
    writer.append_stored(1, b"b")
    writer.append_chain(b"r")
    writer.sync()
    assert synced == [segment_name(0), segment_name(1), CHAIN]
    writer.sync()
    assert len(synced) == 3
    writer.close()


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.booleans()), max_size=20))
def test_append_that_failed_half_way_leaves_nothing_of_itself(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bytes, bool]]
) -> None:
    path = tmp_path_factory.mktemp("append") / "file"
    failing = False
    ops = FaultyOps(lambda _number, name: errno.ENOSPC if failing and name == "write" else None)
    file = AppendFile(ops, path)
    expected = b""
    for data, fails in steps:
        failing = fails
        try:
            file.append(data)
            expected += data
        except OSError:
            assert fails
        failing = False
    file.close()
    assert path.read_bytes() == expected


@pytest.mark.parametrize("at", range(1, 7))
def test_small_file_is_the_old_or_the_new_one_wherever_the_process_dies(tmp_path: Path, at: int) -> None:
    path = tmp_path / "file"
    write_file(FileOps(), path, b"old")
    try:
        write_file(FaultyOps(killing(at)), path, b"new and longer")
    except Killed:
        assert path.read_bytes() in (b"old", b"new and longer")
    write_file(FileOps(), path, b"third")
    assert path.read_bytes() == b"third"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_reading_back(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", FaultyOps(never))
    vault.prepare()
    vault.prepare()
    writer = RecordingWriter(FileOps(), vault.folder(RECORDING))
    writer.append_stored(0, b"0123456789")
    writer.append_stored(2, b"x")
    writer.append_chain(b"chain")
    writer.close()
    (tmp_path / "vault" / "open-0").mkdir()
    assert vault.recordings() == [RECORDING]
    assert vault.segments(RECORDING) == [0, 2]
    assert b"".join(vault.chain(RECORDING)) == b"chain"
    assert vault.read_stored(RECORDING, 0, 3, 4) == b"3456"
    assert vault.stored_bytes(RECORDING) == 16
    for missing in (lambda: vault.read_stored(RECORDING, 7, 0, 1), lambda: list(vault.chain("b" * 32))):
        with pytest.raises(TheirError) as caught:
            missing()
        assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("name", ["", "../../etc", "A" * 32, "0" * 31, "0" * 33])
def test_only_ids_name_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(TheirError):
        Vault(tmp_path).folder(name)


def test_erasing_is_whole_and_repeatable(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    writer = RecordingWriter(FileOps(), vault.folder(RECORDING))
    writer.append_stored(0, b"x")
    writer.close()
    vault.erase(RECORDING)
    vault.erase(RECORDING)
    assert vault.recordings() == []
