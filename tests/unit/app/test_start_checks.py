"""A start that cannot succeed ends in a sentence that says what to change, before any process runs."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.app import cli, serve, start_checks
from relay.app.settings import Settings
from relay.app.start_checks import check_bind, check_file_system, check_ports_differ, check_socket_paths, doors
from relay.app.supervise import PidLock
from relay.base.errors import OurError, RelayError, TheirError
from relay.store.vault import FileOps


def settings(data: Path, **sections: dict[str, object]) -> Settings:
    return Settings.model_validate({"data": data, **sections})


@contextlib.contextmanager
def taken(kind: socket.SocketKind) -> Iterator[int]:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            sock.listen()
        yield sock.getsockname()[1]


@pytest.mark.parametrize("port", [8500, 8502])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_http_on_a_media_port_is_refused(tmp_path: Path, port: int, host: str) -> None:
    found = settings(tmp_path, http={"port": port}, workers={"port_base": 8500, "count": 3, "host": host})
    with pytest.raises(TheirError, match=f"http.port {port} is also a media port: workers take 8500 to 8502"):
        check_ports_differ(found)


@pytest.mark.parametrize(
    ("http", "workers"),
    [
        ({"port": 8503}, {"port_base": 8500, "count": 3}),
        ({"port": 8500}, {"port_base": 8500, "tcp": False}),
        ({"port": 8500}, {"port_base": 8500, "host": "192.0.2.1"}),
        ({"port": 0}, {"port_base": 0}),
    ],
)
def test_ports_that_do_not_meet_are_accepted(tmp_path: Path, http: dict[str, object], workers: dict[str, object]) -> None:
    check_ports_differ(settings(tmp_path, http=http, workers=workers))


def test_every_socket_of_a_relay_is_tried(tmp_path: Path) -> None:
    found = doors(settings(tmp_path, http={"port": 8080}, workers={"port_base": 8500, "count": 2}))
    assert [(door.process, door.protocol, door.port) for door in found] == [
        ("control", "TCP", 8080),
        ("worker-0", "UDP", 8500),
        ("worker-0", "TCP", 8500),
        ("worker-1", "UDP", 8501),
        ("worker-1", "TCP", 8501),
    ]


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    with taken(socket.SOCK_STREAM) as port:
        (door, *_) = doors(settings(tmp_path, http={"port": port}))
        with pytest.raises(OurError, match=rf"TCP port {port} of 127.0.0.1 is in use .* change http.port"):
            check_bind(door)
    with taken(socket.SOCK_DGRAM) as port:
        udp = [each for each in doors(settings(tmp_path, workers={"port_base": port})) if each.protocol == "UDP"]
        with pytest.raises(OurError, match=rf"UDP port {port} .* change workers.port_base"):
            check_bind(udp[0])


def test_an_address_of_another_machine_and_an_unknown_name_are_named(tmp_path: Path) -> None:
    for host, words in (("192.0.2.1", "is not an address of this machine"), ("no such host", "Name an address")):
        door = [each for each in doors(settings(tmp_path, workers={"host": host}))][1]
        with pytest.raises(OurError, match=rf"{host}.*{words}.*"):
            check_bind(door)


def test_a_port_without_the_right_to_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (door, *_) = doors(settings(tmp_path, http={"port": 443}))

    class Powerless(socket.socket):
        def bind(self, _address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Powerless)
    with pytest.raises(OurError, match=r"TCP port 443 .* above 1023 \(http.port\)"):
        check_bind(door)


def test_a_data_folder_whose_path_is_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    check_socket_paths(settings(Path("/srv/relay")))
    with pytest.raises(TheirError, match="bytes too long for Unix sockets"):
        check_socket_paths(settings(tmp_path / ("x" * 120)))


class Weak(FileOps):
    """A file system that cannot do one thing."""

    def __init__(self, missing: str, code: int) -> None:
        self.missing = missing
        self.code = code

    def rename(self, source: Path, target: Path) -> None:
        self._fail("rename")
        super().rename(source, target)

    def fsync(self, descriptor: int) -> None:
        self._fail("fsync")
        super().fsync(descriptor)

    def _fail(self, name: str) -> None:
        if name == self.missing:
            raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize(("missing", "words"), [("rename", "renaming"), ("fsync", r"syncing a file \(fsync\)")])
def test_a_file_system_that_cannot_keep_recordings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, words: str
) -> None:
    monkeypatch.setattr(start_checks, "FileOps", lambda: Weak(missing, errno.EINVAL))
    with pytest.raises(OurError, match=rf"{words} is not possible there .* local file system"):
        check_file_system(tmp_path / "vault")
    assert list((tmp_path / "vault").iterdir()) == []


def test_a_full_disk_keeps_nobody_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_checks, "FileOps", lambda: Weak("fsync", errno.ENOSPC))
    check_file_system(tmp_path / "vault")


def test_a_file_system_that_cannot_sync_folders_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    check_file_system(tmp_path / "vault")
    assert "cannot sync folders" in caplog.text


def test_two_relays_on_one_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "signing.pub").write_text("")
    (tmp_path / "run").mkdir()
    lock = PidLock(tmp_path / "run" / "supervisor.pid")
    with pytest.raises(OurError, match="a relay runs already with the data folder"):
        serve.serve(settings(tmp_path), one_process=False)
    lock.release()


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["check"],
        ["user", "add", "anna", "--role", "operator"],
        ["user", "list"],
        ["camera", "list"],
        ["journal", "verify"],
        ["keys", "rotate-kek", "--reason", "drill"],
        ["keys", "split", "--needed", "2", "--shares", "3"],
    ],
)
def test_a_command_in_a_folder_without_a_relay_makes_none(tmp_path: Path, command: list[str]) -> None:
    data = tmp_path / "wrong"
    ended = CliRunner().invoke(cli.app, [*command, "--data", str(data)])
    assert isinstance(ended.exception, RelayError)
    assert f"relay init --data {data}" in ended.exception.detail
    assert not data.exists()
