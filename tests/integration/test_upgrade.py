"""The data folder of an earlier version is opened by this one: whoever worked with it finds everything as it was.

The folder was left by a relay that was killed (`tests/upgrade/README.md`).  Its day is over, and the law erases what it holds:
the relay of these tests lives a minute after it, whatever the day is today.
"""

import base64
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
import pytest_asyncio

from scripts.benchmarks.thin import Media, ThinPeer
from tests.support.chromium import until
from tests.support.kept_folder import (
    MINUTE_NS,
    SECOND_NS,
    Opened,
    closed,
    digest,
    journal,
    judged,
    kept,
    lasting_facts,
    play,
    schema,
)
from tests.support.relay import RelayUnderTest

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEPT = kept("2026-11-30")
HOUR_NS = 60 * MINUTE_NS
MONTH_NS = 31 * 24 * HOUR_NS
"""On 31 December: what was recorded on 30 November is past its term, and a hold of that day is to be reviewed."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opened]:
    """A relay of this version on the folder, a minute after the old one was killed; one for all tests that change little."""
    async with KEPT.opened(tmp_path_factory.mktemp("upgrade")) as found:
        yield found


def _seconds_after(at: str) -> float:
    """Return how long after the folder's last moment an instant is."""
    return datetime.fromisoformat(at).timestamp() - float(KEPT.facts["made_ns"]) / SECOND_NS


