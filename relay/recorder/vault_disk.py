"""The vault's disk as the vault thread knows it: its state, its free room, and the reserve file.

Owns: feeding the state machine (`disk_state`), and the reserve on the disk.  Must never know: jobs,
recordings, queues.
"""

import contextlib
import errno
import logging
from pathlib import Path

from relay.base.counters import Counters, declare
from relay.recorder.disk_state import Action, DiskReport, Event, State, report, step
from relay.store.vault import RESERVE, FileOps

logger = logging.getLogger(__name__)

ROOM = 64 << 20
"""Free bytes beyond the reserve at which a disk that was full takes media again."""

declare(vault_errors="operations of the vault that the disk refused (they are repeated)")


class VaultDisk:
    """State, free room and reserve of one recorder's vault; used by the vault thread, read by the loop."""

    def __init__(
        self, ops: FileOps, root: Path, counters: Counters, *, index: int = 0, reserve_bytes: int = 0, keep_free_bytes: int = 0
    ) -> None:
        """`reserve_bytes`: size of the reserve.  `keep_free_bytes`: bytes of the disk that are not for media."""
        self._ops = ops
        self._root = root
        self._counters = counters
        self._reserve = root / f"{RESERVE}-{index}"
        self._reserve_bytes = reserve_bytes
        self._keep_free = keep_free_bytes
        self.state = State.OK_NO_RESERVE
        self.free_bytes = 0
        """Room on the disk when `look` last read it, about a second ago; 0 where it could not be read."""

    def report(self, *, slow: bool) -> DiskReport:
        """Return how the disk is reported; `slow`: a job has waited for too long."""
        return report(self.state, free_bytes=self.free_bytes, slow=slow)

    def look(self) -> None:
        """Read the free room."""
        self.free_bytes = self._read_free()

    def want_room(self) -> None:
        """Raise OSError (ENOSPC) where only the room kept free for others is left.  Unknown room (0) does not count."""
        if 0 < self.free_bytes < self._keep_free:
            raise OSError(errno.ENOSPC, "no room beyond what is kept free")

    def refused(self, error: OSError) -> None:
        """Take note that the disk refused an operation."""
        self._counters.count("vault_errors")
        no_room = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if self._step(Event.NO_ROOM if no_room else Event.REFUSED) is Action.REPORT:
            logger.error("the vault cannot be written: %s", error.strerror)

    def carried_out(self) -> None:
        """Take note that a job was carried out."""
        self._step(Event.CARRIED_OUT)

    def make_room(self) -> None:
        """Give up the reserve for what must be written now; nothing happens where the disk is not full or none is held."""
        if self._step(Event.URGENT) is Action.UNLINK_RESERVE:
            with contextlib.suppress(OSError):
                self._ops.unlink(self._reserve)
                logger.error("the disk is full: the reserve is given up, gaps and ends are still signed, media is not kept")

    def probe(self) -> None:
        """Allocate the reserve where there is room for it, and find out whether there is more."""
        try:
            held = self._reserve.exists() and self._reserve.stat().st_size >= self._reserve_bytes
            needed = self._keep_free + (0 if held else self._reserve_bytes) + ROOM
            roomy = self._read_free() >= needed
            if held or roomy:
                self._allocate()
        except OSError as error:
            self.refused(error)
            return
        self._step(Event.FOUND_ROOM if roomy else Event.RESERVE_ONLY if held else Event.NO_RESERVE)

    def _step(self, event: Event) -> Action:
        self.state, action = step(self.state, event)
        return action

    def _read_free(self) -> int:
        try:
            return self._ops.free(self._root)
        except OSError:
            return 0

    def _allocate(self) -> None:
        descriptor = self._ops.open_append(self._reserve)
        try:
            self._ops.allocate(descriptor, self._reserve_bytes)
        finally:
            self._ops.close(descriptor)
