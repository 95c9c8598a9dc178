"""An extraction carries its legal fields, verifies by itself, and leaves nothing behind."""

import asyncio
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from relay.archive.exports import Delivery, ExportRequest, Exports
from relay.archive.journal_extract import journal_extract
from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.extraction import read_extraction
from relay.evidence.log_proof import entry_fields, read_proofs
from relay.evidence.verdict import Code
from relay.evidence.verify import verify
from relay.store.catalogue import Export
from relay.store.readers import FolderReader
from tests.support.services import AUDITOR, COMMANDER, OPERATOR, House

COPY = (sys.executable, "-c", "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)")
FAIL = (sys.executable, "-c", "import sys; sys.stdin.buffer.read(); sys.exit(3)")
NS = 1_000_000_000


def _exports(
    house: House, derive: tuple[str, ...] | None = COPY, revoked: Mapping[bytes, Collection[bytes]] | None = None
) -> Exports:
    return Exports(
        house.catalogue,
        house.journal,
        house.authorizer,
        house.vault,
        house.keyring,
        house.clock,
        house.counters,
        verifier=b"print('verifier')\n",
        derive=derive,
        revoked=revoked or {},
    )


async def _wanted(house: House, recording: str, first: float = 0, last: float = 60) -> ExportRequest:
    house.clock.advance(3600)  # nobody extracts what is still to be recorded
    started = (await house.catalogue.recordings.get(recording)).started_ns
    span = (started + int(first * NS), started + int(last * NS))
    return ExportRequest(*span, "réquisition du parquet", "CPP_60-1", "OPJ Bernard", "SRPJ Rennes", "PV 12/2026")


async def _deliver(exports: Exports, export: Export) -> bytes:
    return b"".join([chunk async for chunk in await exports.deliver(COMMANDER, export.export)])


async def test_an_archive_verifies_for_its_interval_with_nothing_but_the_public_key(house: House, tmp_path: Path) -> None:
    recording, exports = await house.record(seconds=5), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording, 1.2, 2.8))
    path = tmp_path / "export.zip"
    path.write_bytes(await _deliver(exports, export))
    with zipfile.ZipFile(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.namelist()}
        manifest = json.loads(archive.read(f"{recording}/manifest.json"))
        assert names == {
            "chain",
            "statement",
            "revocations",
            "journal",
            "00000.mp4",
            "verify.py",
            "public_key.hex",
            "LISEZMOI.txt",
            "manifest.json",
            "extraction",
        }
        assert archive.testzip() is None
        archive.extractall(tmp_path)
        for name, digest in manifest["files"].items():
            assert hashlib.sha256(archive.read(f"{recording}/{name}")).hexdigest() == digest
    assert (manifest["procedure_no"], manifest["requesting_agent"]) == ("PV 12/2026", "OPJ Bernard")
    with closing(FolderReader(tmp_path / recording)) as reader:
        verdict = verify(reader, house.keyring.public_key)
    assert verdict.findings == ()
    assert (verdict.integrity, verdict.completeness) == ("intact", "complete for this interval")
    assert verdict.marks == ".-..--"
    assert {note.code for note in verdict.notes} >= {Code.REVOCATION_CHECKED}


@pytest.mark.parametrize("last", [2.8, 60], ids=["interval", "whole"])
async def test_the_signed_list_covers_every_file_that_the_chain_does_not(house: House, tmp_path: Path, last: float) -> None:
    recording, exports = await house.record(seconds=5), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording, 0, last))
    with zipfile.ZipFile(io.BytesIO(await _deliver(exports, export))) as archive:
        assert archive.namelist()[-1] == f"{recording}/extraction"
        archive.extractall(tmp_path)
    folder = tmp_path / recording
    found = read_extraction((folder / "extraction").read_bytes())
    sealed = {"chain", "extraction", "00000.mp4"}
    assert {file.name for file in found.files} == {path.name for path in folder.iterdir()} - sealed
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("OPJ Bernard", "OPJ Dupont"))
    with closing(FolderReader(folder)) as reader:
        verdict = verify(reader, house.keyring.public_key)
    assert [(finding.code, dict(finding.values)) for finding in verdict.findings] == [
        (Code.LISTED_ALTERED, {"file": "manifest.json"})
    ]


