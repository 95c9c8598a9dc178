"""The public keys that this relay knows, so that `relay keys revoke` refuses a mistyped one.

Owns: the search in the keyring's succession and in the certificates of the vault.  Must never know: what a revocation does.

Session keys are listed nowhere: each stands, certified, in the recordings that it signed.
"""

from collections.abc import Iterator

from relay.base.errors import Kind, TheirError
from relay.evidence.chain import iterate
from relay.evidence.records import KeyRollover, Recovery, Start
from relay.evidence.seal import key_id
from relay.store.keyring import Keyring
from relay.store.vault import Vault

MAX_NAMED = 10
"""How many session keys a refusal names, the newest first: a recorder has another after each start."""


def require_known(key: bytes, keyring: Keyring, vault: Vault) -> None:
    """Raise TheirError(NOT_FOUND), which names the known keys, unless the relay knows this one; may read every chain."""
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
    """Return whether a chain holds a certificate of this session key.  A chain that is damaged behind it counts too."""
    try:
        chain = b"".join(vault.chain(recording))
        # Searching for the bytes first is a thousand times faster than parsing every record.
        return key in chain and any(key == each for each in _sessions(chain))
    except TheirError:
        return False


def _sessions(chain: bytes) -> Iterator[bytes]:
    for record in iterate(chain):
        if isinstance(record.body, Start | KeyRollover | Recovery):
            yield record.body.certificate.session_key


def _newest_sessions(vault: Vault) -> list[tuple[bytes, str]]:
    """Return the session keys in signed starts, each with one of its recordings, the newest first."""
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
