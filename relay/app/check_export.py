"""`relay check --export`: is this archive or folder what the relay delivered?

Owns: reading it, and the output.  Must never know: how deliveries are compared (`archive.delivered`).
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import typer

from relay.app.journal_cmd import journal_verdict, trusted_keys, unreadable
from relay.app.settings import Settings
from relay.app.terminal import say
from relay.archive.delivered import Comparison, Deliveries, Given, compare
from relay.base.errors import TheirError
from relay.evidence.contents import locate
from relay.evidence.exits import Exit
from relay.evidence.statement import successions_in
from relay.evidence.verdict import Verdict
from relay.evidence.verify import verify
from relay.store.readers import open_reader

MAX_LINES = 20
"""Findings of the recording's own verdict that are printed."""


def check_export(settings: Settings, path: Path, *, as_json: bool) -> int:
    """Compare and print; return the exit code.  Raises RelayError where journal or files cannot be read."""
    with unreadable():
        archive = _digest(path)
    deliveries = Deliveries()
    journal = asyncio.run(journal_verdict(settings, None, {}, deliveries.take))
    found = compare(Given(archive), deliveries, journal.signed) if archive else None
    if found is None or not _matches(archive, deliveries):
        with unreadable():
            found = _by_files(settings, path, archive, deliveries, journal.signed)
    lines = list(found.lines)
    if not journal.intact:
        lines.append(
            "the journal itself is not what was signed, so it cannot answer: `relay journal verify` names what was changed"
        )
    same = found.same and journal.intact
    if as_json:
        typer.echo(json.dumps({"delivered": same, "lines": lines}))
    else:
        for line in lines:
            say(line)
    return Exit.NO_FINDING if same else Exit.FINDING


def _matches(archive: str, deliveries: Deliveries) -> bool:
    return any(one.archive == archive for one in deliveries.found)


def _digest(path: Path) -> str:
    """Return the SHA-256 of an archive, nothing for a folder; raises TheirError or OSError."""
    if path.is_dir():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_files(settings: Settings, path: Path, archive: str, deliveries: Deliveries, signed: int) -> Comparison:
    """Compare the files; where they differ, add what the verdict on the recording says of them."""
    with open_reader(path) as reader:
        inside = locate(reader)
        given = Given.of(archive, inside)
        first = compare(given, deliveries, signed)
        if first.same:
            return first
        verdict = _verdict(settings, path)
        recording = "" if verdict is None else verdict.recording
        return Comparison(False, (*compare(given, deliveries, signed, recording).lines, *_findings(verdict)))


def _verdict(settings: Settings, path: Path) -> Verdict | None:
    """Return the verdict on the recording under the installation's key, None where nothing can be read as one."""
    keys, known = trusted_keys(settings, None), settings.data / "keys" / "successions"
    successions = successions_in(known.read_bytes()) if known.exists() else []
    try:
        with open_reader(path) as reader:
            return verify(reader, keys[0], successions=successions)
    except TheirError:
        return None


def _findings(verdict: Verdict | None) -> Sequence[str]:
    if verdict is None:
        return ["nothing in it can be read as a recording"]
    if not verdict.findings:
        return ["the recording in it verifies without a finding: made by this relay, but not handed over like this"]
    lines = [f"verify: {finding.text('en')}" for finding in verdict.findings[:MAX_LINES]]
    left = len(verdict.findings) - len(lines)
    return [*lines, *([f"verify: and {left} more findings"] if left else [])]