async def test_an_archive_carries_the_successions_of_the_key_that_sealed_it(house: House, tmp_path: Path) -> None:
    recording, exports = await house.record(seconds=5), _exports(house, None)
    old = house.keyring.public_key
    house.keyring.rotate_signing(house.clock.utc_ns(), "yearly")
    new = house.keyring.public_key
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording, 1.2, 2.8))
    with zipfile.ZipFile(io.BytesIO(await _deliver(exports, export))) as archive:
        archive.extractall(tmp_path)
    head = (await house.catalogue.recordings.get(recording)).head
    assert head is not None
    with closing(FolderReader(tmp_path / recording)) as reader:
        assert verify(reader, new).findings == ()
        foreign = {finding.code.name for finding in verify(reader, old).findings}
        assert foreign == {"STATEMENT_FOREIGN", "REVOCATIONS_FOREIGN", "EXTRACTION_FOREIGN"}
        # A checkpoint that held the head never held the list.  The journal's is of the old key, which rests on the new one.
        documents = ["EXTRACTION_REVOKED", "JOURNAL_REVOKED"]
        for heads, said in (((), ["KEY_REVOKED", *documents]), ((head,), documents)):
            assert [finding.code.name for finding in verify(reader, new, revoked={new: heads}).findings] == said


@pytest.mark.parametrize("known", [True, False])
async def test_who_has_only_the_key_and_an_archive_learns_of_a_revocation(house: House, tmp_path: Path, known: bool) -> None:
    recording = await house.record(seconds=5)
    old, head = house.keyring.public_key, (await house.catalogue.recordings.get(recording)).head
    assert head is not None
    house.keyring.rotate_signing(house.clock.utc_ns(), "stolen")
    house.journal._signer = house.keyring.signer  # as the next start does: a key is changed while the relay stands still
    exports = _exports(house, None, {old: frozenset({head} if known else ())})
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    with zipfile.ZipFile(io.BytesIO(await _deliver(exports, export))) as archive:
        archive.extractall(tmp_path)
    with closing(FolderReader(tmp_path / recording)) as reader:
        verdict = verify(reader, house.keyring.public_key)
    assert {finding.code for finding in verdict.findings} == (set() if known else {Code.KEY_REVOKED})
    (tmp_path / recording / "revocations").unlink()
    with closing(FolderReader(tmp_path / recording)) as reader:
        thinned = verify(reader, house.keyring.public_key)
    assert {finding.code for finding in thinned.findings} == {Code.LISTED_MISSING}
    (tmp_path / recording / "extraction").unlink()
    with closing(FolderReader(tmp_path / recording)) as reader:
        stripped = verify(reader, house.keyring.public_key)
    assert {finding.code for finding in stripped.findings} == {Code.EXTRACTION_MISSING}
    assert Code.REVOCATION_UNCHECKED in {note.code for note in stripped.notes}


async def test_the_communication_is_entered_before_the_first_byte_and_the_digest_after_the_last(house: House) -> None:
    recording, exports = await house.record(), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    stream = await exports.deliver(COMMANDER, export.export)
    assert (await house.events())[-2:] == ["communication/extraction requested", "communication/handing over begun"]
    data = b"".join([chunk async for chunk in stream])
    assert (await house.events())[-1] == "transfert/extraction delivered"
    done = await exports.get(COMMANDER, export.export)
    assert (done.state, done.sha256) == ("delivered", hashlib.sha256(data).hexdigest())


async def test_the_playable_copy_is_what_the_command_made_of_the_sealed_bytes(house: House) -> None:
    recording, exports = await house.record(), _exports(house)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    with zipfile.ZipFile(io.BytesIO(await _deliver(exports, export))) as archive:
        sealed = archive.read(f"{recording}/00000.mp4")
        assert archive.read(f"{recording}/derived/playable.mp4") == sealed
        assert len(sealed) == 3 * 2_000 + len(b"init")


async def test_the_maker_of_the_copy_is_given_sound_only_where_there_is_some(house: House) -> None:
    recording, exports = await house.record(), _exports(house, (sys.executable, "-c", "import sys; print(sys.argv[1:])"))
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    with zipfile.ZipFile(io.BytesIO(await _deliver(exports, export))) as archive:
        told = archive.read(f"{recording}/derived/playable.mp4")
    assert told.startswith(b"['--picture-drift=', '--sound-drift=', '--sound-shifts=', ")
    assert b"'--sound'" not in told


