"""Backup and restore of catalogue, journal and long-term keys: a tar, taken while the relay runs.

Owns: the contents of a backup, the order of reading, and which files a restore puts back.
Must never know: vault, day keys and recording keys (a backup with them would bring erased recordings back, I5), the
settings' meaning.

    manifest.json                 version, time, journal size, the data folder's path, SHA-256 of each file
    relay.db                      the database as one transaction saw it (VACUUM INTO: freed pages are left out)
    journal/checkpoints           read before the database, so that the snapshot holds every entry that they sign
    keys/kek.key, signing.key …   keys, or the references of those in a token
    settings.toml

The database may be newer than the checkpoints, never older; the next start of the journal writes the missing checkpoints.
"""

import contextlib
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.log import Checkpoint, open_by_any
from relay.evidence.statement import predecessors, successions_in
from relay.store.checkpoints import CheckpointFile
from relay.store.vault import FileOps, write_file

VERSION = 1
DATABASE, CHECKPOINTS, SETTINGS, MANIFEST = "relay.db", "journal/checkpoints", "settings.toml", "manifest.json"
KEYS = (
    "keys/kek.key", "keys/signing.key", "keys/signing.pub", "keys/dtls.pem", "keys/successions", "keys/revoked", "keys/leftover"
)  # fmt: skip
MAX_MEMBER_BYTES = 1 << 40


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a backup."""

    taken_ns: int
    journal_size: int
    data: str
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore.  `known`: how many entries the newest signed checkpoint covers; `lost`: how many are missing."""

    manifest: Manifest
    known: int

    @property
    def lost(self) -> int:
        """Number of signed entries that the backup does not hold."""
        return max(0, self.known - self.manifest.journal_size)


def take(data: Path, database: Path, out: Path, now_ns: int) -> Manifest:
    """Write a backup (mode 0600) to `out`, whole or not at all.  Raises TheirError(CONFLICT) where `out` exists, OSError."""
    if out.exists():
        raise TheirError(Kind.CONFLICT, f"{out} exists")
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=".backup-") as folder:
        small = {name: (data / name).read_bytes() for name in (CHECKPOINTS, *KEYS, SETTINGS) if (data / name).is_file()}
        snapshot = Path(folder) / DATABASE
        size = _snapshot(database, snapshot)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in small.items()}
        with snapshot.open("rb") as file:
            digests[DATABASE] = hashlib.file_digest(file, "sha256").hexdigest()
        manifest = Manifest(now_ns, size, str(data.resolve()), digests)
        whole = Path(folder) / "backup.tar"
        with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            _write(file, manifest, small, snapshot)
            file.flush()
            os.fsync(file.fileno())
        os.link(whole, out)
        FileOps().fsync_dir(out.resolve().parent)
    return manifest


