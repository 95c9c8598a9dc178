"""`relay export`: a commander's extraction from the command line, by the same routes as from the page.

Owns: the exchange and its progress.  Must never know: what is in the archive.
"""

import os
from pathlib import Path
from typing import Any

from rich.console import Console as Screen
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from relay.app.console import Console
from relay.base.errors import Kind, TheirError
from relay.policy.texts import visible_text

CHUNK = 1 << 18


async def extract(
    console: Console, user: str, password: str, recording: str, body: dict[str, Any], out: Path, screen: Screen
) -> None:
    """Sign in as the commander, enter the extraction, write the archive (mode 0600), sign out.

    Raises TheirError or OurError as the relay refused.
    """
    session = await console.call("POST", "/api/session", {"user": user, "password": password})
    console.http.headers["X-CSRF"] = session["csrf"]
    try:
        made = await console.call("POST", f"/api/recordings/{recording}/exports", body)
        await _download(console, made["file"], out, screen)
    finally:
        await console.call("DELETE", "/api/session")


async def _download(console: Console, path: str, out: Path, screen: Screen) -> None:
    partial = out.with_name(out.name + ".part")
    columns = (TextColumn("{task.description}", markup=False), DownloadColumn(), TransferSpeedColumn())
    async with console.http.get(f"http://relay{path}") as response:
        if response.status != 200:
            raise TheirError(Kind.CONFLICT, (await response.json()).get("detail", "refused"))
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file, Progress(*columns, console=screen, transient=True) as bar:
            task = bar.add_task(visible_text(out.name), total=None)
            async for chunk in response.content.iter_chunked(CHUNK):
                file.write(chunk)
                bar.advance(task, len(chunk))
    partial.replace(out)
