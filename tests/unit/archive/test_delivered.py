"""`relay check --export`: what was delivered is recognised, also packed anew; anything else is named."""

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from relay.archive.delivered import Comparison, Deliveries, Given, compare
from relay.archive.exports import ExportRequest, Exports
from relay.evidence.contents import locate
from relay.evidence.seal import sha256
from relay.store import journal_rows
from relay.store.readers import FolderReader, ZipReader
from tests.support.services import COMMANDER, House

NS = 1_000_000_000


@dataclass
class Handed:
    """One delivery: the archive, its recording, and what the journal says."""

    data: bytes
    recording: str
    deliveries: Deliveries
    size: int
    folder: Path

    def unpacked(self) -> Path:
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            archive.extractall(self.folder)
        return self.folder / self.recording

    def of_folder(self, folder: Path, signed: int | None = None) -> Comparison:
        with closing(FolderReader(folder)) as reader:
            given = Given.of("", locate(reader))
        return compare(given, self.deliveries, self.size if signed is None else signed, self.recording)


@pytest.fixture
async def handed(house: House, tmp_path: Path) -> Handed:
    recording = await house.record(seconds=5)
    exports = Exports(
        house.catalogue, house.journal, house.authorizer, house.vault, house.keyring, house.clock, house.counters,
        verifier=b"print('verifier')\n", derive=None, revoked={},
    )  # fmt: skip
    started = (await house.catalogue.recordings.get(recording)).started_ns
    wanted = ExportRequest(started, started + 60 * NS, "réquisition", "CPP_60-1", "OPJ Bernard", "SRPJ Rennes", "PV 12/2026")
    export = await exports.request(COMMANDER, recording, wanted)
    data = b"".join([chunk async for chunk in await exports.deliver(COMMANDER, export.export)])
    return Handed(data, recording, await _deliveries(house), house.journal.size, tmp_path / "unpacked")


async def _deliveries(house: House) -> Deliveries:
    deliveries = Deliveries()
    deliveries.take(await house.database.read(lambda connection: journal_rows.select(connection, -1, 1000)))
    return deliveries


def test_the_archive_is_recognised_by_its_bytes(handed: Handed) -> None:
    found = compare(Given(sha256(handed.data).hex()), handed.deliveries, handed.size)
    assert found.same
    assert found.lines[0].startswith("this is what was delivered, every byte of the archive: extraction ")


def test_unpacked_or_packed_anew_its_files_are_recognised(handed: Handed) -> None:
    found = handed.of_folder(handed.unpacked())
    assert found.same
    assert found.lines[0].startswith("packed anew or unpacked, but every file is as it was delivered")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda data: data, True),
        (lambda data: b"PK\3\4 another film" + data, False),  # a program that reads from the front sees it
        (
            lambda data: data[: data.index(b"manifest.json")] + b"Manifest.json" + data[data.index(b"manifest.json") + 13 :],
            False,
        ),
    ],
    ids=["as it is", "bytes in front", "another name in a header"],
)
def test_an_archive_that_shows_another_program_something_else_is_not_what_was_delivered(
    handed: Handed, change: Callable[[bytes], bytes], same: bool, tmp_path: Path
) -> None:
    anew = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(handed.data)) as old, zipfile.ZipFile(anew, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    path = tmp_path / "anew.zip"
    path.write_bytes(change(anew.getvalue()))
    with closing(ZipReader(path)) as reader:
        inside = locate(reader)
        found = compare(Given.of("", inside), handed.deliveries, handed.size, handed.recording)
    assert found.same == same
    assert any("another program" in line for line in found.lines) != same


def test_what_a_desktop_adds_is_named_and_harmless(handed: Handed) -> None:
    folder = handed.unpacked()
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "derived").mkdir()
    (folder / "derived" / "._playable.mp4").write_bytes(bytes.fromhex("0005160700020000") + bytes(90))  # as macOS writes it
    found = handed.of_folder(folder)
    assert found.same
    assert found.lines[1:] == (
        "not of the delivery, and harmless: .DS_Store",
        "not of the delivery, and harmless: derived/._playable.mp4",
    )


def test_a_film_under_the_name_of_what_a_desktop_leaves_was_not_delivered(handed: Handed) -> None:
    folder = handed.unpacked()
    (folder / "._film.mp4").write_bytes((folder / "00000.mp4").read_bytes())
    assert not handed.of_folder(folder).same


def _rewrite(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "requesting_agent": "OPJ Martin"}))


def _swap(folder: Path) -> None:
    one, other = (folder / "statement").read_bytes(), (folder / "revocations").read_bytes()
    (folder / "statement").write_bytes(other)
    (folder / "revocations").write_bytes(one)


@pytest.mark.parametrize(
    "change",
    [
        _rewrite,
        _swap,
        lambda folder: (folder / "journal").unlink(),
        lambda folder: (folder / "added.pdf").write_bytes(b"x"),
        lambda folder: (folder / "00000.mp4").write_bytes((folder / "00000.mp4").read_bytes()[:-1]),
        lambda folder: (folder / "verify.py").rename(folder / "check.py"),
        lambda folder: (folder / "chain").write_bytes((folder / "chain").read_bytes()[:-200]),
    ],
)
def test_any_other_difference_is_not_what_was_delivered_and_the_deliveries_of_the_recording_are_named(
    handed: Handed, change: Callable[[Path], None]
) -> None:
    folder = handed.unpacked()
    change(folder)
    found = handed.of_folder(folder)
    assert not found.same
    assert found.lines[0].startswith("this is NOT what was delivered")
    assert found.lines[1].startswith("delivered of this recording: extraction")


def test_an_entry_that_nothing_signs_yet_vouches_for_nothing(handed: Handed) -> None:
    [one] = handed.deliveries.found
    assert handed.of_folder(handed.unpacked(), one.leaf + 1).same
    found = handed.of_folder(handed.unpacked(), one.leaf)
    assert not found.same
    assert "stands under no signed checkpoint yet" in found.lines[-1]


def test_of_a_delivery_by_an_older_version_only_the_archive_is_told(handed: Handed) -> None:
    handed.deliveries.found = [replace(one, content=None) for one in handed.deliveries.found]
    assert compare(Given(sha256(handed.data).hex()), handed.deliveries, handed.size).same
    found = handed.of_folder(handed.unpacked())
    assert not found.same
    assert "with the digest of its archive only" in found.lines[-1]


async def test_a_delivery_that_was_cut_short_is_none(house: House, handed: Handed) -> None:
    assert len(handed.deliveries.found) == 1
    rows = await house.database.read(lambda connection: journal_rows.select(connection, -1, 1000))
    told = Deliveries()
    told.take([replace(row, body=(row.body or b"").replace(b"extraction delivered", b"extraction failed")) for row in rows])
    assert told.found == []


def test_entries_that_were_damaged_or_deleted_stop_nothing_and_are_said(handed: Handed) -> None:
    told = Deliveries()
    bodies = [
        b'"event":"extraction delivered"',
        b'{"details":{"event":"extraction delivered"}}',
        b'[{"event":"extraction delivered"}]',
        None,
    ]
    told.take([journal_rows.Row(n, n, "transfert", b"", body, bytes(32)) for n, body in enumerate(bodies)])
    assert told.found == []
    assert "an older delivery would not be known any more" in compare(Given("00"), told, 9).lines[-1]