async def test_no_plain_media_rests_in_the_data_folder_during_or_after_an_extraction(house: House) -> None:
    recording, exports = await house.record(), _exports(house)
    before = {path for path in house.root.rglob("*") if path.is_file()}
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    async for _ in await exports.deliver(COMMANDER, export.export):
        assert {path for path in house.root.rglob("*") if path.is_file()} - before == set()


async def test_a_receiver_that_goes_away_ends_the_work_and_is_entered(house: House) -> None:
    recording, exports = await house.record(seconds=400), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording, 0, 500))
    stream = await exports.deliver(COMMANDER, export.export)
    await anext(stream)
    await stream.aclose()
    assert (await exports.get(COMMANDER, export.export)).state == "failed"
    assert (await house.events())[-1] == "transfert/extraction failed"


async def test_a_receiver_that_leaves_before_the_first_byte_was_handed_nothing_and_the_next_is_served(house: House) -> None:
    recording, exports = await house.record(), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    for _ in range(3):
        await (await exports.deliver(COMMANDER, export.export)).aclose()
    assert (await exports.get(COMMANDER, export.export)).state == "failed"
    assert (await house.events())[-2:] == ["communication/handing over begun", "transfert/extraction failed"]
    assert await house.catalogue.exports.handed_over(recording) == []
    assert await _deliver(exports, export)


async def test_of_deliveries_asked_for_at_the_same_moment_two_are_made(house: House) -> None:
    recording, exports = await house.record(), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    asked = await asyncio.gather(*(exports.deliver(COMMANDER, export.export) for _ in range(5)), return_exceptions=True)
    made = [delivery for delivery in asked if isinstance(delivery, Delivery)]
    refused = [error.kind for error in asked if isinstance(error, TheirError)]
    assert (len(made), refused) == (2, [Kind.TOO_MANY] * 3)
    for delivery in made:
        await delivery.aclose()


async def test_a_delivery_that_cannot_be_entered_leaves_its_place(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    recording, exports = await house.record(), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    for _ in range(3):
        with monkeypatch.context() as broken:
            broken.setattr(house.journal, "append", _no_journal)
            with pytest.raises(OurError):
                await exports.deliver(COMMANDER, export.export)
    assert await _deliver(exports, export)


async def _no_journal(*_: object, **__: object) -> int:
    raise OurError("no journal")


async def test_a_second_delivery_that_is_cut_short_does_not_undo_the_first(house: House) -> None:
    recording, exports = await house.record(seconds=600), _exports(house)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording, 0, 900))
    digest = hashlib.sha256(await _deliver(exports, export)).hexdigest()
    stream = await exports.deliver(COMMANDER, export.export)
    await anext(stream)
    await stream.aclose()
    found = await exports.get(COMMANDER, export.export)
    assert (found.state, found.sha256) == ("failed", digest)
    assert await house.catalogue.exports.handed_over(recording) == ["PV 12/2026"]


async def test_a_copy_that_cannot_be_made_fails_the_extraction(house: House) -> None:
    recording, exports = await house.record(), _exports(house, FAIL)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    with pytest.raises(OurError, match="exit 3"):
        await _deliver(exports, export)


async def test_bytes_that_are_not_as_sealed_never_leave(house: House) -> None:
    recording, exports = await house.record(), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    path = house.vault.folder(recording) / "00000.seg"
    stored = path.read_bytes()
    path.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    with pytest.raises((OurError, TheirError)):
        await _deliver(exports, export)


@pytest.mark.parametrize("field", ["motive", "legal_basis", "requesting_agent", "requesting_service", "procedure_no"])
async def test_every_legal_field_is_required_and_the_refusal_is_entered(house: House, field: str) -> None:
    recording, exports = await house.record(), _exports(house, None)
    with pytest.raises(TheirError) as refused:
        await exports.request(COMMANDER, recording, replace(await _wanted(house, recording), **cast(Any, {field: " "})))
    assert refused.value.kind is Kind.INCOMPLETE
    assert (await house.events())[-1] == "refus/export_recording"


@pytest.mark.parametrize("person", [OPERATOR, AUDITOR])
async def test_only_commanders_extract(house: House, person: object) -> None:
    recording, exports = await house.record(), _exports(house, None)
    with pytest.raises(TheirError, match="ACC-04"):
        await exports.request(person, recording, await _wanted(house, recording))  # type: ignore[arg-type]


