"""The key-encryption key in the hands of several people: SLIP-39 shares, any k of n bring it back.

What this file owns: splitting, combining, and the proof that what was combined is the key.  What it must never know: people.
The scheme is SatoshiLabs' SLIP-0039 (Shamir over GF(256), a checksum in each share), by its reference implementation.
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
    """Return `shares` texts of 33 words, any `needed` of which give the key back.  Raises TheirError."""
    if not 2 <= needed <= shares <= MAX_SHARES:
        raise TheirError(Kind.INVALID, f"2 <= needed <= shares <= {MAX_SHARES}")
    key = (keys / KEK).read_bytes()
    if key.startswith(PREFIX):
        raise TheirError(Kind.CONFLICT, "the key is in a token and does not leave it: split it before it goes there")
    (group,) = generate_mnemonics(1, [(needed, shares)], key)
    return list(group)


def combine(keys: Path, texts: list[str], places: Places) -> int:
    """Put the key that the shares give in its place, file or token; return how many day keys it opens.

    Raises TheirError where the shares do not fit together, or give another key than the one that wrapped what is there.
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
