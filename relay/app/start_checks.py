"""What must hold before the first process starts, so that a mistake is a sentence and not a process that dies again and again.

Owns: the checks of ports, of the data folder and of its file system.  Must never know: how the processes run.

A port or folder that a process of ours holds already is left out: a new supervisor finds it running and adopts it.
"""

import errno
import ipaddress
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from relay.app.settings import Settings
from relay.app.supervise import is_locked
from relay.base.errors import Kind, OurError, TheirError
from relay.runtime.host_addresses import resolve
from relay.store.vault import FileOps, sync_folder
from relay.store.vault_probe import CANNOT, TrialError, try_vault

logger = logging.getLogger(__name__)

MAX_SOCKET_PATH: Final = 107
"""Bytes of the path of a Unix socket on Linux."""
TRIAL_SECONDS: Final = 10.0


class Door(NamedTuple):
    """A socket that one of our processes will bind, and the settings that name it."""

    process: str
    kind: socket.SocketKind
    host: str
    port: int
    host_setting: str
    port_setting: str

    @property
    def protocol(self) -> str:
        """`TCP` or `UDP`."""
        return "TCP" if self.kind is socket.SOCK_STREAM else "UDP"


def check(settings: Settings) -> None:
    """Check everything; raises RelayError with a sentence that says what to change."""
    check_socket_paths(settings)
    check_ports(settings)
    check_file_system(settings.data / "vault")


def check_ports(settings: Settings) -> None:
    """Check the ports and addresses; raises RelayError."""
    check_ports_differ(settings)
    for door in doors(settings):
        if not _runs(settings.run / f"{door.process}.pid"):
            check_bind(door)


def doors(settings: Settings) -> Iterator[Door]:
    """Yield the sockets with a fixed port."""
    http, workers = settings.http, settings.workers
    if http.port:
        yield Door("control", socket.SOCK_STREAM, http.host, http.port, "http.host", "http.port")
    for index, port in enumerate(_media_ports(settings)):
        kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM) if workers.tcp else (socket.SOCK_DGRAM,)
        for kind in kinds:
            yield Door(f"worker-{index}", kind, settings.media_host, port, "workers.host", "workers.port_base")


def check_ports_differ(settings: Settings) -> None:
    """Raises TheirError (INVALID) where HTTP and a worker would share a TCP port."""
    http, workers = settings.http, settings.workers
    if not workers.tcp or http.port not in _media_ports(settings) or _are_apart(http.host, settings.media_host):
        return
    last = workers.port_base + workers.count - 1
    raise TheirError(
        Kind.INVALID,
        f"http.port {http.port} is also a media port: workers take {workers.port_base} to {last} by UDP and TCP. "
        "Change http.port or workers.port_base",
    )


def check_socket_paths(settings: Settings) -> None:
    """Raises TheirError (INVALID) where the data folder's path is too long for the sockets in it."""
    longest = settings.run.resolve() / "recorder-63.sock"
    over = len(os.fsencode(longest)) - MAX_SOCKET_PATH
    if over > 0:
        raise TheirError(
            Kind.INVALID,
            f"the path of the data folder is {over} bytes too long for Unix sockets ({settings.data.resolve()}): "
            "use a folder with a shorter path",
        )


def check_bind(door: Door) -> None:
    """Bind sockets as its process will, and close them.  Raises OurError."""
    try:
        hosts = resolve(door.host)
    except OurError as error:
        raise OurError(f"{door.host_setting} {error.detail}") from error
    for host in hosts:
        try:
            _try_bind(host, door)
        except OSError as error:
            raise OurError(_why(door._replace(host=host), error)) from error


def _try_bind(host: str, door: Door) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, door.kind) as trial:
        if trial.family == socket.AF_INET6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if door.kind is socket.SOCK_STREAM:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, door.port))


def check_file_system(vault: Path) -> None:
    """Try the vault; raises OurError where its file system cannot do what a recording needs.

    A disk that is full, or does not answer, keeps nobody from starting: readiness and alarms tell of it.
    """
    failed: list[TrialError] = []
    trial = threading.Thread(target=_try, args=(vault, failed), name="vault-trial", daemon=True)
    trial.start()
    trial.join(TRIAL_SECONDS)
    if failed and failed[0].errno in CANNOT:
        raise OurError(
            f"{vault}: {failed[0].step} is not possible there ({failed[0].strerror}). "
            "Give the relay a local file system, and a folder that its user may write"
        )


def _try(vault: Path, failed: list[TrialError]) -> None:
    try:
        vault.mkdir(mode=0o700, parents=True, exist_ok=True)
        try_vault(FileOps(), vault)
        if not sync_folder(vault):
            logger.warning("this file system cannot sync folders: after a power cut the newest recording may be missing")
    except TrialError as error:
        failed.append(error)
    except OSError as error:
        failed.append(TrialError("making the folder", error))


def _media_ports(settings: Settings) -> range:
    base = settings.workers.port_base
    return range(base, base + settings.workers.count) if base else range(0)


def _are_apart(one: str, other: str) -> bool:
    """Whether two hosts are addresses that never meet; a name, or an address of all interfaces, may meet any."""
    try:
        first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    except ValueError:
        return False
    return first != second and not first.is_unspecified and not second.is_unspecified


def _runs(pid_file: Path) -> bool:
    """Whether the process that wrote a pid file may still live."""
    try:
        return is_locked(pid_file) or Path(f"/proc/{int(pid_file.read_text(encoding='ascii'))}").exists()
    except (OSError, ValueError):
        return False


def _why(door: Door, error: OSError) -> str:
    where = f"{door.protocol} port {door.port} of {door.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program: stop that program, or change {door.port_setting}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} needs a right that this user lacks: use a port above 1023 ({door.port_setting}), or grant the right"
    if error.errno == errno.EAFNOSUPPORT or (error.errno == errno.EADDRNOTAVAIL and door.host == "::"):
        return f"this machine has no IPv6: set {door.host_setting} to 0.0.0.0, every IPv4 address"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{door.host} is not an address of this machine: change {door.host_setting}"
    return f"{where} cannot be bound: {error.strerror}"
