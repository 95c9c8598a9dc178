"""The data folder is closed to others, or the relay says what to do."""

import stat
from pathlib import Path

import pytest

from relay.app.private import make_private
from relay.base.errors import OurError
from relay.runtime.cage import code_folders


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_data_folder_is_private(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "data")
    assert _mode(tmp_path / "a" / "data") == 0o700


def test_what_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "keys").mkdir(parents=True)
    names = ("settings.toml", "relay.db", "relay.db-wal", "relay.db-shm")
    for name in names:
        (data / name).touch()
        (data / name).chmod(0o664)
    data.chmod(0o755)
    make_private(data)
    assert {_mode(data / name) for name in names} == {0o600}
    assert (_mode(data), _mode(data / "keys")) == (0o700, 0o700)


def test_a_folder_that_cannot_be_closed_is_refused_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path, __: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(OurError, match="chmod 700"):
        make_private(tmp_path)


def test_a_data_folder_among_the_programs_files_is_refused() -> None:
    folder = next(path for path in code_folders() if path.is_dir())
    with pytest.raises(OurError, match="choose another data folder"):
        make_private(folder)
