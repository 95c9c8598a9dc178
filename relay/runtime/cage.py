"""The cage: each process of the relay gives up what it does not need, before it reads a byte of a stranger's.

Owns: the order of the steps, and which folders the program itself lies in.  Must never know: which process it is for; that one
names what it keeps (`Cage`).

    harden      umask 077, no core dumps, memory closed to other processes of the user, no rights from setuid files
    landlock    files, TCP ports, signals
    seccomp     system calls, families of sockets

A kernel without Landlock or seccomp is no reason to refuse a recording: `confine` returns what is missing, and each caller
says so.  What was opened before stays open: sockets, log, vault.  Threads that run already stay outside, so the main thread
calls `confine` before it starts any.
"""

import contextlib
import ctypes
import errno
import functools
import os
import platform
import resource
import struct
import sys
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.base.counters import Counters, declare
from relay.base.errors import OurError
from relay.runtime import landlock, seccomp
from relay.runtime.landlock import Rules as Rules

_PR_SET_DUMPABLE: Final = 4
_PRIVATE: Final = 0o077
_PT_INTERP: Final = 3
_VARIABLES: Final = frozenset({"PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "LD_PRELOAD", "GLIBC_TUNABLES", "VIRTUAL_ENV"})
_VARIABLE_PREFIXES: Final = ("PYTHON", "LC_", "MALLOC_")
_PACKAGE: Final = Path(__file__).resolve().parents[1]
_SYSTEM: Final = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/localtime")
"""Shared libraries and time zones: public, and opened late."""
_SYSTEM_FACTS: Final = (  # the last two: the machine's boot, for a recorder's marks; how many cores there are
    "/etc/ld.so.cache",
    "/etc/ssl/openssl.cnf",
    "/proc/sys/kernel/random/boot_id",
    "/sys/devices/system/cpu",
)


class _Loaded(ctypes.Structure):
    """The beginning of `struct dl_phdr_info`, dl_iterate_phdr(3)."""

    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


_VISIT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Loaded), ctypes.c_size_t, ctypes.c_void_p)

MISSING: Final = "cage_missing"

declare(
    cage_missing="parts of the cage that the kernel did not give this process (Landlock, seccomp): 0 is right, each is logged",
)


@dataclass(frozen=True)
class Cage:
    """What a process keeps: the files and ports of `rules`, sockets of some families, and whether it starts programs."""

    rules: Rules
    families: tuple[int, ...] = ()
    """Address families (AF_…) of which it can make sockets; what is open stays."""
    starts_programs: bool = False


@dataclass(frozen=True)
class Confined:
    """What the kernel gave.  `missing`: one sentence for each part that it did not."""

    landlock: int
    """Version of the kernel's Landlock interface that holds, 0 for none."""
    seccomp: bool
    missing: tuple[str, ...]

    def count(self, counters: Counters) -> None:
        """Count what is missing, for the metric."""
        counters.values[MISSING] = len(self.missing)


def keep_private() -> None:
    """Have new files belong to the user alone, for a process that `harden` would keep from starting a browser."""
    os.umask(_PRIVATE)


def harden() -> None:
    """What every process and every command of the relay does first; it cannot be undone from outside.

    New files belong to the user alone; no core file is written; no other process of the user reads this one's memory or
    environment; a program started from here gets no rights from its file.
    """
    keep_private()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = _libc()
    if libc is not None:
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        seccomp.no_new_privileges(libc)
        _forbid_io_uring(libc)


@functools.cache
def _forbid_io_uring(libc: ctypes.CDLL) -> None:
    """Let no event loop make an io_uring: libuv makes one for each loop, and would abort at its next use inside the cage."""
    if seccomp.is_supported():
        with contextlib.suppress(OSError):  # `confine` says so if there is no seccomp
            seccomp.install(libc, seccomp.without_io_uring(platform.machine()))


