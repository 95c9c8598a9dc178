"""Which system calls a process can still make: a seccomp filter (classic BPF, seccomp(2)), put together here.

Owns: the numbers of system calls on x86-64 and 64-bit ARM, and the program.  Must never know: which process it is for.

The filter names what is taken away.  A list of what is allowed would keep more out, and break by itself: the calls of CPython,
OpenSSL, FFmpeg and the C library change with their versions, and no recorder may be lost because a library was updated.
Each way out of the process that we know has its name here; files and ports are `landlock`'s, which refuses by default.

A call has one of two ends.  `KILLED`: no correct library asks for it in such a process, so the process is killed at once; its
supervisor starts another and says so.  Refused with an error: something harmless may try it, and goes on without.

The kernel (since 5.11) remembers the calls that are always allowed and does not run the program for them.  Packets are read and
sent by such calls; older kernels find them first.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000
_ALLOW: Final = 0x7FFF0000
_LOAD, _IF_EQUAL, _IF_ABOVE, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32: Final = 0x40000000
"""Numbers from here on are the x32 calls of an x86-64 kernel, a second door to each call."""
_CLONE_THREAD: Final = 0x00010000
_CLONE_NEW: Final = 0x7E020080
"""The bits of clone(2) that make a namespace: time, mount, cgroup, UTS, IPC, user, process ids, network."""
_TIOCSTI: Final = 0x5412
"""Puts characters into a terminal's input, as if typed."""
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
_FIOSETOWN, _SIOCSPGRP = 0x8901, 0x8902
"""Name the process, and the signal, that the kernel sends when a file is ready: a `kill` by another name."""

_MACHINES: Final[dict[str, tuple[int, int]]] = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Machine, as `platform.machine` says: its number in the kernel (AUDIT_ARCH_…) and its column in `_CALLS`."""

_CALLS: Final[dict[str, tuple[int | None, int | None]]] = {
    # What packets and an idle loop cost: found first.
    "sendmsg": (46, 211), "recvmsg": (47, 212), "sendto": (44, 206), "recvfrom": (45, 207), "recvmmsg": (299, 243),
    "epoll_wait": (232, None), "epoll_pwait": (281, 22), "epoll_ctl": (233, 21), "futex": (202, 98), "read": (0, 63),
    "write": (1, 64), "writev": (20, 66), "fdatasync": (75, 83), "fsync": (74, 82),
    # Other processes' memory.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    # File systems and namespaces.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "setns": (308, 268), "unshare": (272, 97),
    # The kernel itself, and the machine.
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "bpf": (321, 280), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443), "iopl": (172, None), "ioperm": (173, None),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170), "clock_settime": (227, 112),
    # Parts of the kernel that attackers like and the relay does not need.
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "syslog": (103, 116), "modify_ldt": (154, None), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "vhangup": (153, 58), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "lookup_dcookie": (212, 18), "fanotify_init": (300, 262), "personality": (135, 92), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "process_mrelease": (448, 448),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # New processes, new sockets, terminals.
    "clone3": (435, 435), "clone": (56, 220), "fork": (57, None), "vfork": (58, None), "execve": (59, 221),
    "execveat": (322, 281), "socket": (41, 198), "ioctl": (16, 29), "fcntl": (72, 25),
    # Other processes of the same user.
    "kill": (62, 129), "tgkill": (234, 131), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "prlimit64": (302, 261), "setpriority": (141, 140),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30),
    # What Landlock does not see: modes, owners, times and attributes of files, their names as they change, sync of all disks.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "utime": (132, None), "utimes": (235, None),
    "utimensat": (280, 88), "futimesat": (261, None), "truncate": (76, 45), "inotify_add_watch": (254, 27), "sync": (162, 81),
    # Memory and queues that processes of one user share by number.
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192),
    "semctl": (66, 191), "mq_open": (240, 180),
}  # fmt: skip
"""Number of each call on x86-64 and on 64-bit ARM; None where that machine has no such call."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST: Final = _names(
    "sendmsg recvmsg sendto recvfrom recvmmsg epoll_wait epoll_pwait epoll_ctl futex read write writev fdatasync fsync"
)
KILLED: Final = _names(
    "ptrace process_vm_readv process_vm_writev pidfd_getfd mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig"
    " fsmount fspick mount_setattr setns unshare init_module finit_module delete_module kexec_load kexec_file_load bpf reboot"
    " swapon swapoff acct quotactl quotactl_fd iopl ioperm sethostname setdomainname settimeofday clock_settime"
)
"""Calls for which any process of the relay is killed."""
REFUSED: Final = _names(
    "kcmp process_madvise perf_event_open userfaultfd keyctl add_key request_key syslog modify_ldt adjtimex"
    " clock_adjtime vhangup open_by_handle_at name_to_handle_at lookup_dcookie fanotify_init personality move_pages"
    " migrate_pages process_mrelease"
)
"""Calls that are refused (EPERM) in any process of the relay."""
_IO_URING: Final = _names("io_uring_setup io_uring_enter io_uring_register")
ABSENT: Final = ("clone3", *_IO_URING)
"""Calls that look as if the kernel were older (ENOSYS), so that libraries take the older way.

No filter can read what clone3 and io_uring are asked for: their arguments are in memory.
"""
ALONE_KILLED: Final = _names("execve execveat")
"""Calls for which a process is killed that starts no programs."""
ALONE_REFUSED: Final = _names(
    "fork vfork tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal setpriority sched_setaffinity sched_setscheduler"
    " sched_setparam sched_setattr ioprio_set chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr"
    " fsetxattr removexattr lremovexattr fremovexattr setxattrat removexattrat utime utimes utimensat futimesat truncate"
    " inotify_add_watch sync shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semop semtimedop semctl mq_open"
)
"""Calls that are refused (EPERM) in a process that starts no programs: other processes and files' attributes."""

