"""The verdict the page shows is that of `relay verify`, asked by those who may, and entered."""

import errno
import shutil

import pytest

from relay.archive.verification import Verification
from relay.base.codes import Code
from relay.base.errors import OurError, TheirError
from relay.evidence.chain import iterate
from relay.policy.roles import Person
from relay.store.readers import FolderReader
from tests.support.services import ADMINISTRATOR, AUDITOR, COMMANDER, OPERATOR, House


@pytest.fixture
def verification(house: House) -> Verification:
    return Verification(
        house.catalogue,
        house.journal,
        house.authorizer,
        house.vault,
        house.keyring,
        public_key=house.keyring.public_key,
        revoked={},
    )


async def test_under_a_revoked_key_only_an_attested_head_is_of_proved_origin(house: House) -> None:
    recording, key = await house.record(), house.keyring.public_key
    head = (await house.catalogue.recordings.get(recording)).head
    assert head is not None
    for heads, origin in ((frozenset({head}), "proved"), (frozenset[bytes](), "not proved")):
        service = Verification(
            house.catalogue, house.journal, house.authorizer, house.vault, house.keyring, public_key=key, revoked={key: heads}
        )
        assert (await service.verify(COMMANDER, recording))["origin"] == origin


@pytest.mark.parametrize("person", [COMMANDER, AUDITOR])
async def test_an_intact_recording_gets_the_verdict_intact(house: House, verification: Verification, person: Person) -> None:
    verdict = await verification.verify(person, await house.record())
    assert (verdict["exit_code"], verdict["integrity"], verdict["completeness"]) == (0, "intact", "complete")
    assert (await house.events())[-1] == "systeme/verified"


async def test_one_flipped_bit_is_found(house: House, verification: Verification) -> None:
    recording = await house.record()
    path = house.vault.folder(recording) / "00000.seg"
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    verdict = await verification.verify(AUDITOR, recording)
    assert (verdict["exit_code"], verdict["integrity"], verdict["marks"]) == (1, "altered", "...X")


@pytest.mark.parametrize("person", [OPERATOR, ADMINISTRATOR])
async def test_others_get_no_verdict(house: House, verification: Verification, person: Person) -> None:
    with pytest.raises(TheirError, match="ACC-01"):
        await verification.verify(person, await house.record())


async def test_a_recording_whose_files_are_gone_is_refused_in_words(house: House, verification: Verification) -> None:
    recording = await house.record()
    shutil.rmtree(house.vault.folder(recording))
    with pytest.raises(TheirError, match="not in the vault") as refused:
        await verification.verify(AUDITOR, recording)
    assert refused.value.code is Code.RECORDING_FILES_MISSING


async def test_a_disk_that_does_not_give_the_files_is_our_error(
    house: House, verification: Verification, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = await house.record()

    def fails(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(FolderReader, "read", fails)
    with pytest.raises(OurError, match="cannot be read"):
        await verification.verify(AUDITOR, recording)


async def reopened(house: House, cut: int) -> str:
    """A recording that the catalogue holds for open, its last `cut` records not written."""
    recording = await house.record()
    await house.catalogue.recordings.update(recording, {"state": "open", "head": None, "ended_ns": None})
    path = house.vault.folder(recording) / "chain"
    records = list(iterate(path.read_bytes()))
    path.write_bytes(path.read_bytes()[: records[-cut].position] + b"\0\0")
    return recording


async def test_a_recording_that_is_made_now_is_open_and_nothing_speaks_against_it(
    house: House, verification: Verification
) -> None:
    verdict = await verification.verify(AUDITOR, await reopened(house, 1))
    assert (verdict["exit_code"], verdict["integrity"], verdict["completeness"]) == (0, "intact", "open")
    assert {"still_open", "tail_unfinished"} <= {note["code"] for note in verdict["notes"]}


async def test_an_open_recording_that_is_shorter_than_its_rows_was_cut(house: House, verification: Verification) -> None:
    verdict = await verification.verify(AUDITOR, await reopened(house, 2))
    assert (verdict["exit_code"], verdict["completeness"]) == (1, "open")
    assert [finding["code"] for finding in verdict["findings"]] == ["interrupted"]


async def test_a_folder_that_was_put_in_the_place_of_another_is_found(house: House, verification: Verification) -> None:
    mine, other = await house.record(), await house.record()
    shutil.rmtree(house.vault.folder(mine))
    shutil.copytree(house.vault.folder(other), house.vault.folder(mine))
    verdict = await verification.verify(AUDITOR, mine)
    assert "other_recording" in [finding["code"] for finding in verdict["findings"]]
