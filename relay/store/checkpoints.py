"""Signed checkpoints of the journal (C2SP tlog-checkpoint, signed note) and the file that keeps them beside the database.

Owns: the note's text and the file.  Must never know: leaves, SQL.

Note: `<origin>\\n<size>\\n<base64 root>\\n\\n— <origin> <base64(key id 4 bytes ‖ Ed25519 signature 64 bytes)>\\n`,
key id = first 4 bytes of SHA-256(origin ‖ 0x0A ‖ 0x01 ‖ public key).
In the file, notes follow each other, each ended by an empty line.
"""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from relay.base.errors import Kind, TheirError

_LONGEST = 1024


class _Signs(Protocol):
    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head and the signed note that says it."""

    size: int
    root: bytes
    note: str


def key_id(origin: str, public_key: bytes) -> bytes:
    """Return the signed note's 4-byte key id for Ed25519 (algorithm byte 0x01)."""
    return hashlib.sha256(origin.encode() + b"\n\x01" + public_key).digest()[:4]


def sign_checkpoint(signer: _Signs, origin: str, size: int, root: bytes) -> Checkpoint:
    """Sign a tree head."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = key_id(origin, signer.public_key) + signer.sign(text.encode())
    return Checkpoint(size, root, f"{text}\n— {origin} {base64.b64encode(signature).decode()}\n")


def open_checkpoint(note: str, origin: str, public_key: bytes) -> Checkpoint:
    """Parse and check a note; raises TheirError(INVALID) saying what is wrong with it."""
    if len(note) > _LONGEST:
        raise TheirError(Kind.INVALID, "checkpoint: too long")
    text, _, tail = note.partition("\n\n")
    lines = text.split("\n")
    if len(lines) != 3 or lines[0] != origin or not lines[1].isdecimal():
        raise TheirError(Kind.INVALID, "checkpoint: not three lines of this log")
    signed = tail.removesuffix("\n").split(" ")
    try:
        root = base64.b64decode(lines[2], validate=True)
        blob = base64.b64decode(signed[-1], validate=True)
    except binascii.Error:
        raise TheirError(Kind.INVALID, "checkpoint: not base64") from None
    if signed[:2] != ["—", origin] or len(signed) != 3 or len(root) != 32 or blob[:4] != key_id(origin, public_key):
        raise TheirError(Kind.INVALID, "checkpoint: signed under another name or key")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(blob[4:], f"{text}\n".encode())
    except InvalidSignature:
        raise TheirError(Kind.INVALID, "checkpoint: the signature is wrong") from None
    return Checkpoint(int(lines[1]), root, note)


class CheckpointFile:
    """Append-only file of notes; copy it elsewhere and a rolled-back database is noticed (LAW T5)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, checkpoint: Checkpoint) -> None:
        """Append a note and fsync (blocking)."""
        fresh = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, f"{checkpoint.note}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        if fresh:
            _sync_folder(self._path.parent)

    def notes(self) -> list[str]:
        """Return the notes in order of writing (blocking); a torn last one is returned as it is."""
        if not self._path.exists():
            return []
        text = self._path.read_text(errors="replace")
        blocks = text.split("\n\n")
        pairs = [blocks[at : at + 2] for at in range(0, len(blocks), 2)]
        return ["\n\n".join(pair).rstrip("\n") + "\n" for pair in pairs if any(part.strip() for part in pair)]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
