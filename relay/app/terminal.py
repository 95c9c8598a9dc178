"""What the commands of `relay` share: their common options, one exchange with the relay, tables, and exit codes.

Owns: the table from `Kind` to exit code and the two screens.  Must never know: a command.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console as Screen
from rich.table import Table
from rich.text import Text

from relay.app import logs
from relay.app.installation import require_installation
from relay.app.settings import Settings
from relay.base.errors import Kind
from relay.policy.texts import visible_lines, visible_text

if TYPE_CHECKING:
    from relay.app.console import Console

EXIT: dict[Kind, int] = {
    Kind.INVALID: 64,
    Kind.INCOMPLETE: 64,
    Kind.NOT_FOUND: 66,
    Kind.GONE: 66,
    Kind.UNAVAILABLE: 69,
    Kind.CONFLICT: 73,
    Kind.TOO_MANY: 75,
    Kind.UNAUTHENTICATED: 77,
    Kind.FORBIDDEN: 77,
}
"""Exit codes as in sysexits.h; every other kind exits with `SOFTWARE`."""
SOFTWARE = 70

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default: settings.toml in the data folder")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Data folder")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]

screen = Screen()
errors = Screen(stderr=True)


def ask(settings: Settings, work: Callable[["Console"], Awaitable[Any]]) -> Any:
    """Open a console, run `work` with it, and return its result; raises what the relay refuses with (RelayError)."""
    require_installation(settings)
    # Imported here, because the supervisor, the verifier and `--help` start faster without everything that control needs.
    from relay.app.console import console

    async def run() -> Any:
        async with console(settings) as found:
            return await work(found)

    logs.configure("warning", settings.log.format, "console")
    return asyncio.run(run())


def show(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    """Print rows as a table of these columns, or as JSON."""
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(*columns)
    for row in rows:
        # As `Text`: in a plain string Rich would read `[red]` or `[/]` in a name as markup.
        table.add_row(*(Text("" if row.get(column) is None else visible_text(str(row[column]))) for column in columns))
    screen.print(table)


def say(text: str, *, error: bool = False) -> None:
    """Print one line; characters that a terminal would obey are written as escapes, markup is not read."""
    typer.echo(visible_text(text), err=error)


def complain(text: str) -> None:
    """Print an error, in red; its line ends stay."""
    errors.print(visible_lines(text), style="red", markup=False, emoji=False, highlight=False, soft_wrap=True)
