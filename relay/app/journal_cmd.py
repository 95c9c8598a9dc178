"""`relay journal`: is the journal what was signed, the proof of an entry, and the check of such a proof.

Owns: arguments and output of these commands.  Must never know: how anything is compared.  Exit codes: `evidence.exits`.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from relay.app.installation import installed_settings
from relay.app.settings import Settings, settings_of
from relay.app.terminal import AsJson, ConfigOption, DataOption, ask, say
from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.base.errors import Kind, TheirError
from relay.evidence.exits import Exit
from relay.evidence.keys import public_key_from
from relay.evidence.log_proof import MAX_FILE
from relay.evidence.proof_report import judge_proofs
from relay.evidence.standalone import key_argument
from relay.evidence.statement import predecessors, successions_in
from relay.store.vault import FileOps, write_file

if TYPE_CHECKING:
    from relay.app.console import Console
    from relay.store.journal_check import JournalVerdict

MAX_CHECKPOINTS = 1 << 30
"""Bytes of a file of checkpoints: a relay writes about 130 MB a year."""

app = typer.Typer(no_args_is_help=True, help="The journal.")

KeyOption = Annotated[str | None, typer.Option("--key", help="Relay's public key: file (raw, hex, PEM) or 64 hex digits")]
Entry = Annotated[int, typer.Argument(min=0, help="Number of the entry")]


@app.command()
def verify(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of checkpoints kept elsewhere (copy of the file, one note, a proof); may be given several times"
        ),
    ] = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: AsJson = False,
) -> None:
    """Check the journal against its signed checkpoints, and against older ones from anywhere; the relay may run.

    Exit 0: it holds; 1: a finding; 2: the journal or one of these files cannot be read; 3: an error of the relay's own.
    """
    settings = installed_settings(config, data)
    outside = {str(path): _bounded(path, MAX_CHECKPOINTS) for path in checkpoint or []}
    verdict = asyncio.run(journal_verdict(settings, key, outside))
    if as_json:
        typer.echo(json.dumps(_plain(verdict)))
    else:
        _show(verdict)
    raise typer.Exit(_exit_code(verdict))


@contextmanager
def unreadable() -> Iterator[None]:
    """Turn a file that cannot be read into TheirError (NOT_FOUND): exit code 2."""
    try:
        yield
    except OSError as error:
        raise TheirError(Kind.NOT_FOUND, f"{error.filename or 'input'}: {error.strerror}") from None


def _bounded(path: Path, most: int) -> bytes:
    """Return a file's bytes; raises TheirError where it cannot be read or is longer than `most`."""
    with unreadable(), path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise TheirError(Kind.TOO_LARGE, f"{path}: longer than {most} bytes")
    return data


async def journal_verdict(
    settings: Settings, key: str | None, outside: dict[str, bytes], watch: Any = None
) -> "JournalVerdict":
    """Verify the journal of an installation, or of a copy of its data folder: no private key is needed.  Raises RelayError."""
    from relay.app.wiring import database_url, journal_name
    from relay.store.database import Database
    from relay.store.journal_check import verify_journal

    keys = trusted_keys(settings, key)
    database = await Database.open(database_url(settings), Counters())
    try:
        checkpoints, origin = settings.data / "journal" / "checkpoints", journal_name(keys[-1])
        return await verify_journal(database, checkpoints, keys, origin, SystemClock().utc_ns(), outside, watch)
    finally:
        await database.close()


def trusted_keys(settings: Settings, key: str | None) -> list[bytes]:
    """Return the trusted key (`key`, else the one that the settings pin, else the installation's) and those before it."""
    successions = settings.data / "keys" / "successions"
    pinned = settings.evidence.public_key or settings.data / "keys" / "signing.pub"
    with unreadable():
        public_key = public_key_from(pinned.read_bytes()) if key is None else key_argument(key, public_key_from)
        known = successions_in(successions.read_bytes()) if successions.exists() else []
    return [public_key, *predecessors(public_key, known)]