async def _hello(opened: Opened, camera: str, token: str) -> tuple[int, dict[str, Any]]:
    """Open a camera's live socket; return the status and the first message."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as http:
        try:
            async with http.ws_connect(f"{opened.relay.url}/live/camera", headers=headers) as socket:
                return 101, dict(msgpack.unpackb(await socket.receive_bytes()))
        except aiohttp.WSServerHandshakeError as error:
            return error.status, {}


async def test_people_sign_in_with_the_passwords_and_the_roles_that_they_had(opened: Opened) -> None:
    for user, role in opened.facts["people"].items():
        async with opened.person(user) as person:
            shown = await person.call("GET", "/api/session")
            assert (shown["user"], shown["role"], shown["must_change"]) == (user, role, False)
    ((user, password),) = opened.facts["one_time"].items()
    async with aiohttp.ClientSession() as http:
        for word, status, must_change in ((password, 200, True), (opened.facts["password"], 401, None)):
            async with http.post(f"{opened.relay.url}/api/session", json={"user": user, "password": word}) as response:
                assert (response.status, (await response.json()).get("must_change")) == (status, must_change)


async def test_a_sign_in_of_before_goes_on_until_its_own_end(opened: Opened) -> None:
    before = opened.facts["sign_in"]
    async with opened.signed_in_before() as marie:
        shown = await marie.call("GET", "/api/session")
    assert {name: shown[name] for name in ("user", "csrf")} == {name: before[name] for name in ("user", "csrf")}
    assert abs(_seconds_after(shown["expires_at"]) - _seconds_after(before["expires_at"])) < 1


async def test_cameras_are_known_by_the_tokens_that_they_had_and_a_revoked_one_is_not(opened: Opened) -> None:
    for camera, token in opened.facts["cameras"].items():
        status, welcome = await _hello(opened, camera, token)
        assert (status, welcome["t"], welcome["camera"]) == (101, "welcome", camera)
    for camera, token in opened.facts["revoked"].items():
        assert (await _hello(opened, camera, token))[0] == 401
    async with opened.person("marie") as marie:
        shown = {camera: await marie.camera(camera) for camera in opened.facts["cameras"]}
    assert {camera: (each["label"], each["regime"], each["live_audio"]) for camera, each in shown.items()} == {
        "pm-1": ("PM-1", "bodycam_pm", True),
        "pm-2": ("PM-2", "bodycam_pm", False),
        "car-1": ("CAR-1", "embarquee", False),
    }


async def test_an_intervention_that_was_open_goes_on_and_what_its_death_cut_off_plays(opened: Opened) -> None:
    intervention = opened.facts["intervention"]
    killed = opened.of("killed")
    async with opened.signed_in_before() as marie:
        assert (await marie.call("GET", "/api/interventions"))["interventions"] == [intervention]
        async with opened.camera(killed["camera"]):
            await marie.sees_live(killed["camera"])
            live = await marie.camera(killed["camera"])
            assert live["intervention"] == intervention["intervention"]
            assert 44 * 60 < live["ends_ns"] / SECOND_NS - opened.facts["made_ns"] / SECOND_NS < 90 * 60, "45 minutes, as set"
            viewer = ThinPeer("127.0.0.1", [Media("video", "recvonly")])
            path = f"/whep/{killed['camera']}?intervention={intervention['intervention']}"
            answer, session = await marie.offer(path, viewer.offer())
            viewer.sock.close()
            assert re.findall(r"a=candidate:\S+ \d+ (\w+)", answer) == ["udp"], "media over TCP was switched off"
            await marie.call("DELETE", session)
            newest = opened.relay.recordings()[-1]
            await opened.relay.sealed(newest, 1000)
        assert newest.name == live["recording"]
        assert (await closed(marie, newest.name))["intervention"] == intervention["intervention"]
        assert (await marie.call("POST", f"/api/recordings/{newest.name}/verify", expect=200))["exit_code"] == 0
        await marie.call("POST", f"/api/interventions/{intervention['intervention']}/close")
        assert await play(marie, killed["recording"]) == killed["played"]


async def test_settings_of_before_hold(opened: Opened) -> None:
    async with opened.person("alice") as alice:
        ends = _seconds_after((await alice.call("GET", "/api/session"))["expires_at"])
        assert 8 * 3600 < ends < 8 * 3600 + 1800, "a sign-in lasts eight hours"
        for camera, status in (("pm-3", 201), ("pm-4", 409)):
            body = {"camera": camera, "label": camera, "live_audio": False}
            await alice.call("POST", "/api/cameras", body, expect=status)  # the authorisation covers four
        listed = (await alice.call("GET", "/api/cameras"))["cameras"]
    assert {each["service"] for each in listed} == {"Police municipale d'essai"}


async def test_a_recording_that_was_open_is_closed_as_interrupted(opened: Opened) -> None:
    killed = opened.of("killed")
    async with opened.person("marie") as marie:
        shown = await closed(marie, killed["recording"])
    assert (shown["reason"], shown["recovered"]) == ("interrupted", True)
    assert lasting_facts(shown) == killed["opened"]
    verdict = judged(opened.relay, killed["recording"])
    assert (verdict["exit"], verdict["completeness"], verdict["origin"]) == (1, "interrupted", "proved")
    assert verdict == killed["verdict"]


@pytest.mark.parametrize("kind", ["closed", "held"])
async def test_a_recording_that_was_closed_verifies_and_plays_to_its_last_picture(opened: Opened, kind: str) -> None:
    recording = opened.of(kind)
    async with opened.signed_in_before() as marie:
        assert lasting_facts(await closed(marie, recording["recording"])) == recording["opened"]
        assert await play(marie, recording["recording"]) == recording["played"]
        by_page = await marie.call("POST", f"/api/recordings/{recording['recording']}/verify", expect=200)
    assert (by_page["exit_code"], by_page["origin"]) == (0, "proved")
    verdict = judged(opened.relay, recording["recording"])
    assert verdict["exit"] == 0
    assert verdict == recording["verdict"]


async def test_a_hold_is_listed_and_reviewed(opened: Opened) -> None:
    hold = opened.facts["hold"]
    async with opened.person("aude") as aude, opened.person("marie") as marie:
        assert (await aude.call("GET", "/api/holds"))["holds"] == [hold]
        reason = {"motive": "l'instruction continue"}
        reviewed = await marie.call("POST", f"/api/holds/{hold['hold']}/review", reason, expect=200)
        assert reviewed == hold, "a month from the same day"
        events = [(each["body"]["details"].get("event"), each["body"]["motive"]) for each in await journal(aude)]
    assert ("hold reviewed", reason["motive"]) in events


async def test_views_that_were_open_are_closed_in_the_journal(opened: Opened) -> None:
    views = opened.facts["views"]
    wanted = {("view closed", views["live"]), ("playback closed", views["playback"])}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    async with opened.person("aude") as aude:

        async def entered() -> bool:
            for entry in (await journal(aude))[opened.facts["journal"]["size"] :]:
                details = entry["body"]["details"]
                found[str(details.get("event")), str(details.get("view"))] = details
            return wanted <= found.keys()

        await until(entered, 30, "both views to be closed")
    for each in wanted:
        assert (found[each]["reason"], found[each]["upper_bound"]) == ("the relay was restarted", True)


async def test_the_journal_goes_on_behind_the_entries_of_before(opened: Opened, tmp_path: Path) -> None:
    before = opened.facts["journal"]
    async with opened.person("aude") as aude:
        entries = await journal(aude)
        assert len(entries) > before["size"]
        assert digest(each["leaf_hash"] for each in entries[: before["size"]]) == before["leaves"]
        assert (await aude.call("GET", f"/api/journal/proof?leaf={before['signed'] - 1}"))["path"]
    KEPT.unpack(tmp_path)
    notes = (tmp_path / "journal" / "checkpoints").read_bytes()
    assert bytes.fromhex(before["root"]) in _roots(notes)
    assert (opened.relay.data / "journal" / "checkpoints").read_bytes().startswith(notes)
    assert "intact" in opened.relay.run("journal", "verify")


def _roots(notes: bytes) -> list[bytes]:
    """Return the root of each checkpoint (C2SP: a line with the log's name, one with the size, one with the root)."""
    return [base64.b64decode(root) for root in re.findall(rb"^bodycam-relay/\S+\n\d+\n(\S+)$", notes, re.MULTILINE)]


async def test_vault_catalogue_keys_and_journal_agree(opened: Opened) -> None:
    async with opened.person("marie") as marie:
        await closed(marie, opened.of("killed")["recording"])
    opened.relay.run("check")


async def test_the_database_has_the_schema_of_a_new_one(opened: Opened, tmp_path: Path) -> None:
    new = RelayUnderTest(tmp_path / "new")
    new.init()
    assert schema(opened.relay.data) == schema(new.data) >= opened.facts["schema"]


async def test_a_month_later_all_is_erased_but_what_is_held(tmp_path: Path) -> None:
    async with KEPT.opened(tmp_path) as opened, opened.person("marie") as marie:
        await closed(marie, opened.of("killed")["recording"])
    async with KEPT.opened(tmp_path, MONTH_NS) as opened, opened.person("marie") as marie:

        async def erased() -> bool:
            shown = [
                await marie.call("GET", f"/api/recordings/{opened.of(kind)['recording']}") for kind in ("closed", "killed")
            ]
            return [each["state"] for each in shown] == ["erased", "erased"]

        await until(erased, 30, "both to be erased")
        held = opened.of("held")
        assert [folder.name for folder in opened.relay.recordings()] == [held["recording"]]
        assert await play(marie, held["recording"]) == held["played"]
        (hold,) = (await marie.call("GET", "/api/holds"))["holds"]
        assert hold == {**opened.facts["hold"], "overdue": True}
        why = {"motive": "l'instruction continue"}
        reviewed = await marie.call("POST", f"/api/holds/{hold['hold']}/review", why)
        assert (reviewed["review_on"], reviewed["overdue"]) == ("2027-01-31", False)
        async with opened.signed_in_before() as stranger:
            await stranger.call("GET", "/api/session", expect=401)
        async with opened.person("alice") as alice:
            assert (await alice.call("POST", "/api/check"))["disagreements"] == []
