"""`relay check` says nothing of a healthy house and names every disagreement of a damaged one."""

import shutil
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import Connection, delete

from relay.archive.check import Check
from relay.evidence.chain import ChainWriter, Gap, Link, Reason, Start, iterate
from relay.evidence.records import Cause, TrackKind, TrackPart
from relay.evidence.seal import new_session
from relay.policy.retention import due_ns
from relay.store import tables
from relay.store.catalogue import View
from relay.store.vault import CHAIN
from tests.support.services import COMMANDER, House


async def _kinds(house: House) -> set[str]:
    check = Check(house.catalogue, house.journal, house.vault, house.keyring, house.clock)
    return {found.kind for found in await check.run()}


async def test_a_healthy_house_agrees_with_itself_before_and_after_erasure(house: House) -> None:
    await house.record()
    view = await house.playbacks.open(COMMANDER, await house.record(), "procédure 12")
    assert await _kinds(house) == set()
    await house.playbacks.close(COMMANDER, view.view)
    house.clock.advance((due_ns(date(2026, 2, 1)) - house.clock.utc_ns()) / 1e9)
    await house.retention.sweep()
    assert await _kinds(house) == set()


Damage = Callable[[House, str], Awaitable[None]]


async def _no_folder(house: House, recording: str) -> None:
    shutil.rmtree(house.vault.folder(recording))


async def _no_key(house: House, recording: str) -> None:
    house.keyring.destroy_recording(recording)


async def _no_segment(house: House, recording: str) -> None:
    (house.vault.folder(recording) / "00000.seg").unlink()


async def _damaged_key(house: House, recording: str) -> None:
    day = house.keyring.recordings()[recording]
    path = house.root / "keys" / "wrapped" / day / f"{recording}.key"
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)


async def _no_day_key(house: House, recording: str) -> None:
    (house.root / "keys" / "days" / f"{house.keyring.recordings()[recording]}.key").unlink()


async def _strange_segment(house: House, recording: str) -> None:
    (house.vault.folder(recording) / "00007.seg").write_bytes(b"x")


async def _cut_chain(house: House, recording: str) -> None:
    path = house.vault.folder(recording) / CHAIN
    path.write_bytes(path.read_bytes()[:-10])


async def _no_end(house: House, recording: str) -> None:
    path = house.vault.folder(recording) / CHAIN
    data = path.read_bytes()
    end = 3 + int.from_bytes(data[10:13], "big")
    path.write_bytes(data[: 10 + end])


async def _other_head(house: House, recording: str) -> None:
    await house.catalogue.recordings.update(recording, {"head": bytes(32)})


async def _other_day(house: House, recording: str) -> None:
    house.keyring.rewrap(recording, "2026-01-20")


async def _forgotten_hold(house: House, recording: str) -> None:
    house.keyring.rewrap(recording, "2030-01-01")


async def _found_damaged(house: House, recording: str) -> None:
    await house.catalogue.recordings.update(recording, {"reason": "damaged"})


async def _silent_erasure(house: House, recording: str) -> None:
    await house.catalogue.recordings.update(recording, {"state": "erased"})


async def _silent_begin(house: House, recording: str) -> None:
    row = await house.catalogue.recordings.get(recording)
    await house.catalogue.recordings.add(replace(row, recording="0" * 32))


async def _strange_folder(house: House, recording: str) -> None:
    shutil.copytree(house.vault.folder(recording), house.vault.root / ("f" * 32))


async def _strange_key(house: House, recording: str) -> None:
    house.keyring.create_recording_key("e" * 32, "2026-02-01")


async def _broken_key(house: House, recording: str) -> None:
    (path,) = (house.root / "keys" / "wrapped").glob(f"*/{recording}.key")
    path.write_bytes(path.read_bytes()[::-1])


async def _key_left_in_the_token(house: House, recording: str) -> None:
    (house.root / "keys" / "leftover").write_bytes(b"signing pkcs11:0102\n")


async def _silent_view(house: House, recording: str) -> None:
    now = house.clock.utc_ns()
    await house.catalogue.views.add(View("v" * 32, "live", "eve", "cam-1", None, None, "x", now, now))


async def _all_gone(house: House, recording: str) -> None:
    house.keyring.destroy_recording(recording)
    house.vault.erase(recording)

    def remove(connection: Connection) -> None:
        for table in (tables.gaps, tables.segments, tables.recordings):
            connection.execute(delete(table).where(table.c.recording == recording))

    await house.database.write(remove)


