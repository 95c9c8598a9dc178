"""Marks of open recordings, beside the vault's folders: recovery reads them after a death.

Owns: the marks, and the clock reading in each.  Must never know: chains, media.

A mark is the file `open-<i>/<recording>` with one line, `<boot id> <UTC ns> <monotonic ns>`.  Its name is durable, its line is
not synced: after a power cut the machine has rebooted, and the line would be of no use.  Where the line is missing or torn,
the clocks are not known.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from relay.base.clock import Clock, read_both
from relay.store.vault import FileOps

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks at one instant, and the boot in which the monotonic clock runs."""

    boot: str
    utc_ns: int
    mono_ns: int

    def unstepped_utc_ns(self, now: "ClockReading") -> int | None:
        """Return UTC at `now` as if no step had happened since this reading; None where the boot is another or unknown."""
        return self.utc_ns + now.mono_ns - self.mono_ns if self.boot and self.boot == now.boot else None


def read_clocks(clock: Clock) -> ClockReading:
    """Read both clocks."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = _BOOT_ID.read_text().strip()
    return ClockReading(boot, *read_both(clock))


def open_marks(root: Path, index: int) -> Path:
    """Return the folder of the marks of one recorder."""
    return root / f"open-{index}"


def mark_open(ops: FileOps, root: Path, index: int, recording: str, now: ClockReading | None = None) -> None:
    """Durably mark a recording as open, before anything of it is written; raises OSError."""
    folder = open_marks(root, index)
    if not folder.is_dir():
        ops.mkdir(folder)
        ops.fsync_dir(root)
    descriptor = ops.open_append(folder / recording)
    try:
        if now is not None:
            with contextlib.suppress(OSError):  # a full disk: the file's name is the mark, its line only helps
                ops.write(descriptor, f"{now.boot} {now.utc_ns} {now.mono_ns}\n".encode())
    finally:
        ops.close(descriptor)
    ops.fsync_dir(folder)


def read_mark(root: Path, index: int, recording: str) -> ClockReading | None:
    """Return the clock reading of when a recording was opened; None where it is not known."""
    try:
        line = (open_marks(root, index) / recording).read_text().splitlines(keepends=True)[0]
        boot, utc_ns, mono_ns = line.split(" ")
        return ClockReading(boot, int(utc_ns), int(mono_ns)) if line.endswith("\n") else None
    except (OSError, ValueError, IndexError):
        return None


def mark_closed(ops: FileOps, root: Path, index: int, recording: str) -> None:
    """Remove a mark; not synced, because a stale mark does no harm.  Never raises OSError."""
    with contextlib.suppress(OSError):
        ops.unlink(open_marks(root, index) / recording)
