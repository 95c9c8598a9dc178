"""Which keys this relay knows, so that a mistyped one is not revoked.

Owns: the look at the keyring's succession and at the certificates in the vault.  Must never know: what a revocation does.

A session key has no list of its own: it stands, certified, in the recordings that it signed.
"""

from collections.abc import Iterator

from relay.base.errors import Kind, TheirError
from relay.evidence.chain import iterate
from relay.evidence.records import KeyRollover, Recovery, Start
from relay.evidence.seal import key_id
from relay.store.keyring import Keyring
from relay.store.vault import Vault

MAX_NAMED = 10
"""Session keys that a refusal names, the newest: they change with each start of a recorder."""


def require_known(key: bytes, keyring: Keyring, vault: Vault) -> None:
    """Raise TheirError(NOT_FOUND), which names the known keys, unless the relay knows this one; reads every chain for that."""
    signing = [keyring.public_key, *keyring.earlier_keys()]
    if key in signing or any(_signed(vault, recording, key) for recording in vault.recordings()):
        return
    lines = [f"this relay knows no key {key.hex()}, so nothing is revoked; it knows"]
    lines += [f"  {each.hex()}  signing key{', in use' if each == signing[0] else ', followed'}" for each in signing]
    lines += [f"  {each.hex()}  session key, in recording {recording}" for each, recording in _newest_sessions(vault)]
    if named := [each.hex() for each in signing if key_id(each) == key]:
        lines.append(f"given was the id of {named[0]}: give the key itself")
    raise TheirError(Kind.NOT_FOUND, "\n".join([*lines, "--unknown revokes a key that is known from elsewhere (OPERATING.md)"]))


def _signed(vault: Vault, recording: str, key: bytes) -> bool:
    """Tell whether a chain brings a certificate of this session key; a chain that is damaged further on may say so too."""
    try:
        chain = b"".join(vault.chain(recording))
        # To look for the bytes first is a thousand times faster than to read each record.
        return key in chain and any(key == each for each in _sessions(chain))
    except TheirError:
        return False


def _sessions(chain: bytes) -> Iterator[bytes]:
    for record in iterate(chain):
        if isinstance(record.body, Start | KeyRollover | Recovery):
            yield record.body.certificate.session_key


def _newest_sessions(vault: Vault) -> list[tuple[bytes, str]]:
    """Return session keys by the signed starts, each with one of its recordings, the newest first."""
    found: dict[bytes, str] = {}
    for recording in reversed(vault.recordings()):
        try:
            # The start is the first record, and shorter than the first piece that is read.
            found.setdefault(next(_sessions(next(vault.chain(recording)))), recording)
        except (TheirError, StopIteration):
            continue
        if len(found) == MAX_NAMED:
            break
    return list(found.items())
