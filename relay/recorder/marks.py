"""Which recordings one recorder has open, noted beside the vault's folders: what recovery looks at after a death.

What this file owns: these notes, and how the clocks stood when each was made.  What it must never know: chains, media.

A note holds one line, `<boot id> <UTC ns> <monotonic ns>`.  It is not synced: after a power cut the machine has booted
anew, and then nobody can tell any more what the clock did.  Where it is missing or torn, the clocks are not known.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from relay.base.clock import Clock, read_both
from relay.store.vault import FileOps

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ClockReading:
    """How both clocks stood at one instant, and since which boot the monotonic one runs."""

    boot: str
    utc_ns: int
    mono_ns: int

    def unstepped_utc_ns(self, now: "ClockReading") -> int | None:
        """Return UTC at `now` as if nobody had stepped the clock since; None where the boot is another or unknown."""
        return self.utc_ns + now.mono_ns - self.mono_ns if self.boot and self.boot == now.boot else None


def read_clocks(clock: Clock) -> ClockReading:
    """Read both clocks."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = _BOOT_ID.read_text().strip()
    return ClockReading(boot, *read_both(clock))


def open_marks(root: Path, index: int) -> Path:
    """Return the folder that names the open recordings of one recorder."""
    return root / f"open-{index}"


def mark_open(ops: FileOps, root: Path, index: int, recording: str, now: ClockReading | None = None) -> None:
    """Durably note that a recording is open, before anything of it is written; raises OSError."""
    folder = open_marks(root, index)
    if not folder.is_dir():
        ops.mkdir(folder)
        ops.fsync_dir(root)
    descriptor = ops.open_append(folder / recording)
    try:
        if now is not None:
            with contextlib.suppress(OSError):  # a full disk: the note is its name, the clocks are help
                ops.write(descriptor, f"{now.boot} {now.utc_ns} {now.mono_ns}\n".encode())
    finally:
        ops.close(descriptor)
    ops.fsync_dir(folder)


def read_mark(root: Path, index: int, recording: str) -> ClockReading | None:
    """Return how the clocks stood as a recording was opened; None where that is not known."""
    try:
        line = (open_marks(root, index) / recording).read_text().splitlines(keepends=True)[0]
        boot, utc_ns, mono_ns = line.split(" ")
        return ClockReading(boot, int(utc_ns), int(mono_ns)) if line.endswith("\n") else None
    except (OSError, ValueError, IndexError):
        return None


def mark_closed(ops: FileOps, root: Path, index: int, recording: str) -> None:
    """Forget an open recording; not synced, because a stale note does no harm.  Never raises OSError."""
    with contextlib.suppress(OSError):
        ops.unlink(open_marks(root, index) / recording)