Test: TypeAlias = Literal["is", "is_not", "lacks_bits", "has_bits"]


@dataclass(frozen=True)
class Condition:
    """A call is refused with an error unless the low 32 bits of one of its arguments pass the test."""

    call: str
    argument: int
    test: Test
    values: tuple[int, ...]
    error: int = errno.EPERM


def conditions(families: Iterable[int], *, alone: bool, pid: int) -> list[Condition]:
    """Return the conditions of a process; `alone`: it starts no programs and leaves every other process in peace."""
    found = [
        Condition("socket", 0, "is", tuple(sorted(families)), errno.EACCES),
        Condition("ioctl", 1, "is_not", (_TIOCSTI, *((_FIOSETOWN, _SIOCSPGRP) if alone else ()))),
        Condition("clone", 0, "has_bits", (_CLONE_THREAD,)) if alone else Condition("clone", 0, "lacks_bits", (_CLONE_NEW,)),
    ]
    if alone:
        found += [Condition(call, 0, "is", (pid,)) for call in ("kill", "tgkill")]
        found.append(Condition("prlimit64", 0, "is", (0, pid)))
        found.append(Condition("fcntl", 1, "is_not", (_F_SETOWN, _F_SETSIG, _F_SETOWN_EX)))
    return found


def is_supported() -> bool:
    """Return whether the numbers of this machine's calls are known here."""
    return platform.machine() in _MACHINES


def program(families: Iterable[int], *, alone: bool, pid: int, machine: str) -> bytes:
    """Assemble the filter for a machine (`x86_64`, `aarch64`); raises KeyError for another one.

    `families`: the address families (AF_…) of which it may make sockets.
    """
    architecture, column = _MACHINES[machine]
    killed = [*KILLED, *(ALONE_KILLED if alone else ())]
    refused = [*REFUSED, *(ALONE_REFUSED if alone else ())]
    code = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_IF_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_IF_ABOVE, _X32, 0, 1),
        _step(_RETURN, _KILL),
    ]
    ends = [(call, _ALLOW) for call in _FIRST]
    ends += [(call, _KILL) for call in killed]
    ends += [(call, _ERRNO | errno.EPERM) for call in refused]
    ends += [(call, _ERRNO | errno.ENOSYS) for call in ABSENT]
    for call, end in ends:
        number = _CALLS[call][column]
        if number is not None:
            code += [_step(_IF_EQUAL, number, 0, 1), _step(_RETURN, end)]
    for condition in conditions(families, alone=alone, pid=pid):
        number = _CALLS[condition.call][column]
        if number is not None:
            block = _block(condition)
            code += [_step(_IF_EQUAL, number, 0, len(block)), *block]
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def without_io_uring(machine: str) -> bytes:
    """Assemble a filter that takes away io_uring and nothing else; raises KeyError for a machine that is not known."""
    code = [_step(_LOAD, _NUMBER)]
    for call in _IO_URING:
        number = _CALLS[call][_MACHINES[machine][1]]
        if number is not None:
            code += [_step(_IF_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | errno.ENOSYS)]
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _block(condition: Condition) -> list[bytes]:
    """Return the steps for one call whose argument decides; they always end in a decision."""
    refuse, allow = _step(_RETURN, _ERRNO | condition.error), _step(_RETURN, _ALLOW)
    good, bad = (allow, refuse) if condition.test in ("is", "has_bits") else (refuse, allow)
    test = _IF_EQUAL if condition.test in ("is", "is_not") else _IF_ANY_BIT
    steps = [_step(_LOAD, _ARGUMENTS + 8 * condition.argument)]
    for value in condition.values:
        steps += [_step(test, value, 0, 1), good]
    return [*steps, bad]


def _step(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, operand)


def no_new_privileges(libc: ctypes.CDLL) -> None:
    """No program started from here gets rights by its file (setuid); raises OSError.  Both filter and Landlock need it."""
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")


def install(libc: ctypes.CDLL, code: bytes) -> None:
    """Put the program before every system call of this thread and its children; raises OSError where the kernel refuses."""
    held = ctypes.create_string_buffer(code, len(code))
    described = ctypes.create_string_buffer(struct.pack("HP", len(code) // 8, ctypes.addressof(held)))
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, described, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")
