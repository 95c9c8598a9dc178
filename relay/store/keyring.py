"""The relay's keys on disk: long-term keys, day keys and wrapped recording keys (relay/store/VAULT.md, invariant I5).

What this file owns: `<data>/keys`, every file 0600, every folder 0700.  What it must never know: recordings' folders, the
database (a key that was deleted there was found again in its write-ahead log), the clock.

    kek.key              32 bytes: wraps the day keys; or `pkcs11:<id>`, the reference to a key in a token (`store/token.py`)
    signing.key / .pub   Ed25519 (RFC 8032), 32 bytes each: certifies session keys; the public half is pinned in the settings;
                         or, as above, a reference in the place of the private one
    leftover             keys that were followed and that their token has not destroyed yet (`store/undestroyed_keys.py`)
    successions          who followed whom as signing key, each signed by both (evidence/FORMAT.md §6); public
    dtls.pem             P-256 certificate and key for DTLS (workers read it)
    days/<day>.key       the day's key wrapped under the KEK; destroyed on that day, and with it every recording that expires
    then wrapped/<day>/<recording>.key   a recording's key wrapped under the key of the day on which it expires

Wrapping is AES-256-GCM with a random 96-bit nonce and a context as associated data, so that a wrapped key moved to another name
or day does not open.  Everything here blocks (fsync): callers on a loop use a thread, so changes exclude each other.
Unwrapped keys are remembered for half a minute (`store/key_cache.py`) and forgotten at erasure.
"""

import contextlib
import os
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.base.codes import Code
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.evidence.seal import CERTIFICATE, MemorySigner, Signer, new_session
from relay.evidence.statement import predecessors, read_succession, sign_succession, succession_line, successions_in
from relay.evidence.wire import encode
from relay.store.key_cache import KeyCache
from relay.store.token import PREFIX, Token, TokenPlace, open_token
from relay.store.undestroyed_keys import NAMES, UndestroyedKeys
from relay.store.vault import FileOps, is_recording_id, write_file
from relay.store.wrapping import KEY, FileKek, Kek, day_context, recording_context, unwrap, whole, wrap

_DTLS_YEARS = 10


@dataclass(frozen=True, slots=True)
class Places:
    """Where long-term keys are made and found; None: in files."""

    token: TokenPlace | None = None
    kek_in_token: bool = False
    signing_in_token: bool = False


