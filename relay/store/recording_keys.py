"""Recording keys: each encrypts the fragments of one recording, and is wrapped under the key of the day on which it expires.

Owns: `<data>/keys/wrapped` and the cache of unwrapped keys.  Must never know: recordings' folders, why a
key moves to another day or is destroyed, the clock.
"""

import secrets
from pathlib import Path

from relay.base.codes import Code
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.store.day_keys import DayKeys, check_day, is_day, key_destroyed
from relay.store.key_cache import KeyCache
from relay.store.key_files import KeyFiles
from relay.store.vault import is_recording_id
from relay.store.wrapping import KEY, Kek, recording_context, unwrap, wrap


class RecordingKeys:
    """The wrapped recording keys on disk.  Calls that change something exclude each other: the keyring holds its lock."""

    def __init__(self, files: KeyFiles, kek: Kek, days: DayKeys, cache: KeyCache) -> None:
        self._files = files
        self._kek = kek
        self._days = days
        self._cache = cache
        self._folder = files.root / "wrapped"
        files.ensure_folder(self._folder)

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, recording: str) -> bytes:
        """Return a recording's key; raises TheirError(GONE) where it is destroyed or never was, OurError where damaged."""
        mark = self._cache.mark()
        path = self._find(recording)
        if path is None:
            raise key_destroyed()
        day = path.parent.name
        # The files are read each time; only the token is spared.
        try:
            wrapped = self._days.wrapped(day), path.read_bytes()
        except FileNotFoundError:
            raise key_destroyed() from None
        key = self._cache.get(recording, wrapped)
        if key is None:
            key = unwrap(self._days.open(day, self._kek), wrapped[1], recording_context(day, recording))
            self._cache.keep(recording, wrapped, bytearray(key), mark)
        return key

    def expires_on(self, recording: str) -> str | None:
        """Return the ISO day under which a recording's key is wrapped, None where it has none."""
        path = self._find(recording)
        return path.parent.name if path is not None else None

    def all(self) -> dict[str, str]:
        """Return every recording that has a wrapped key, with its expiry day (ISO)."""
        return {path.stem: path.parent.name for path in self._folder.glob("*/*.key")}

    def folder_names(self) -> set[str]:
        """Return the name of each folder: days, and what else somebody has put there."""
        return {path.name for path in self._folder.iterdir()}

    def broken(self) -> dict[str, str]:
        """Unwrap every key once; return those that do not open: recording, or day (ISO) where all fail, to the cause."""
        found: dict[str, str] = {}
        for day in sorted(name for name in self._days.names() | self.folder_names() if is_day(name)):
            try:
                day_key = self._days.open(day, self._kek)
            except RelayError as error:
                found[day] = error.detail
                continue
            for path in sorted((self._folder / day).glob("*.key")):
                try:
                    unwrap(day_key, path.read_bytes(), recording_context(day, path.stem))
                except OurError as error:
                    found[path.stem] = error.detail
        return found

    # --- changing -----------------------------------------------------------------------------------------------------

    def create(self, recording: str, day: str) -> bytes:
        """Make a recording's key (32 bytes), durable under its expiry day (ISO) before it is returned.

        Raises TheirError(INVALID) for a malformed id or day, TheirError(CONFLICT) where the recording has a key already.
        """
        _check(recording, day)
        if self._find(recording) is not None:
            raise TheirError(Kind.CONFLICT, "this recording has a key already")
        key = secrets.token_bytes(KEY)
        self._put(recording, day, key)
        return key

    def rewrap(self, recording: str, day: str) -> None:
        """Wrap a recording's key under another day; the new file is durable before the old one goes.  Raises TheirError."""
        _check(recording, day)
        old = self._find(recording)
        if old is None or old.parent.name != day:
            self._put(recording, day, self.get(recording))
        for path in self._all_of(recording):
            if path.parent.name != day:
                self._files.shred(path)

    def destroy(self, recording: str) -> None:
        """Destroy a recording's key, durably; idempotent.  Raises OSError."""
        try:
            # A crash may have left the whole wrapped key in a temporary file.
            for path in (*self._folder.glob(f"*/{recording}.key.tmp"), *self._all_of(recording)):
                self._files.shred(path)
        finally:
            self._cache.forget(recording)

    def destroy_day(self, day: str) -> list[str]:
        """Destroy every key wrapped under a day; return the recordings that have no key any more; idempotent.

        The caller has destroyed the day's key before.  Raises OSError.
        """
        folder = self._folder / day
        if not folder.is_dir():
            return []
        gone = sorted(path.stem for path in folder.glob("*.key"))
        for path in folder.iterdir():
            self._files.shred(path)
        self._files.remove_folder(folder)
        return [recording for recording in gone if self._find(recording) is None]

    # --- files --------------------------------------------------------------------------------------------------------

    def _put(self, recording: str, day: str, key: bytes) -> None:
        folder = self._folder / day
        day_key = self._days.ensure(day, self._kek)
        self._files.ensure_folder(folder)
        self._files.write(folder / f"{recording}.key", wrap(day_key, key, recording_context(day, recording)))

    def _all_of(self, recording: str) -> list[Path]:
        if not is_recording_id(recording):
            raise TheirError(Kind.NOT_FOUND, "no such recording", code=Code.RECORDING_NOT_FOUND)
        return sorted(self._folder.glob(f"*/{recording}.key"))

    def _find(self, recording: str) -> Path | None:
        """Return the wrapped key of the latest day: between the two steps of `rewrap` there are two."""
        found = self._all_of(recording)
        return found[-1] if found else None


def _check(recording: str, day: str) -> None:
    if not is_recording_id(recording):
        raise TheirError(Kind.INVALID, "a recording's id is 32 hexadecimal digits", code=Code.RECORDING_ID_INVALID)
    check_day(day)
