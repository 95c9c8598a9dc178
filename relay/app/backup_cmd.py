"""`relay backup` and `relay restore`.

Owns: arguments, the entry in the journal.  Must never know: what is in a backup (`relay.store.backup`).
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from relay.app.offline import enter, standing_still
from relay.app.settings import settings_of
from relay.app.terminal import ConfigOption, DataOption
from relay.app.wiring import database_url
from relay.base.clock import SystemClock, rfc3339
from relay.base.errors import Kind, TheirError
from relay.policy.texts import clean_text
from relay.store import backup as backups


def backup(
    out: Annotated[Path, typer.Argument(help="File to write (tar, mode 0600): keep it where keys may be kept")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Back up catalogue, journal, settings and long-term keys, also while the relay runs.  No recording, no recording's key."""
    settings = settings_of(config, data)
    path = Path(database_url(settings).removeprefix("sqlite:///"))
    if not path.is_file():
        raise TheirError(Kind.NOT_FOUND, f"{path}: no database")
    manifest = backups.take(settings.data, path, out, SystemClock().utc_ns())
    typer.echo(f"{out}: journal of {manifest.journal_size} entries")


def restore(
    archive: Annotated[Path, typer.Argument(help="What `relay backup` wrote")],
    data: DataOption = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Copy of journal/checkpoints kept on another machine; shows entries signed after the backup"),
    ] = None,
    accept_loss: Annotated[
        str, typer.Option(help="Reason for losing entries that were signed after the backup; entered in the journal")
    ] = "",
) -> None:
    """Restore a backup into a folder without a database; refuses to roll back the journal.  The relay must not run."""
    settings, accept_loss = settings_of(None, data), clean_text(accept_loss, "--accept-loss", required=False)
    with standing_still(settings):
        found = backups.restore(archive, settings.data, checkpoints, accept_loss=bool(accept_loss))
        facts: dict[str, str | int] = {"taken_at": rfc3339(found.manifest.taken_ns), "entries": found.manifest.journal_size}
        asyncio.run(enter(settings_of(None, data), "restored", accept_loss, lost=found.lost, **facts))
    lost = f"; {found.lost} signed entries are lost, which the journal records" if found.lost else ""
    typer.echo(
        f"{settings.data}: journal of {found.manifest.journal_size} entries as of {rfc3339(found.manifest.taken_ns)}{lost}"
    )
    typer.echo("people and cameras are as they were then: review both lists, then run `relay check`")
