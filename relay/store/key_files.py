"""The folder of keys: making, replacing and destroying its files so that a crash leaves the old file or the new one.

Owns: the modes (folders 0700, files 0600) and the order of fsyncs.  Must never know: what a file holds.
"""

import contextlib
import os
from pathlib import Path

from relay.store.vault import FileOps, write_file


class KeyFiles:
    """File operations below `<data>/keys`.  Every method blocks (fsync) and may raise OSError."""

    def __init__(self, root: Path, ops: FileOps) -> None:
        self.root = root
        self.ops = ops

    def ensure_folder(self, path: Path) -> None:
        """Make a folder where there is none, durably."""
        if not path.is_dir():
            self.ops.mkdir(path)
            self.ops.fsync_dir(path.parent)

    def ensure_content(self, path: Path, data: bytes) -> None:
        """Write a file unless it has exactly this content."""
        if not path.exists() or path.read_bytes() != data:
            self.write(path, data)

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file, durably: after a crash it is the old one or the whole new one."""
        write_file(self.ops, path, data)

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target` in the same folder, durably."""
        self.ops.rename(source, target)
        self.ops.fsync_dir(target.parent)

    def shred(self, path: Path) -> None:
        """Overwrite, sync and unlink.  SSDs and snapshots may keep old blocks (THREAT_MODEL.md); the day key bounds it."""
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                self.ops.write(descriptor, bytes(path.stat().st_size))
                self.ops.fsync(descriptor)
            finally:
                self.ops.close(descriptor)
        self.ops.unlink(path)
        self.ops.fsync_dir(path.parent)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder, durably."""
        self.ops.rmdir(path)
        self.ops.fsync_dir(path.parent)
