"""`relay check`: lists disagreements between vault, catalogue, keys and journal; `--repair` mends the safe ones.

Owns: arguments, progress and output of the command.  Must never know: what is compared or how it is mended.
"""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from relay.app.installation import installed_settings
from relay.app.settings import settings_of
from relay.app.terminal import AsJson, ConfigOption, DataOption, ask, errors, say, show

if TYPE_CHECKING:
    from relay.app.console import Console

QUIET_SECONDS = 2.0
"""A check that takes no longer shows no progress bar."""
PROGRESS_SECONDS = 0.5
INCOMPLETE = (
    "{processes}: the cage is incomplete, because the kernel lacks Landlock or seccomp. Whoever takes over such a process can"
    " reach keys and recordings. The relay records all the same; its log names what is missing. Run it on Linux 6.12 or newer."
)


def check(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is safe: never media; each repair is an entry")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Archive or folder: only answer whether it is what was delivered; the relay may run")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: AsJson = False,
) -> None:
    """Compare vault, catalogue, keys and journal; exit 1 where they disagree (with --repair: where they still do)."""
    if export is not None:
        from relay.app.check_export import check_export

        raise typer.Exit(check_export(installed_settings(config, data), export, as_json=as_json))
    path = "/api/check/repair" if repair else "/api/check"
    found = ask(settings_of(config, data), lambda made: _asked(made, path))
    if found["cages"]:
        say(INCOMPLETE.format(processes=", ".join(found["cages"])), error=True)
    mended, left = found.get("mended", []), found["disagreements"]
    if as_json:
        typer.echo(json.dumps(found if repair else left))
    else:
        for item in mended:
            say(f"mended: {item['kind']} {item['object_id']}: {item['detail']}")
        if left:
            show(left, ("kind", "object_id", "detail", "safe"), as_json=False)
        else:
            typer.echo("vault, catalogue, keys and journal agree")
    raise typer.Exit(1 if left else 0)


async def _asked(console: "Console", path: str) -> Any:
    """Ask for the check and, once it takes longer than `QUIET_SECONDS`, show its progress."""
    work = asyncio.ensure_future(console.call("POST", path, patient=True))
    try:
        await asyncio.wait({work}, timeout=QUIET_SECONDS)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
            task = bar.add_task("check", total=None, visible=not work.done())
            while not work.done():
                at = await console.call("GET", "/api/check")
                if at["what"]:
                    bar.update(task, description=at["what"], completed=at["done"], total=at["total"])
                await asyncio.wait({work}, timeout=PROGRESS_SECONDS)
        return await work
    finally:
        work.cancel()
