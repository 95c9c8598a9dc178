"""`relay verify`: the verdict on a recording, offline.

Owns: arguments and progress of the command, and which of its exit codes (`evidence.exits`) each outcome has.
Must never know: how anything is judged (`relay.evidence.verify`), nor a running relay.  The trusted key comes from `--key` or
from an installation that was named (`--data`, `--config`, RELAY_DATA): never from the recording, nor from a `data` folder that
happens to lie where the command is typed, because a forger can hand over such a folder with the recording.
"""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from relay.app.revoked import attested_here
from relay.app.settings import ENV_PREFIX, Settings, settings_of
from relay.app.terminal import complain, say
from relay.base.encodable import encodable
from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.exits import Exit
from relay.evidence.keys import public_key_from
from relay.evidence.readings import HashingReader
from relay.evidence.report import report
from relay.evidence.standalone import key_argument, lies_within, recording_key_argument, single_file
from relay.evidence.statement import successions_in
from relay.evidence.verdict import Language, Verdict
from relay.evidence.verify import verify as judge
from relay.policy.texts import visible_text
from relay.store.readers import open_reader
from relay.store.revocations import Attested

_IN_DATA = f"{ENV_PREFIX}DATA"


def verify(
    path: Annotated[Path | None, typer.Argument(help="Vault folder, copy of it, or export (folder or zip)")] = None,
    key: Annotated[
        str | None, typer.Option(help="Relay's long-term public key: 64 hex digits, or a file (hex, base64, PEM, raw)")
    ] = None,
    recording_key: Annotated[
        str | None, typer.Option(help="Decryption key of the recording: file, or - for standard input")
    ] = None,
    successions: Annotated[
        Path | None, typer.Option(help="Successions of the relay's keys; default: those of the installation, without --key")
    ] = None,
    revocations: Annotated[
        Path | None, typer.Option(help="Signed list of revoked keys about this recording (`relay keys revocations`)")
    ] = None,
    expect: Annotated[
        str | None, typer.Option(help="Id of the recording that this should be: another one is a finding")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON")] = False,
    lang: Annotated[Literal["fr", "en"] | None, typer.Option(help="Language of the verdict; default: that of LANG")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file that pins the public key")] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder of the installation whose key is trusted")] = None,
    emit_standalone: Annotated[Path | None, typer.Option(help="Write the single-file verifier there")] = None,
) -> None:
    """Return whether a recording is intact, complete, of proved origin and consistent time, fragment by fragment."""
    language: Language = lang or ("fr" if os.environ.get("LANG", "fr").startswith("fr") else "en")
    errors = Console(stderr=True)
    try:
        if emit_standalone is not None:
            emit_standalone.write_text(single_file(), encoding="utf-8")
            say(str(emit_standalone), error=True)
        if path is None:
            if emit_standalone is None:
                complain("name what is to be verified: a folder or a zip")
            raise typer.Exit(Exit.OURS if emit_standalone is None else Exit.NO_FINDING)
        here = None if key is not None else _named(config, data)
        home = here if here is not None and (data or here.data.is_absolute() or _IN_DATA in os.environ) else None
        found = _successions(successions, home)
        public_key = _public_key(key, here, home, path)
        revoked = None if home is None or public_key is None else asyncio.run(attested_here(home, public_key))
        lists = [] if revocations is None else [revocations.read_bytes()]
        within = key is not None and lies_within(key, path)
        documents = Documents(found, lists, revoked, within, expect)
        verdict = _judge(path, public_key, documents, recording_key, errors)
    except (TheirError, OSError) as error:
        complain(f"{'illisible' if language == 'fr' else 'unreadable'} : {error}")
        raise typer.Exit(Exit.UNREADABLE) from None
    except OurError as error:
        complain(error.detail)
        raise typer.Exit(Exit.OURS) from None
    _show(verdict, language, as_json=as_json)
    raise typer.Exit(verdict.exit_code)


def _named(config: Path | None, data: Path | None) -> Settings | None:
    """Return the settings that were named, None where none were; their data folder may be nowhere but where one stands."""
    if config is None and data is None and _IN_DATA not in os.environ:
        return None
    return settings_of(config, data)


def _public_key(key: str | None, here: Settings | None, home: Settings | None, path: Path) -> bytes | None:
    """Return the trusted key: the one given, else the one pinned by settings (`here`), else the installation's (`home`).

    None where there is none, which is a finding.  Raises TheirError where that file lies in what is to be verified.
    """
    if key is not None:
        return key_argument(key, public_key_from)
    pinned = here.evidence.public_key if here is not None else None
    if pinned is None and home is not None:
        pinned = home.data / "keys" / "signing.pub"
    if pinned is None:
        return None
    if pinned.resolve().is_relative_to(path.resolve()):
        raise TheirError(Kind.INVALID, f"{pinned} came with the recording: it proves nothing; get the key by another way")
    return public_key_from(pinned.read_bytes()) if pinned.is_file() else None


def _successions(given: Path | None, home: Settings | None) -> list[bytes]:
    """Return the successions given, else the installation's: they are signed, and lead back from the trusted key only."""
    if given is not None:
        return successions_in(given.read_bytes())
    found = None if home is None else home.data / "keys" / "successions"
    return successions_in(found.read_bytes()) if found is not None and found.is_file() else []


@dataclass(frozen=True, slots=True)
class Documents:
    """What is known about keys besides the trusted one; `revoked` is None where no installation of ours says it."""

    successions: list[bytes]
    revocations: list[bytes]
    revoked: Attested | None
    key_within: bool
    """The trusted key is a file within what is judged."""
    expected: str | None = None
    """The recording that this should be."""


def _judge(path: Path, public_key: bytes | None, documents: Documents, recording_key: str | None, errors: Console) -> Verdict:
    opener = None if recording_key is None else recording_key_argument(recording_key)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(visible_text(path.name), total=None)
        with (
            open_reader(path) as reader,
            closing(HashingReader(reader)) as hashing,
            ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="verify") as pool,
        ):
            verdict = judge(
                hashing,
                public_key,
                opener,
                successions=documents.successions,
                revocations=documents.revocations,
                revoked=documents.revoked,
                key_within=documents.key_within,
                expected=documents.expected,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                submit=pool.submit,
            )
            return replace(verdict, read=hashing.finish())


def _show(verdict: Verdict, language: Language, *, as_json: bool) -> None:
    output = Console()
    if as_json:
        output.file.write(json.dumps(verdict.as_json(), indent=1) + "\n")
        return
    for line in report(verdict, language, width=min(output.width, 100), encode=lambda text: encodable(text, output.encoding)):
        output.print(
            line, style="red" if line.startswith("! ") else None, markup=False, emoji=False, highlight=False, soft_wrap=True
        )
