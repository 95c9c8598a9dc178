"""`relay keys`: rotation, escrow; entered in the journal.

Owns: arguments, and that the relay does not run meanwhile (several of its processes hold its keys).
Must never know: how keys are stored.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from relay.app.installation import installed_settings
from relay.app.keyrings import keyring_of, pinned_elsewhere, places_of
from relay.app.known_keys import require_known
from relay.app.offline import enter, standing_still
from relay.app.revoked import attested_here, revoked_file
from relay.app.terminal import ConfigOption, DataOption
from relay.base.clock import SystemClock
from relay.base.errors import Kind, TheirError
from relay.evidence.keys import key_from
from relay.evidence.seal import DIGEST
from relay.evidence.statement import sign_revocations
from relay.policy.texts import clean_text
from relay.store import escrow
from relay.store.keyring import Keyring
from relay.store.revocations import REVOKED, add_revoked, revoked_keys
from relay.store.vault import FileOps, Vault, write_file

MAX_REASON_BYTES = 200
"""Bytes of a reason that is signed into a succession (FORMAT.md §6)."""

app = typer.Typer(no_args_is_help=True, help="Long-term keys; the relay must not run, but for `revocations`.")


@app.command("rotate-kek")
def rotate_kek(
    reason: Annotated[str, typer.Option(help="Reason; entered in the journal")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Wrap every day key under a new key-encryption key, made where the settings say; no recording is touched."""
    settings, reason = installed_settings(config, data), clean_text(reason, "--reason")
    with standing_still(settings):
        keyring = keyring_of(settings)
        count = keyring.rotate_kek()
        asyncio.run(enter(settings, "key-encryption key rotated", reason, days=count, place=settings.keys.kek))
    _report_undestroyed(keyring)
    typer.echo(f"{count} day keys wrapped anew; the shares of the old key are void: run `relay keys split` again")


@app.command("rotate-signing")
def rotate_signing(
    reason: Annotated[str, typer.Option(help="Reason; entered in the journal, and signed into the succession")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let a new signing key take over, made where the settings say; what the old one sealed verifies against the new one."""
    settings, reason = installed_settings(config, data), clean_text(reason, "--reason", max_bytes=MAX_REASON_BYTES)
    with standing_still(settings):
        pinned = pinned_elsewhere(settings)
        keyring = keyring_of(settings)
        old = keyring.public_key
        # Entered under the old key, so that its last checkpoint says that it ends here even after a crash.
        asyncio.run(enter(settings, "signing key to be followed", reason, old=old.hex()))
        keyring.rotate_signing(SystemClock().utc_ns(), reason)
        if pinned is not None:
            write_file(FileOps(), pinned, keyring.public_key.hex().encode() + b"\n")
        new, place = keyring.public_key.hex(), settings.keys.signing
        asyncio.run(enter(settings, "signing key rotated", reason, old=old.hex(), new=new, place=place))
    _report_undestroyed(keyring)
    typer.echo(f"public key {new}: write it down, and give it to everybody who verifies; it vouches for the earlier ones")


@app.command()
def revoke(
    key: Annotated[str, typer.Option(help="Public key, 64 hex digits: an earlier signing key, or a session key")],
    why: Annotated[str, typer.Option(help="Reason; entered in the journal")],
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Revoke a key that this relay does not know; entered in the journal as unknown")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Revoke a key for ever: it vouches only for recordings that the journal already knew.  Rotate first."""
    settings, why = installed_settings(config, data), clean_text(why, "--why")
    revoked = key_from(key.encode(), "--key")
    with standing_still(settings):
        keyring = keyring_of(settings)
        if revoked == keyring.public_key:
            raise TheirError(Kind.CONFLICT, "this key signs now: `relay keys rotate-signing` first")
        if revoked in revoked_keys(revoked_file(settings)):
            raise TheirError(Kind.CONFLICT, "this key is revoked already")
        if not unknown:
            vault = Vault(settings.data / "vault")
            vault.prepare()
            require_known(revoked, keyring, vault)
        # The entry comes first: after a crash between the two the command is repeated, and the first entry counts.
        asyncio.run(enter(settings, REVOKED, why, key=revoked.hex(), unknown=unknown))
        add_revoked(revoked_file(settings), revoked)
    typer.echo(f"{revoked.hex()} is revoked: recordings that the journal did not know are of no proved origin any more")


@app.command()
def revocations(
    head: Annotated[str, typer.Argument(help="Head of the chain, 64 hex digits, from an expert's verdict")],
    out: Annotated[Path, typer.Argument(help="File to write, for `--revocations` of the verifier")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write today's signed list of revoked keys, and whether each vouches for one chain.  The relay may run."""
    settings = installed_settings(config, data)
    if len(head) != 2 * DIGEST:
        raise TheirError(Kind.INVALID, "HEAD: the 64 hex digits of a chain's head, not the recording's id")
    about, keyring = key_from(head.encode(), "HEAD"), keyring_of(settings)
    revoked = asyncio.run(attested_here(settings, keyring.public_key))
    listing = sign_revocations(keyring.signer, head=about, issued_ns=SystemClock().utc_ns(), revoked=revoked)
    write_file(FileOps(), out, listing)
    typer.echo(f"{out}: {len(revoked)} revoked keys")


@app.command()
def split(
    needed: Annotated[int, typer.Option(help="Shares that bring the key back")],
    shares: Annotated[int, typer.Option(help="Shares to print")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Print SLIP-39 shares of the key-encryption key, one a line, each for one person; no file is written."""
    settings = installed_settings(config, data)
    with standing_still(settings):
        texts = escrow.split(settings.data / "keys", needed, shares)
        asyncio.run(enter(settings, "key-encryption key split", "escrow", needed=needed, shares=shares))
    for text in texts:
        typer.echo(text)


@app.command()
def combine(config: ConfigOption = None, data: DataOption = None) -> None:
    """Restore the key-encryption key from shares on standard input, one a line, to its file or, if so set, to the token."""
    settings = installed_settings(config, data)
    texts = [line.strip() for line in sys.stdin if line.strip()]
    with standing_still(settings):
        count = escrow.combine(settings.data / "keys", texts, places_of(settings))
        asyncio.run(enter(settings, "key-encryption key combined", "escrow", days=count, place=settings.keys.kek))
    typer.echo(f"the key is back and opens all of {count} day keys")


def _report_undestroyed(keyring: Keyring) -> None:
    for reference, what in keyring.undestroyed().items():
        typer.echo(f"the token refused to destroy the {what} that was followed, {reference}: destroy it there", err=True)
