"""The cages of supervisor and control: the data folder, the files that the settings name, and the program itself.

Owns: the translation of the settings into a cage.  Must never know: how the kernel is asked (`runtime.cage`).

Workers and recorders name their own, smaller cages.  A cage is inherited: the supervisor keeps what all its children need
together, because it starts a new control when one dies.  It parses nothing that a stranger sent.
"""

import logging
import mimetypes
import os
import socket
from pathlib import Path
from typing import Final

from relay.app.settings import Settings
from relay.runtime.cage import Cage, Confined, Rules, code_folders, confine, import_folders, programs, start_files

logger = logging.getLogger(__name__)

_ADDRESSES: Final = ("/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/gai.conf")
_DEVICES: Final = ("/dev/null",)
_FAMILIES: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
_CHILDRENS_FAMILIES: Final = (*_FAMILIES, socket.AF_NETLINK)
"""Control and workers ask the kernel for the machine's addresses, by a socket that they open before their own cage."""


def control_cage(settings: Settings) -> Cage:
    """Return what control keeps: the data folder; no other file can be changed, no program but the interpreter started.

    With a PKCS#11 token files and connections stay open, because only the token's maker knows which of them its module needs;
    a database elsewhere keeps its folder, or, on another machine, connections.
    """
    return _cage(settings, _http_ports(settings), _FAMILIES, signals=False)


def supervisor_cage(settings: Settings) -> Cage:
    """Return what the supervisor keeps: what control keeps, the workers' TCP ports, and signals.

    Signals, because it ends workers that an earlier supervisor started, which are in the cage of that one.
    """
    workers = settings.workers
    bound = None if workers.port_base == 0 else tuple(workers.port_base + index for index in range(workers.count))
    ports = None if bound is None else (*bound, *_http_ports(settings))
    return _cage(settings, ports, _CHILDRENS_FAMILIES, signals=True)


def enter(cage: Cage) -> Confined:
    """Enter a cage and log what the kernel does not give of it; in the process's main thread, before another one starts."""
    found = confine(cage)
    for missing in found.missing:
        logger.warning("the cage is incomplete", extra={"detail": missing})
    return found


def _http_ports(settings: Settings) -> tuple[int, ...]:
    return (settings.http.port,)


def _cage(settings: Settings, tcp_bind: tuple[int, ...] | None, families: tuple[int, ...], *, signals: bool) -> Cage:
    has_token, url = settings.keys.pkcs11_module is not None, settings.store.url or ""
    is_remote = bool(url) and not url.startswith("sqlite:")
    http = settings.http
    named = (http.ui_dir, http.tls_cert, http.tls_key, http.metrics_token_file, settings.evidence.public_key)
    read = (
        *code_folders(),
        *start_files(),
        *(path for path in named if path is not None),
        *map(Path, (*_ADDRESSES, *mimetypes.knownfiles)),
    )
    write = (settings.data, *_database_folder(url), *map(Path, _DEVICES))
    rules = Rules(
        tuple(map(_absolute, read)),
        import_folders(),
        tuple(map(_absolute, write)),
        programs(),
        all_files=has_token,
        tcp_bind=tcp_bind,
        tcp_connect=None if has_token or is_remote else (),
        signals=signals,
    )
    return Cage(rules, families, starts_programs=True)


def _absolute(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _database_folder(url: str) -> tuple[Path, ...]:
    """Return the folder of a SQLite database that is not in the data folder; SQLite makes its journals beside it."""
    path = url.removeprefix("sqlite:///")
    return (Path(path).parent,) if url.startswith("sqlite:") and path else ()
