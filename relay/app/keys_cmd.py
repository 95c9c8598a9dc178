"""`relay keys`: rotation, escrow; entered in the journal.

Owns: arguments, and that the relay stands still meanwhile (several processes hold its keys).
Must never know: how keys are kept.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from relay.app.keyrings import keyring_of, places_of
from relay.app.offline import enter, standing_still
from relay.app.settings import settings_of
from relay.store import escrow

app = typer.Typer(no_args_is_help=True, help="Long-term keys; the relay must not run.")
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default: settings.toml in the data folder")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Data folder")]


@app.command("rotate-kek")
def rotate_kek(
    reason: Annotated[str, typer.Option(help="Why; journalled")], config: ConfigOption = None, data: DataOption = None
) -> None:
    """Wrap every day key under a new key-encryption key, made where the settings say; no recording is touched."""
    settings = settings_of(config, data)
    with standing_still(settings):
        count = keyring_of(settings).rotate_kek()
        asyncio.run(enter(settings, "key-encryption key rotated", reason, days=count, place=settings.keys.kek))
    typer.echo(f"{count} day keys wrapped anew; shares of the old key open nothing any more: split again")


@app.command()
def split(
    needed: Annotated[int, typer.Option(help="Shares that bring the key back")],
    shares: Annotated[int, typer.Option(help="Shares to print")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Print SLIP-39 shares of the key-encryption key, one a line, for as many people; nothing is written anywhere."""
    settings = settings_of(config, data)
    with standing_still(settings):
        texts = escrow.split(settings.data / "keys", needed, shares)
        asyncio.run(enter(settings, "key-encryption key split", "escrow", needed=needed, shares=shares))
    for text in texts:
        typer.echo(text)


@app.command()
def combine(config: ConfigOption = None, data: DataOption = None) -> None:
    """Bring the key-encryption key back from shares on standard input, one a line, into its file or, if so set, the token."""
    settings = settings_of(config, data)
    texts = [line.strip() for line in sys.stdin if line.strip()]
    with standing_still(settings):
        count = escrow.combine(settings.data / "keys", texts, places_of(settings))
        asyncio.run(enter(settings, "key-encryption key combined", "escrow", days=count, place=settings.keys.kek))
    typer.echo(f"the key is back and opens all of {count} day keys")