async def test_an_interval_in_which_nothing_was_recorded_is_not_found(house: House) -> None:
    recording, exports = await house.record(), _exports(house, None)
    with pytest.raises(TheirError) as refused:
        await exports.request(COMMANDER, recording, await _wanted(house, recording, 100, 200))
    assert refused.value.kind is Kind.NOT_FOUND


async def test_an_archive_carries_the_journal_s_entries_of_its_opening_end_and_handing_over(
    house: House, tmp_path: Path
) -> None:
    recording, exports = await house.record(seconds=5), _exports(house, None)
    await house.record(seconds=5)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording, 1.2, 2.8))
    with zipfile.ZipFile(io.BytesIO(await _deliver(exports, export))) as archive:
        archive.extractall(tmp_path)
        proofs = read_proofs(archive.read(f"{recording}/journal"))
    told = [entry_fields(proof) for proof in proofs]
    events = ["recording begun", "recording closed", "extraction requested", "handing over begun"]
    assert [entry["details"]["event"] for entry in told] == events
    assert {entry["object_id"] for entry in told} == {recording}
    with closing(FolderReader(tmp_path / recording)) as reader:
        verdict = verify(reader, house.keyring.public_key)
    assert verdict.findings == ()
    assert [dict(note.values)["event"] for note in verdict.notes if note.code is Code.JOURNAL_ENTRY] == events


async def test_a_delivery_is_entered_with_the_digest_of_its_files_apart_from_the_archive(house: House, tmp_path: Path) -> None:
    recording, exports = await house.record(), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    with zipfile.ZipFile(io.BytesIO(await _deliver(exports, export))) as archive:
        archive.extractall(tmp_path)
    command = "find . -type f | cut -c3- | LC_ALL=C sort | xargs sha256sum | sha256sum"
    shell = ["sh", "-c", command]
    done = await asyncio.to_thread(subprocess.run, shell, cwd=tmp_path / recording, capture_output=True, text=True, check=True)
    said = done.stdout
    entered = (await house.journal.read(after=house.journal.size - 2))[0].body
    assert entered is not None
    assert cast(dict[str, str], entered["details"])["content"] == said.split()[0]


async def test_an_entry_that_was_changed_on_disk_never_leaves_as_proved(house: House) -> None:
    recording, exports = await house.record(), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    change = "UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), 'PV 12', 'PV 13') AS BLOB)"
    for statement in ("DROP TRIGGER journal_no_update", change):
        await house.database.write(lambda connection, statement=statement: connection.exec_driver_sql(statement))  # type: ignore[misc]
    with pytest.raises(OurError, match="is damaged"):
        await _deliver(exports, export)
    await house.journal.settled()


@pytest.mark.parametrize(("days", "there"), [(0, True), (3, True), (8, False)])
async def test_an_end_that_was_entered_days_later_is_found_and_one_much_later_is_left_out(
    house: House, days: int, there: bool
) -> None:
    recording, exports = await house.record(), _exports(house, None)
    export = await exports.request(COMMANDER, recording, await _wanted(house, recording))
    row = await house.catalogue.recordings.get(recording)
    assert row.ended_ns is not None
    ended = replace(row, ended_ns=row.ended_ns - days * 86_400 * NS)
    proofs = read_proofs(await journal_extract(house.journal, ended, export, house.journal.size - 1))
    events = [entry_fields(proof)["details"]["event"] for proof in proofs]
    closed = ["recording closed"] if there else []
    assert events == ["recording begun", *closed, "extraction requested", "extraction requested"]


async def test_documents_are_not_dated_before_their_recording_although_the_clock_was_put_back(
    house: House, tmp_path: Path
) -> None:
    recording, exports = await house.record(seconds=5), _exports(house, None)
    house.clock.step_utc(-1800)  # the clock was ahead while it was recorded, and was set right afterwards
    wanted = await _wanted(house, recording)
    house.clock.step_utc(-3600)
    with zipfile.ZipFile(io.BytesIO(await _deliver(exports, await exports.request(COMMANDER, recording, wanted)))) as archive:
        archive.extractall(tmp_path)
    with closing(FolderReader(tmp_path / recording)) as reader:
        verdict = verify(reader, house.keyring.public_key)
    assert verdict.findings == ()
