"""`relay check` says nothing of a healthy house and names every disagreement of a damaged one."""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date

import pytest

from relay.policy.retention import due_ns
from relay.service.check import Check
from relay.store.catalogue import View
from relay.store.vault import CHAIN
from tests.unit.service.conftest import COMMANDER, House


async def _kinds(house: House) -> set[str]:
    check = Check(house.catalogue, house.journal, house.vault, house.keyring, house.clock)
    return {found.kind for found in await check.run()}


async def test_a_healthy_house_agrees_with_itself_before_and_after_erasure(house: House) -> None:
    await house.record()
    view = await house.recordings.open_view(COMMANDER, await house.record(), "procédure 12")
    assert await _kinds(house) == set()
    await house.recordings.close_view(COMMANDER, view.view)
    house.clock.advance((due_ns(date(2026, 2, 1)) - house.clock.utc_ns()) / 1e9)
    await house.keeping.sweep()
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
    await house.catalogue.update_recording(recording, {"head": bytes(32)})


async def _other_day(house: House, recording: str) -> None:
    house.keyring.rewrap(recording, "2026-01-20")


async def _forgotten_hold(house: House, recording: str) -> None:
    house.keyring.rewrap(recording, "2030-01-01")


async def _silent_erasure(house: House, recording: str) -> None:
    await house.catalogue.update_recording(recording, {"state": "erased"})


async def _silent_begin(house: House, recording: str) -> None:
    row = await house.catalogue.recording(recording)
    await house.catalogue.add_recording(replace(row, recording="0" * 32))


async def _strange_folder(house: House, recording: str) -> None:
    shutil.copytree(house.vault.folder(recording), house.vault.root / ("f" * 32))


async def _strange_key(house: House, recording: str) -> None:
    house.keyring.create_recording_key("e" * 32, "2026-02-01")


async def _broken_key(house: House, recording: str) -> None:
    (path,) = (house.root / "keys" / "wrapped").glob(f"*/{recording}.key")
    path.write_bytes(path.read_bytes()[::-1])


async def _silent_view(house: House, recording: str) -> None:
    now = house.clock.utc_ns()
    await house.catalogue.open_view(View("v" * 32, "live", "eve", "cam-1", None, None, "x", now, now))


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
        (_no_end, {"chain_open"}),
        (_other_head, {"head_differs", "no_close_entry"}),
        (_other_day, {"key_day"}),
        (_forgotten_hold, {"hold_lost"}),
        (_silent_erasure, {"erased_but_there", "erased_but_readable", "no_erase_entry"}),
        (_silent_begin, {"no_begin_entry", "no_close_entry", "folder_missing", "key_missing"}),
        (_strange_folder, {"folder_without_row"}),
        (_strange_key, {"key_without_row"}),
        (_broken_key, {"key_broken"}),
        (_silent_view, {"view_without_entry"}),
        (_sleeping, {"late"}),
    ],
)
async def test_each_damage_is_named_and_nothing_else(house: House, damage: Damage, kinds: set[str]) -> None:
    await damage(house, await house.record())
    assert await _kinds(house) == kinds
