"""The key-encryption key split among several people: SLIP-39 shares, any k of n restore it.

Owns: splitting, combining, and the check that the combined key is the right one.
Must never know: people.

The scheme is SatoshiLabs' SLIP-0039 (Shamir over GF(256), a checksum in each share), in its reference implementation.
"""

from pathlib import Path

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics

from relay.base.errors import Kind, OurError, TheirError
from relay.store.long_term_keys import Places
from relay.store.token import PREFIX, open_token
from relay.store.vault import FileOps, write_file
from relay.store.wrapping import FileKek, day_context

MAX_SHARES = 16
KEK = "kek.key"


def split(keys: Path, needed: int, shares: int) -> list[str]:
    """Return `shares` texts of 33 words each; any `needed` of them restore the key.  Raises TheirError."""
    if not 2 <= needed <= shares <= MAX_SHARES:
        raise TheirError(Kind.INVALID, f"2 <= needed <= shares <= {MAX_SHARES}")
    key = (keys / KEK).read_bytes()
    if key.startswith(PREFIX):
        raise TheirError(Kind.CONFLICT, "the key is in a token and cannot leave it: split it before it is moved there")
    (group,) = generate_mnemonics(1, [(needed, shares)], key)
    return list(group)


def combine(keys: Path, texts: list[str], places: Places) -> int:
    """Restore the key from its shares to its place, file or token; return the number of day keys it opens.

    Raises TheirError where the shares do not belong together, or give a key that does not open the day keys.
    """
    try:
        key = combine_mnemonics(texts)
    except MnemonicError as error:
        raise TheirError(Kind.INVALID, f"shares: {error}") from None
    kek = FileKek(key)
    days = sorted((keys / "days").glob("*.key"))
    for path in days:
        try:
            kek.unwrap(path.read_bytes(), day_context(path.stem))
        except OurError:
            raise TheirError(Kind.CONFLICT, f"these shares give a key that does not open days/{path.name}") from None
    token = places.token if places.kek_in_token else None
    content = key if token is None else open_token(token).import_kek(key)
    write_file(FileOps(), keys / KEK, content)
    return len(days)
