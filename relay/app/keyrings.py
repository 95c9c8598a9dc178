"""Opens the keyring at the places that the settings name.

Owns: the translation of section `keys`.  Must never know: a key.
"""

import os
from pathlib import Path

from relay.app.settings import Settings
from relay.base.errors import OurError
from relay.store.keyring import Keyring
from relay.store.long_term_keys import Places
from relay.store.token import Pin, TokenPlace


def keyring_of(settings: Settings) -> Keyring:
    """Open the keyring of an installation; blocks (files, perhaps a token); raises OurError, TheirError."""
    return Keyring(settings.data / "keys", places=places_of(settings))


def places_of(settings: Settings) -> Places:
    """Return the places of the long-term keys: files, or a PKCS#11 token."""
    keys = settings.keys
    if keys.pkcs11_module is None or keys.pkcs11_token is None:
        return Places()
    pin = Pin(keys.pkcs11_pin_file, keys.pkcs11_pin_variable)
    token = TokenPlace(keys.pkcs11_module, keys.pkcs11_token, pin, keys.pkcs11_signing_label, keys.pkcs11_kek_label)
    return Places(token, keys.kek == "pkcs11", keys.signing == "pkcs11")


def pinned_elsewhere(settings: Settings) -> Path | None:
    """Return the file of the pinned public key if it is not the keyring's own; raises OurError if we may not write it."""
    pinned = settings.evidence.public_key
    if pinned is None or pinned.resolve() == (settings.data / "keys" / "signing.pub").resolve():
        return None
    if not os.access(pinned.parent, os.W_OK):
        raise OurError(f"{pinned} pins the public key, and its folder cannot be written: the new key could not be pinned there")
    return pinned
