"""Which files, TCP ports and processes a process can still reach: Landlock (landlock(7)), refused by default.

Owns: the three system calls and what each version of the kernel's interface (ABI) knows.  Must never know: which process it is
for.

What a version does not know it does not restrict.  1: files.  2: moving files between folders.  3: truncating by path.  4: TCP.
5: calls on devices.  6: signals to other processes and abstract Unix sockets.  No version up to 7 restricts `connect` to the
path of a Unix socket, nor `stat`, `chmod` and their like; `seccomp` takes away what it can of those.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_ASK_VERSION: Final = 1
_RULE_PATH, _RULE_PORT = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST_VERSION: Final = (1 << 13) - 1
"""All rights of version 1: to run, write, read, list, remove and make."""
_OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV
"""Rights that a rule on a file, not a folder, may name."""
READ: Final = READ_FILE | READ_DIR
_BIND, _CONNECT = 1, 2
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2


@dataclass(frozen=True)
class Rules:
    """What stays reachable.  A path that does not exist is left out: it must exist when the rules are made."""

    read: tuple[Path, ...] = ()
    """Files, or folders with all below them, that can be read."""
    names: tuple[Path, ...] = ()
    """Folders whose names can be listed, with those of all folders below; their files stay closed."""
    write: tuple[Path, ...] = ()
    """Files or folders in which everything but running programs is possible."""
    run: tuple[Path, ...] = ()
    """Programs that can be started."""
    all_files: bool = False
    """Files are not restricted at all."""
    tcp_bind: tuple[int, ...] | None = ()
    """TCP ports that can be listened on; 0: one that the kernel chooses; None: any."""
    tcp_connect: tuple[int, ...] | None = ()
    """TCP ports that can be connected to; None: any."""
    signals: bool = False
    """Processes outside this one and its children can be sent signals."""


def version(libc: ctypes.CDLL) -> int:
    """Return the version of the kernel's interface, 0 where it has no Landlock (or it is switched off)."""
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_ASK_VERSION))))


def restrict(libc: ctypes.CDLL, rules: Rules, abi: int) -> None:
    """Restrict this thread and its children for good; raises OSError where the kernel refuses.

    Call it before other threads exist: it does not reach them.
    """
    files = 0 if rules.all_files else _handled(abi)
    ports = (0 if rules.tcp_bind is None else _BIND) | (0 if rules.tcp_connect is None else _CONNECT)
    scopes = _ABSTRACT_SOCKETS | (0 if rules.signals else _SIGNALS)
    shape = struct.pack("=QQQ", files, ports, scopes)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    if not any(shape):
        return
    ruleset = _checked(libc.syscall(_CREATE, shape, ctypes.c_size_t(len(shape)), ctypes.c_uint(0)), "landlock_create_ruleset")
    try:
        if files:
            _add_paths(libc, ruleset, rules, files)
        if abi >= 4:
            _add_ports(libc, ruleset, rules.tcp_bind or (), _BIND)
            _add_ports(libc, ruleset, rules.tcp_connect or (), _CONNECT)
        _checked(libc.syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint(0)), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _handled(abi: int) -> int:
    later = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
    return _FIRST_VERSION | sum(right for since, right in later if abi >= since)


def _add_paths(libc: ctypes.CDLL, ruleset: int, rules: Rules, handled: int) -> None:
    rights: dict[Path, int] = {}
    wanted = (
        (rules.read, READ),
        (rules.names, READ_DIR),
        (rules.write, handled & ~EXECUTE),
        (rules.run, READ_FILE | EXECUTE),
    )
    for paths, right in wanted:
        for path in paths:
            rights[path] = rights.get(path, 0) | right
    for path, right in rights.items():
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            given = right & handled if path.is_dir() else right & handled & _OF_FILES
            rule = struct.pack("=Qi", given, descriptor)
            call = libc.syscall(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH), rule, ctypes.c_uint(0))
            _checked(call, f"landlock_add_rule {path}")
        finally:
            os.close(descriptor)


def _add_ports(libc: ctypes.CDLL, ruleset: int, ports: Iterable[int], right: int) -> None:
    for port in ports:
        rule = struct.pack("=QQ", right, port)
        call = libc.syscall(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PORT), rule, ctypes.c_uint(0))
        _checked(call, f"landlock_add_rule port {port}")


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result