def confine(cage: Cage) -> Confined:
    """Enter the cage, for good.  Returns what is missing of it; does not raise where the kernel lacks a part."""
    harden()
    time.localtime()  # reads the time zone, which may lie anywhere
    libc = _libc()
    if libc is None:
        return Confined(0, seccomp=False, missing=(f"no Landlock and no seccomp on {sys.platform}",))
    missing = []
    abi = landlock.version(libc)
    try:
        if abi == 0:
            raise OSError(errno.ENOSYS, "not in this kernel, or switched off")
        landlock.restrict(libc, cage.rules, abi)
    except OSError as error:
        abi = 0
        missing.append(f"no Landlock: this process can open every file of its user ({error.strerror})")
    filtered = _filter(libc, cage)
    if filtered:
        missing.append(f"no seccomp: this process can make every system call ({filtered})")
    return Confined(abi, seccomp=not filtered, missing=tuple(missing))


def _filter(libc: ctypes.CDLL, cage: Cage) -> str:
    """Install the filter; return why not, empty where it holds."""
    if not seccomp.is_supported():
        return f"its numbers on {platform.machine()} are not known"
    alone = not cage.starts_programs
    try:
        seccomp.install(libc, seccomp.program(cage.families, alone=alone, pid=os.getpid(), machine=platform.machine()))
    except OSError as error:
        return error.strerror or str(error)
    return ""


@functools.cache
def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def code_folders() -> tuple[Path, ...]:
    """Return where the program itself lies: this package, the interpreter, its libraries, those of the system.  Nothing secret.

    The folder in which the relay was started is not among them, although Python searches it: the data folder may lie there.
    """
    paths = sysconfig.get_paths()
    own = {_PACKAGE, *(Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib"))}
    own |= {Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages", "lib-dynload")}
    own |= {Path(os.__file__).parent, *_library_folders()}
    return tuple(dict.fromkeys(_existing([*sorted(own), *map(Path, (*_SYSTEM, *_SYSTEM_FACTS))])))


def _library_folders() -> set[Path]:
    """Return the folders of the shared libraries that this process has loaded: an installation may have its own libc."""
    found: set[Path] = set()

    def note(info: Any, _size: int, _data: object) -> int:
        path = os.fsdecode(info.contents.name or b"")
        if path.startswith("/"):
            found.add(Path(path).parent)
        return 0

    libc = _libc()
    if libc is not None and hasattr(libc, "dl_iterate_phdr"):
        libc.dl_iterate_phdr(_VISIT(note), None)
    return found


def programs() -> tuple[Path, ...]:
    """Return the interpreter and the loader that it names: the only programs that the relay starts.

    Raises OurError where this user may run the interpreter and not read it.
    """
    interpreter = Path(sys.executable).resolve()
    try:
        return tuple(_existing([interpreter, *_loader(interpreter)]))
    except OSError as error:
        raise OurError(
            f"{interpreter}: {error.strerror}; install Python and the relay where the relay's user can read them"
        ) from error


def import_folders() -> tuple[Path, ...]:
    """Return the folders in which a new interpreter looks for modules: it lists the names there."""
    return (_PACKAGE.parent, *_python_path())


def start_files() -> tuple[Path, ...]:
    """Return what a new interpreter reads first to know where it is installed and how it is customised."""
    own = [Path(sys.prefix) / "pyvenv.cfg", Path(sys.prefix) / "bin", Path(sys.base_prefix) / "bin"]
    return tuple(_existing([*own, *(folder / "sitecustomize.py" for folder in _python_path())]))


def _python_path() -> list[Path]:
    """Return the folders of PYTHONPATH; modules other than `sitecustomize` and the relay's own are not read from there."""
    return _existing([Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry])


def _loader(program: Path) -> list[Path]:
    """Return the dynamic loader that a 64-bit little-endian ELF file names (PT_INTERP), nothing for any other file."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            return []
        table, size, count = *struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54)
        for index in range(count):
            file.seek(table + index * size)
            kind, _, offset, _, _, length = struct.unpack("<IIQQQQ", file.read(40))
            if kind == _PT_INTERP:
                file.seek(offset)
                return [Path(os.fsdecode(file.read(length).rstrip(b"\0")))]
    return []


def program_environment() -> dict[str, str]:
    """Return the part of our environment that the interpreter and its libraries need; no setting, no PIN, no other secret."""
    return {name: value for name, value in os.environ.items() if name in _VARIABLES or name.startswith(_VARIABLE_PREFIXES)}


def _existing(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that exist and that this user can reach: what it cannot reach, it needs no rule for."""
    return [path.resolve() for path in paths if os.path.exists(path)]  # noqa: PTH110 - `Path.exists` raises on EACCES