class Keyring:
    """All keys of one installation.  One process (control) opens it; workers and recorders get what they need at start."""

    def __init__(self, root: Path, ops: FileOps | None = None, places: Places | None = None) -> None:
        """Open `<data>/keys`, making what is missing at the first start.

        Raises OurError where a key file is damaged, or missing though something depends on it, or a token refuses.
        """
        self._root = root
        self._ops = ops or FileOps()
        self._places = places or Places()
        # Two cameras pressed at once on a new day: without it each would make the day's key, and one recording be lost.
        self._changing = threading.RLock()
        self._opened = KeyCache()
        self._leftovers = UndestroyedKeys(root / "leftover", self._ops)
        self._days = root / "days"
        self._wrapped = root / "wrapped"
        for folder in (root, self._days, self._wrapped):
            self._ensure_folder(folder)
        self._kek = self._open_kek()
        self._signer = self._open_signer()
        self._ensure_file(root / "signing.pub", self._signer.public_key)
        self._leftovers.pay(self._destroy)

    # --- long-term keys -----------------------------------------------------------------------------------------------

    @property
    def signer(self) -> Signer:
        """Signs with the long-term key: session certificates, journal checkpoints, interval statements."""
        return self._signer

    @property
    def public_key(self) -> bytes:
        """The 32 bytes to pin as `evidence.public_key`."""
        return self._signer.public_key

    def successions(self) -> list[bytes]:
        """Return the papers by which each signing key was followed by the next, oldest first; raises OurError where damaged."""
        path = self._root / "successions"
        try:
            return successions_in(path.read_bytes()) if path.exists() else []
        except TheirError as error:
            raise OurError(f"keys/successions is damaged ({error.detail}): put it back (relay/OPERATING.md)") from error

    def earlier_keys(self) -> list[bytes]:
        """Return the public signing keys before this one, the latest first."""
        return predecessors(self.public_key, self.successions())

    def leftovers(self) -> dict[str, str]:
        """Return the keys that were followed and are still in the token: reference to what it is."""
        return {reference.decode("ascii", "replace"): NAMES.get(kind, kind) for kind, reference in self._leftovers.all()}

    def dtls_pem(self) -> Path:
        """Return the file with the workers' DTLS certificate and key (P-256, PEM, one after the other), made once."""
        path = self._root / "dtls.pem"
        if not path.exists():
            write_file(self._ops, path, _self_signed())
        return path

    def issue_session(self, role: str, index: int, not_before_ns: int, not_after_ns: int) -> tuple[bytes, bytes]:
        """Return a new session key for one process: (private seed of 32 bytes, encoded certificate), for its configuration."""
        session = new_session(self._signer, role=role, index=index, not_before_ns=not_before_ns, not_after_ns=not_after_ns)
        assert isinstance(session.signer, MemorySigner)
        return session.signer.private_bytes, encode(CERTIFICATE, session.certificate)

    # --- recording keys -----------------------------------------------------------------------------------------------

    def create_recording_key(self, recording: str, expires_on: str) -> bytes:
        """Make a recording's key (32 bytes), durable under its expiry day (ISO) before it is returned.

        Raises TheirError(INVALID) for a malformed id or day, TheirError(CONFLICT) when the recording has a key already.
        """
        _check(recording, expires_on)
        with self._changing:
            if self._find(recording) is not None:
                raise TheirError(Kind.CONFLICT, "this recording has a key already")
            key = secrets.token_bytes(KEY)
            self._put(recording, expires_on, key)
        return key

    def recording_key(self, recording: str) -> bytes:
        """Return a recording's key; raises TheirError(GONE) when it is destroyed or never was, OurError when damaged."""
        mark = self._opened.mark()
        path = self._find(recording)
        if path is None:
            raise TheirError(Kind.GONE, "the key of this recording is destroyed", code=Code.RECORDING_KEY_DESTROYED)
        day = path.parent.name
        try:
            wrapped = (self._days / f"{day}.key").read_bytes(), path.read_bytes()
        except FileNotFoundError:
            raise TheirError(Kind.GONE, "the key of this recording is destroyed", code=Code.RECORDING_KEY_DESTROYED) from None
        # The disk is asked each time, only the token is not.
        key = self._opened.get(recording, wrapped)
        if key is None:
            day_key = self._kek.unwrap(whole(wrapped[0]), day_context(day))
            key = unwrap(day_key, wrapped[1], recording_context(day, recording))
            self._opened.keep(recording, wrapped, key, mark)
        return key

    def forget_opened(self) -> None:
        """Forget keys that were unwrapped half a minute ago or longer; call that often."""
        self._opened.forget_old()

    def expires_on(self, recording: str) -> str | None:
        """Return the ISO day under which a recording's key is wrapped, None where it has none."""
        path = self._find(recording)
        return path.parent.name if path is not None else None

    def recordings(self) -> dict[str, str]:
        """Return every recording that has a wrapped key, with its expiry day."""
        return {path.stem: path.parent.name for path in self._wrapped.glob("*/*.key")}

    def broken(self) -> dict[str, str]:
        """Unwrap every key once; return what did not open: recording or day (ISO) to what is wrong with it."""
        found: dict[str, str] = {}
        for day in self.days():
            try:
                day_key = self._day_key(day, create=False)
            except RelayError as error:
                found[day] = error.detail
                continue
            for path in sorted((self._wrapped / day).glob("*.key")):
                try:
                    unwrap(day_key, path.read_bytes(), recording_context(day, path.stem))
                except OurError as error:
                    found[path.stem] = error.detail
        return found

    def days(self) -> list[str]:
        """Return the days (ISO) that have a key or wrapped keys, oldest first: what retention has to look at."""
        return sorted(name for name in self._day_names() if is_day(name))

    def strange(self) -> list[str]:
        """Return what stands among the days and is none: nobody of ours puts it there, and nothing of it is touched."""
        return sorted(name for name in self._day_names() if not is_day(name))

    def _day_names(self) -> set[str]:
        return {path.stem for path in self._days.glob("*.key")} | {path.name for path in self._wrapped.iterdir()}

    def rewrap(self, recording: str, day: str) -> None:
        """Wrap a held recording's key under a later day; the new one is durable before the old one goes.  Raises TheirError."""
        _check(recording, day)
        with self._changing:
            old = self._find(recording)
            if old is None or old.parent.name != day:
                self._put(recording, day, self.recording_key(recording))
            for path in self._all(recording):
                if path.parent.name != day:
                    self._shred(path)

    def destroy_recording(self, recording: str) -> None:
        """Destroy one recording's key, durably; idempotent.  Raises OSError."""
        with self._changing:
            try:
                # What a crash left half-way may hold the wrapped key as whole as the file itself.
                for path in (*self._wrapped.glob(f"*/{recording}.key.tmp"), *self._all(recording)):
                    self._shred(path)
            finally:
                self._opened.forget(recording)

    def destroy_day(self, day: str) -> list[str]:
        """Destroy a day's key and all that is wrapped under it; return the recordings that became unreadable; idempotent."""
        _check_day(day)
        with self._changing:
            try:
                return self._destroy_day(day)
            finally:
                self._opened.forget_all()

    def _destroy_day(self, day: str) -> list[str]:
        for key in self._days.glob(f"{day}.key*"):
            self._shred(key)
        folder = self._wrapped / day
        if not folder.is_dir():
            return []
        gone = sorted(path.stem for path in folder.glob("*.key"))
        for path in folder.iterdir():
            self._shred(path)
        self._ops.rmdir(folder)
        self._ops.fsync_dir(self._wrapped)
        return [recording for recording in gone if self._find(recording) is None]

    # --- files --------------------------------------------------------------------------------------------------------

    def _put(self, recording: str, day: str, key: bytes) -> None:
        folder = self._wrapped / day
        day_key = self._day_key(day, create=True)
        self._ensure_folder(folder)
        write_file(self._ops, folder / f"{recording}.key", wrap(day_key, key, recording_context(day, recording)))

    def _day_key(self, day: str, *, create: bool) -> bytes:
        path = self._days / f"{day}.key"
        context = day_context(day)
        if path.exists():
            return self._kek.unwrap(whole(path.read_bytes()), context)
        if not create:
            raise TheirError(Kind.GONE, "the key of this recording is destroyed", code=Code.RECORDING_KEY_DESTROYED)
        key = secrets.token_bytes(KEY)
        write_file(self._ops, path, self._kek.wrap(key, context))
        return key

    def _all(self, recording: str) -> list[Path]:
        if not is_recording_id(recording):
            raise TheirError(Kind.NOT_FOUND, "no such recording", code=Code.RECORDING_NOT_FOUND)
        return sorted(self._wrapped.glob(f"*/{recording}.key"))

    def _find(self, recording: str) -> Path | None:
        """Return the wrapped key of the latest day: between the two steps of `rewrap` there are two."""
        found = self._all(recording)
        return found[-1] if found else None

    def rotate_kek(self) -> int:
        """Wrap every day key under a new key-encryption key and destroy the old one; return how many.  No media is touched.

        The new key is made where the settings say, so this also moves it into a token or out of one.  A crash at any point is
        made good when the keyring is next opened.  Raises OurError, OSError.
        """
        with self._changing:
            # A key of before that the token did not destroy must not be taken for the one of now.
            old = [(self._root / "kek.key").read_bytes(), *self._leftovers.of("kek")]
            in_token = self._places.kek_in_token
            fresh = self._token().make_kek(old) if in_token else secrets.token_bytes(KEY)
            write_file(self._ops, self._root / "kek.next", fresh)
            count = self._finish_kek()
            self._leftovers.pay(self._destroy)
            return count

    def _finish_kek(self) -> int:
        """Do what is left of a rotation: `kek.next` is durable; day keys are under it or under `kek.key`."""
        upcoming, current = self._root / "kek.next", self._root / "kek.key"
        after = self._kek_of(upcoming.read_bytes())
        days = sorted(self._days.glob("*.key"))
        if current.exists():
            before = self._kek_of(current.read_bytes())
            for path in days:
                context = day_context(path.stem)
                wrapped = whole(path.read_bytes())
                with contextlib.suppress(OurError):
                    after.unwrap(wrapped, context)
                    continue
                write_file(self._ops, path, after.wrap(before.unwrap(wrapped, context), context))
            self._ops.rename(current, self._root / "kek.old")
            self._ops.fsync_dir(self._root)
        self._ops.rename(upcoming, current)
        self._ops.fsync_dir(self._root)
        self._kek = after
        self._opened.forget_all()
        self._give_up("kek", self._root / "kek.old")
        return len(days)

    def rotate_signing(self, at_ns: int, reason: str) -> None:
        """Let a new signing key, made where the settings say, take over; the old one is destroyed.

        The paper that both sign is on disk before the new key is used.  A crash before that leaves the old key, one after it is
        made good when the keyring is next opened.  Raises OurError, OSError, TheirError(INVALID) where the reason is too long.
        """
        with self._changing:
            in_token = self._places.signing_in_token
            old = [(self._root / "signing.key").read_bytes(), *self._leftovers.of("signing")]
            fresh = self._token().make_signing(old) if in_token else MemorySigner.generate().private_bytes
            upcoming = self._signer_of(fresh)
            papers = self.successions()
            if upcoming.public_key in (self.public_key, *self.earlier_keys()):
                raise OurError("the other signing key of this label in the token was followed already: remove it or relabel it")
            try:
                papers.append(sign_succession(self._signer, upcoming, at_ns=at_ns, reason=reason))
                papers = successions_in(b"".join(map(succession_line, papers)))
            except ValueError as error:
                raise TheirError(Kind.INVALID, f"succession: {error}") from error
            write_file(self._ops, self._root / "signing.next", fresh)
            write_file(self._ops, self._root / "successions", b"".join(map(succession_line, papers)))
            self._finish_signing()
            self._signer = self._signer_of((self._root / "signing.key").read_bytes())
            self._ensure_file(self._root / "signing.pub", self._signer.public_key)
            self._leftovers.pay(self._destroy)

    def _finish_signing(self) -> None:
        """Do what is left of a rotation, or undo one that never came to its paper."""
        upcoming, current, old = (self._root / f"signing.{name}" for name in ("next", "key", "old"))
        if upcoming.exists():
            following = self._signer_of(upcoming.read_bytes()).public_key
            if following in [read_succession(paper).new_key for paper in self.successions()]:
                if current.exists():
                    self._ops.rename(current, old)
                    self._ops.fsync_dir(self._root)
                self._ops.rename(upcoming, current)
                self._ops.fsync_dir(self._root)
            else:
                self._shred(upcoming)
        if current.exists():
            self._give_up("signing", old)

    def _signer_of(self, found: bytes) -> Signer:
        return self._token().signer(found) if found.startswith(PREFIX) else MemorySigner(_exact(found, "signing.key"))

    def _give_up(self, kind: str, old: Path) -> None:
        """Destroy a key that was followed: at once, or, in a token that may refuse, as a debt written down before."""
        if old.exists():
            found = old.read_bytes()
            if found.startswith(PREFIX):
                self._leftovers.owe(kind, found)
            self._shred(old)

    def _destroy(self, kind: str, reference: bytes) -> None:
        does = {"signing": Token.destroy_signing, "kek": Token.destroy_kek}.get(kind)
        if does is None or not reference.startswith(PREFIX) or reference == PREFIX:
            raise OurError("keys/leftover is damaged")
        if reference == (self._root / f"{kind}.key").read_bytes().strip():
            raise OurError("keys/leftover names a key that is in use")
        does(self._token(), reference)

    def _kek_of(self, found: bytes) -> Kek:
        return self._token().kek(found) if found.startswith(PREFIX) else FileKek(_exact(found, "kek.key"))

    def _open_kek(self) -> Kek:
        path = self._root / "kek.key"
        if (self._root / "kek.next").exists():
            self._finish_kek()
        if path.exists():
            self._give_up("kek", self._root / "kek.old")
        if not path.exists():
            if any(self._days.glob("*.key")):
                # A new one would be made in silence, and every recording be lost with it.
                raise OurError("keys/kek.key is missing, but keys wrapped by it are there: put it back (relay/OPERATING.md)")
            in_token = self._places.kek_in_token
            write_file(self._ops, path, self._token().make_kek() if in_token else secrets.token_bytes(KEY))
        return self._kek_of(path.read_bytes())

    def _open_signer(self) -> Signer:
        path = self._root / "signing.key"
        self._finish_signing()
        if not path.exists():
            if (self._root / "signing.pub").exists():
                raise OurError("keys/signing.key is missing, but its public key was pinned: put it back (relay/OPERATING.md)")
            in_token = self._places.signing_in_token
            write_file(self._ops, path, self._token().make_signing() if in_token else MemorySigner.generate().private_bytes)
        return self._signer_of(path.read_bytes())

    def _token(self) -> Token:
        if self._places.token is None:
            raise OurError("a long-term key is in a token, and the settings name none (section `keys`)")
        return open_token(self._places.token)

    def _ensure_folder(self, path: Path) -> None:
        if not path.is_dir():
            self._ops.mkdir(path)
            self._ops.fsync_dir(path.parent)

    def _ensure_file(self, path: Path, data: bytes) -> None:
        if not path.exists() or path.read_bytes() != data:
            write_file(self._ops, path, data)

    def _shred(self, path: Path) -> None:
        """Overwrite, sync and unlink.  What SSDs and snapshots may keep is in THREAT_MODEL.md: the day key bounds it."""
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                self._ops.write(descriptor, bytes(path.stat().st_size))
                self._ops.fsync(descriptor)
            finally:
                self._ops.close(descriptor)
        self._ops.unlink(path)
        self._ops.fsync_dir(path.parent)


def _check(recording: str, day: str) -> None:
    if not is_recording_id(recording):
        raise TheirError(Kind.INVALID, "a recording's id is 32 hexadecimal digits", code=Code.RECORDING_ID_INVALID)
    _check_day(day)


def _check_day(day: str) -> None:
    if not is_day(day):
        raise TheirError(Kind.INVALID, "a day is YYYY-MM-DD")


def is_day(name: str) -> bool:
    """Tell whether a name is a day, YYYY-MM-DD."""
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def _exact(key: bytes, name: str) -> bytes:
    if len(key) != KEY:
        raise OurError(f"key file {name} has {len(key)} bytes, not {KEY}")
    return key


def _self_signed() -> bytes:
    """Return a certificate that says nothing (RFC 8827 §6.5: the fingerprint in the SDP is what is checked) and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _DTLS_YEARS))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