async def _no_day(house: House, recording: str) -> None:
    (house.root / "keys/wrapped/lost+found").mkdir()


async def _no_term(house: House, recording: str) -> None:
    await house.catalogue.recordings.update(recording, {"expires_on": "soon"})


async def _sleeping(house: House, recording: str) -> None:
    house.clock.advance(40 * 86_400)


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (_no_folder, {"folder_missing"}),
        (_no_key, {"key_missing"}),
        (_damaged_key, {"key_broken"}),
        (_no_day_key, {"key_broken"}),
        (_no_segment, {"segment_missing"}),
        (_strange_segment, {"segment_not_linked"}),
        (_cut_chain, {"chain_unreadable"}),
        (_no_end, {"chain_open", "damaged"}),
        (_other_head, {"head_differs", "no_close_entry"}),
        (_other_day, {"key_day"}),
        (_forgotten_hold, {"hold_lost"}),
        (_found_damaged, {"damaged"}),
        (_silent_erasure, {"erased_but_there", "erased_but_readable", "no_erase_entry"}),
        (_silent_begin, {"no_begin_entry", "no_close_entry", "folder_missing", "key_missing"}),
        (_strange_folder, {"folder_without_row"}),
        (_strange_key, {"key_without_row"}),
        (_broken_key, {"key_broken"}),
        (_key_left_in_the_token, {"key_left"}),
        (_silent_view, {"view_without_entry"}),
        (_sleeping, {"late"}),
        (_all_gone, {"recording_missing"}),
        (_no_day, {"key_folder_strange"}),
        (_no_term, {"term_unreadable"}),
    ],
)
async def test_each_damage_is_named_and_nothing_else(house: House, damage: Damage, kinds: set[str]) -> None:
    await damage(house, await house.record())
    assert await _kinds(house) == kinds


@pytest.mark.parametrize("sealed", [True, False])
async def test_a_folder_that_is_gone_is_only_safe_to_forget_where_nothing_was_sealed(house: House, sealed: bool) -> None:
    recording = await house.record()
    if not sealed:
        await house.database.write(lambda connection: connection.exec_driver_sql("DELETE FROM segments"))
    await house.catalogue.recordings.update(recording, {"state": "open", "links": 0})
    shutil.rmtree(house.vault.folder(recording))
    house.clock.advance(61)
    check = Check(house.catalogue, house.journal, house.vault, house.keyring, house.clock)
    assert [(found.kind, found.safe) for found in await check.run()] == [("open_without_folder", not sealed)]


def _long_chain(house: House, recording: str, links: int) -> bytes:
    """A chain of so many fragments of this recording: a segment each 150 of them, a gap that lacks its row each 500."""
    (first, *_) = iterate(b"".join(house.vault.chain(recording)))
    assert isinstance(first.body, Start)
    session = new_session(house.keyring.signer, role="recorder", index=0, not_before_ns=0, not_after_ns=1)
    writer = ChainWriter(session, replace(first.body, certificate=session.certificate))
    found = [writer.start()]
    for number in range(links):
        at = first.body.started_ns + number * 400_000_000
        part = TrackPart(1, TrackKind.VIDEO, 12, bytes(32), number * 36_000, 36_000)
        link = Link(number, number // 150, False, 0, 100, 116, bytes(32), bytes(32), (part,), at, 400_000_000)
        found.append(writer.link(link))
        if number % 500 == 499:
            found.append(writer.gap(Gap(at, 1, None, Cause.RADIO)))
    return b"".join([*found, writer.end(Reason.STOPPED, None, first.body.started_ns)])


async def _peak(house: House, monkeypatch: pytest.MonkeyPatch, chain: bytes) -> int:
    """Return the most memory (bytes) that a check needed at once, where the recording's chain is this one."""

    def pieces(_recording: str) -> Iterator[bytes]:
        for at in range(0, len(chain), 4096):
            yield chain[at : at + 4096]

    monkeypatch.setattr(house.vault, "chain", pieces)
    tracemalloc.start()
    try:
        assert "head_differs" in await _kinds(house), "it was read to its end"
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_a_long_recording_needs_no_more_memory_than_a_short_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = await house.record()
    short, long = (_long_chain(house, recording, links) for links in (500, 5000))
    await _peak(house, monkeypatch, short)  # what is made once and stays
    peaks = [await _peak(house, monkeypatch, chain) for chain in (short, long)]
    assert peaks[1] < peaks[0] + 100_000, "holding the records would have cost some 13 MB"
