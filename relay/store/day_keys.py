"""Day keys: each wraps the keys of all recordings that expire on its day, and is destroyed on that day (invariant I5).

Owns: `<data>/keys/days`.  Must never know: recordings, where the key-encryption key lives, the clock.
"""

import contextlib
import secrets
from datetime import date

from relay.base.codes import Code
from relay.base.errors import Kind, OurError, TheirError
from relay.store.key_files import KeyFiles
from relay.store.wrapping import KEY, Kek, day_context, whole


def is_day(name: str) -> bool:
    """Return whether a name is a day, YYYY-MM-DD."""
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def check_day(day: str) -> None:
    """Raise TheirError(INVALID) unless `day` is YYYY-MM-DD."""
    if not is_day(day):
        raise TheirError(Kind.INVALID, "a day is YYYY-MM-DD")


def key_destroyed() -> TheirError:
    """Return the refusal for a recording whose own key or day key is not there any more."""
    return TheirError(Kind.GONE, "the key of this recording is destroyed", code=Code.RECORDING_KEY_DESTROYED)


class DayKeys:
    """The wrapped day keys on disk.  Each call is given the key-encryption key, because a rotation works with two."""

    def __init__(self, files: KeyFiles) -> None:
        self._files = files
        self._folder = files.root / "days"
        files.ensure_folder(self._folder)

    def names(self) -> set[str]:
        """Return the stem of each file: days, and what else somebody has put there."""
        return {path.stem for path in self._folder.glob("*.key")}

    def wrapped(self, day: str) -> bytes:
        """Return a day's key as it is on disk; raises TheirError(GONE) where there is none."""
        try:
            return (self._folder / f"{day}.key").read_bytes()
        except FileNotFoundError:
            raise key_destroyed() from None

    def open(self, day: str, kek: Kek) -> bytes:
        """Return a day's key (32 bytes); raises TheirError(GONE) where there is none, OurError where it does not open."""
        return kek.unwrap(whole(self.wrapped(day)), day_context(day))

    def ensure(self, day: str, kek: Kek) -> bytes:
        """Return a day's key (32 bytes); where there is none, make one, durably."""
        path = self._folder / f"{day}.key"
        if path.exists():
            return self.open(day, kek)
        key = secrets.token_bytes(KEY)
        self._files.write(path, kek.wrap(key, day_context(day)))
        return key

    def destroy(self, day: str) -> None:
        """Destroy a day's key, durably, with every temporary file that a crash left of it; idempotent."""
        for path in self._folder.glob(f"{day}.key*"):
            self._files.shred(path)

    def rewrap_all(self, before: Kek, after: Kek) -> None:
        """Wrap under `after` every day key that is not yet under it.  May be repeated after a crash."""
        for path in sorted(self._folder.glob("*.key")):
            context, wrapped = day_context(path.stem), whole(path.read_bytes())
            with contextlib.suppress(OurError):
                after.unwrap(wrapped, context)
                continue
            self._files.write(path, after.wrap(before.unwrap(wrapped, context), context))