def _snapshot(database: Path, target: Path) -> int:
    """Copy the database as one transaction sees it; return the number of journal entries in the copy."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as source:
            source.execute("VACUUM INTO ?", (str(target),))
        with contextlib.closing(sqlite3.connect(target)) as copy:
            return int(copy.execute("SELECT count(*) FROM journal").fetchone()[0])
    except sqlite3.Error as error:
        raise OurError(f"database: {error}") from error


def _write(file: io.BufferedWriter, manifest: Manifest, small: Mapping[str, bytes], snapshot: Path) -> None:
    fields = {"version": VERSION, "taken_ns": manifest.taken_ns, "journal_size": manifest.journal_size, "data": manifest.data}
    text = json.dumps({**fields, "files": dict(manifest.digests)}, indent=1, sort_keys=True).encode()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in {MANIFEST: text, **small}.items():
            tar.addfile(_member(name, len(content)), io.BytesIO(content))
        with snapshot.open("rb") as source:
            tar.addfile(_member(DATABASE, snapshot.stat().st_size), source)


def _member(name: str, size: int) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.mode = size, 0o600
    return found


def restore(backup: Path, data: Path, foreign: Path | None, *, accept_loss: bool) -> Restored:
    """Put a backup into a data folder that has no database; keys in the folder are not replaced.

    Erased recordings stay erased: no backup holds their keys.  `foreign`: a copy of `journal/checkpoints` from elsewhere; with
    the checkpoint file in the folder it shows how long the journal had become.  Raises TheirError: INVALID (no backup, or
    damaged), CONFLICT (the folder has a database; or signed entries would be lost and `accept_loss` is not given).
    """
    if (data / DATABASE).exists():
        raise TheirError(Kind.CONFLICT, f"{data / DATABASE} exists: move it away first")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data, prefix=".restore-") as folder:
        manifest = _unpack(backup, Path(folder))
        ours, pinned = _signing_keys(Path(folder)), data / "keys/signing.pub"
        # The folder's keys win: they may have succeeded those of the backup, never the other way round.
        keys = _signing_keys(data) if pinned.exists() else ours
        if ours[0] not in keys:
            raise TheirError(Kind.CONFLICT, f"{backup} is of another installation, or of another signing key than {pinned}")
        known = max((_largest_signed_size(path, keys) for path in (data / CHECKPOINTS, foreign) if path is not None), default=0)
        found = Restored(manifest, known)
        if found.lost and not accept_loss:
            detail = f"{found.lost} signed journal entries are newer than this backup ({manifest.journal_size}-{known - 1})"
            raise TheirError(Kind.CONFLICT, f"{detail}: take a newer one, or say --accept-loss, which is journalled")
        _delete_sign_ins(Path(folder) / DATABASE)
        _put_back(Path(folder), data, manifest, replaced=found.lost > 0)
    return found


def _unpack(backup: Path, folder: Path) -> Manifest:
    wanted = {MANIFEST, DATABASE, CHECKPOINTS, SETTINGS, *KEYS}
    (folder / "keys").mkdir(mode=0o700)
    (folder / "journal").mkdir(mode=0o700)
    try:
        with tarfile.open(backup, "r:") as tar:
            for member in tar:
                source = tar.extractfile(member) if member.name in wanted and member.isreg() else None
                if source is None or member.size > MAX_MEMBER_BYTES:
                    raise TheirError(Kind.INVALID, f"{backup}: {member.name!r} does not belong into a backup")
                with os.fdopen(os.open(folder / member.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                    while piece := source.read(1 << 20):
                        target.write(piece)
        said = json.loads((folder / MANIFEST).read_bytes())
        if said["version"] != VERSION:
            raise TheirError(Kind.INVALID, f"{backup}: version {said['version']!r}, not {VERSION}")
        manifest = Manifest(int(said["taken_ns"]), int(said["journal_size"]), str(said["data"]), dict(said["files"]))
    except (tarfile.TarError, ValueError, KeyError, TypeError, EOFError, FileExistsError, FileNotFoundError) as error:
        raise TheirError(Kind.INVALID, f"{backup}: not a whole backup ({error})") from error
    _check_whole(folder, manifest, backup)
    return manifest


def _check_whole(folder: Path, manifest: Manifest, backup: Path) -> None:
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    if there != set(manifest.digests) or not {DATABASE, *KEYS[:3]} <= there:
        raise TheirError(Kind.INVALID, f"{backup}: its files are not those that it lists")
    for name, digest in manifest.digests.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise TheirError(Kind.INVALID, f"{backup}: {name} is damaged")


def _signing_keys(root: Path) -> list[bytes]:
    """Return the public signing key of a data folder and its predecessors, the latest first."""
    public_key, successions = (root / "keys/signing.pub").read_bytes(), root / "keys/successions"
    return [public_key, *predecessors(public_key, successions_in(successions.read_bytes()) if successions.exists() else [])]


def _largest_signed_size(path: Path, keys: Sequence[bytes]) -> int:
    """Return the largest journal size in the checkpoints of this file; those not signed by our keys are ignored."""

    def opened(note: str) -> Checkpoint | None:
        with contextlib.suppress(TheirError):
            return open_by_any(note, keys)[0]
        return None

    return max((found.size for found in map(opened, CheckpointFile(path).notes()) if found is not None), default=0)


def _delete_sign_ins(database: Path) -> None:
    """Delete all sign-ins: one that was ended after the backup must not come back."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM sessions")


def _put_back(folder: Path, data: Path, manifest: Manifest, *, replaced: bool) -> None:
    """Put the files in place, the database last: a folder without it may still be restored into."""
    ops = FileOps()
    for place in (data / "keys", data / "journal"):
        place.mkdir(mode=0o700, exist_ok=True)
    if replaced and (data / CHECKPOINTS).exists():
        # The checkpoints of the lost entries stay readable in a file of their own; a journal entry says how many were lost.
        ops.rename(data / CHECKPOINTS, data / f"{CHECKPOINTS}.lost-{manifest.taken_ns}")
    for name in (*KEYS, CHECKPOINTS, SETTINGS):
        if (folder / name).exists() and not (data / name).exists():
            content = (folder / name).read_bytes()
            if name == SETTINGS:
                content = content.replace(manifest.data.encode(), str(data.resolve()).encode())
            write_file(ops, data / name, content)
    descriptor = os.open(folder / DATABASE, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    ops.rename(folder / DATABASE, data / DATABASE)
    ops.fsync_dir(data)
