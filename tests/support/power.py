"""A medium that loses power: unsynced bytes may be there, torn, empty, or gone."""

import random
from pathlib import Path

from tests.support.faulty_disk import FaultyOps, never

BLOCK = 512


class Medium(FaultyOps):
    """Performs every operation below `root` and remembers what a power cut could take back."""

    def __init__(self, root: Path) -> None:
        super().__init__(never)
        self.root = root
        self._synced: dict[Path, int] = {}
        self._names: set[Path] = {root}

    def fsync(self, descriptor: int) -> None:
        super().fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self._synced[path] = path.stat().st_size

    def truncate(self, descriptor: int, size: int) -> None:
        super().truncate(descriptor, size)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self._synced[path] = min(self._synced.get(path, 0), size)

    def fsync_dir(self, path: Path) -> None:
        super().fsync_dir(path)
        self._names |= set(path.iterdir())

    def after_power_cut(self, target: Path, chance: random.Random) -> None:
        """Write to `target` what a cut now might leave: names not synced may be gone; bytes not synced gone, zero or torn."""
        target.mkdir()
        for path in sorted(self.root.rglob("*")):
            copy = target / path.relative_to(self.root)
            if not copy.parent.is_dir() or (path not in self._names and chance.random() < 0.5):
                continue
            if path.is_dir():
                copy.mkdir()
            else:
                copy.write_bytes(self._left_of(path, chance))

    def _left_of(self, path: Path, chance: random.Random) -> bytes:
        data = path.read_bytes()
        safe = min(self._synced.get(path, 0), len(data))
        end = chance.randint(safe, len(data))
        out = bytearray(data[:end])
        for at in range(safe, end, BLOCK):
            if chance.random() < 0.3:
                stop = min(at + BLOCK, end)
                out[at:stop] = bytes(stop - at)
        return bytes(out)