def _exit_code(verdict: "JournalVerdict") -> int:
    if verdict.findings or any(answer.kind not in ("holds", "unreadable") for answer in verdict.outside):
        return Exit.FINDING
    return Exit.NO_FINDING if verdict.intact else Exit.UNREADABLE


def _finding_lines(verdict: "JournalVerdict") -> list[str]:
    return [f"{item.kind} {item.first}-{item.last}: {item.detail}" for item in verdict.findings]


def _plain(verdict: "JournalVerdict") -> dict[str, Any]:
    return {
        "intact": verdict.intact,
        "size": verdict.size,
        "signed": verdict.signed,
        "checkpoints": verdict.checkpoints,
        "findings": _finding_lines(verdict),
        "outside": [
            {"file": answer.source, "answer": answer.kind, "size": answer.size, "detail": answer.detail}
            for answer in verdict.outside
        ],
    }


def _show(verdict: "JournalVerdict") -> None:
    say(f"{'intact' if verdict.intact else 'NOT INTACT'}: {verdict.size} entries, {verdict.signed} under a checkpoint")
    for line in _finding_lines(verdict):
        say(f"  {line}")
    for answer in verdict.outside:
        of = "" if answer.size is None or answer.kind == "holds" else f", checkpoint of {answer.size} entries"
        say(f"  {answer.source}{of}: {answer.kind.upper().replace('_', ' ')}: {answer.detail}")


@app.command()
def prove(
    entry: Entry,
    out: Annotated[Path, typer.Argument(help="File to write, for `relay journal verify-proof` and `verify.py`")],
    user: Annotated[str, typer.Option(help="Auditor who reads the entry; the password is asked for")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write the proof that an entry stands in the journal, under a checkpoint of now.  It reveals this entry and no other.

    The reading is an entry of the journal, as in the page.
    """
    if out.exists():
        raise TheirError(Kind.CONFLICT, f"{out} exists")
    password = typer.prompt("Password", hide_input=True)
    found = ask(settings_of(config, data), lambda made: _proof(made, user, password, entry))
    write_file(FileOps(), out, found["file"].encode())
    purged = ": its words were deleted after three years, its hash is proved" if found["body"] is None else ""
    say(f"{out}: proof of entry {entry}{purged}")


async def _proof(console: "Console", user: str, password: str, entry: int) -> Any:
    session = await console.call("POST", "/api/session", {"user": user, "password": password})
    console.http.headers["X-CSRF"] = session["csrf"]
    try:
        return await console.call("GET", f"/api/journal/proof?leaf={entry}")
    finally:
        await console.call("DELETE", "/api/session")


@app.command("verify-proof")
def verify_proof(
    path: Annotated[Path, typer.Argument(help="File of proofs: of `relay journal prove`, or `journal` of an extraction")],
    key: KeyOption = None,
    successions: Annotated[Path | None, typer.Option(help="Successions of the relay's keys: file")] = None,
    as_json: AsJson = False,
    lang: Annotated[Literal["fr", "en"] | None, typer.Option(help="Language; default: that of LANG")] = None,
) -> None:
    """Check proofs of journal entries; needs no relay.  The key must come from the service, not from the proof.

    Exit 0: every entry is proved; 1: one is not; 2: the file cannot be read; 3: an error of the relay's own.
    """
    with unreadable():
        public_key = None if key is None else key_argument(key, public_key_from)
    known = [] if successions is None else successions_in(_bounded(successions, MAX_FILE))
    verdict = judge_proofs(_bounded(path, MAX_FILE), public_key, known)
    language = lang or ("fr" if os.environ.get("LANG", "fr").startswith("fr") else "en")
    if as_json:
        typer.echo(json.dumps(verdict.as_json(), ensure_ascii=False, indent=1))
    else:
        for line in verdict.lines(language):
            say(line)
    raise typer.Exit(verdict.exit_code)
