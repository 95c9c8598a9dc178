"""A control whose disk does not answer: requests are refused, running views go on, and the journal stays true."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.channel import messages as m
from tests.support.control_line import PASSWORD, Line, Page, control_line, until
from tests.support.faulty_disk import SilentDisk


async def _watching(line: Line, person: Page) -> tuple[str, str]:
    """Have a camera live and watched; return the intervention and the view's address."""
    await line.enrol("pm-1")
    assert (await line.publish("pm-1")).status == 201
    _, made = await person.call("POST", "/api/interventions", {"label": "demo", "motive": "assistance"})
    shown = await person.post_offer(f"/whep/pm-1?intervention={made['intervention']}")
    assert shown.status == 201
    return made["intervention"], shown.headers["Location"]


def _events(entries: list[dict[str, Any]]) -> list[str | None]:
    return [entry["details"].get("event") for entry in entries]


async def test_no_view_opens_on_a_silent_disk_and_what_was_entered_of_it_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        intervention, _ = await _watching(line, olga)
        disk = SilentDisk(line.control.stores.database, line.deadline, monkeypatch)
        with disk.silent():
            refused = await olga.post_offer(f"/whep/pm-1?intervention={intervention}")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            assert (await refused.json())["detail"] == "the data disk does not answer"
            with disk.noticed():
                assert (await olga.post_offer(f"/whep/pm-1?intervention={intervention}")).status == 503
        again = await olga.post_offer(f"/whep/pm-1?intervention={intervention}")
        assert again.status == 201
        assert len(line.worker.all(m.SlotAssign)) == 2, "the one before, and the one after"
        entries = await line.entries()
        opened = [entry for entry in entries if entry["details"].get("event") == "view opened"]
        (undone,) = [entry for entry in entries if entry["details"].get("event") == "not carried out"]
        assert len(opened) == 3, "the request refused at once left nothing"
        assert (undone["details"]["undoes"], undone["details"]["view"]) == (opened[1]["leaf"], opened[1]["details"]["view"])
        assert opened[1]["leaf"] < undone["leaf"] < opened[2]["leaf"]


async def test_a_view_whose_row_does_not_reach_the_disk_never_begins_and_is_entered_as_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        intervention, _ = await _watching(line, olga)
        disk = SilentDisk(line.control.stores.database, line.deadline, monkeypatch)
        append = line.control.stores.journal.append
        fell: list[AbstractContextManager[None]] = []

        async def then_silent(*arguments: Any, **more: Any) -> int:
            leaf = await append(*arguments, **more)
            if not fell:
                fell.append(disk.silent())
                fell[0].__enter__()
            return leaf

        with monkeypatch.context() as patched:
            patched.setattr(line.control.stores.journal, "append", then_silent)
            assert (await olga.post_offer(f"/whep/pm-1?intervention={intervention}")).status == 503
        fell[0].__exit__(None, None, None)
        await until(lambda: line.control.context.counters.values["views_closed"] == 1, "the end to be entered")
        entries = await line.entries()
        opened, closed = entries[-2:]
        assert [opened["details"]["event"], closed["details"]["event"]] == ["view opened", "view closed"]
        assert closed["details"]["view"] == opened["details"]["view"]
        assert closed["details"]["reason"] == "not started: the data disk does not answer"
        assert len(line.worker.all(m.SlotAssign)) == 1
        assert [view.view for view in await line.control.stores.catalogue.views.list_open()] == list(line.worker.legs)


async def test_views_go_on_and_can_be_closed_while_the_disk_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        _, location = await _watching(line, olga)
        viewing = line.control.context.viewing
        disk = SilentDisk(line.control.stores.database, line.deadline, monkeypatch)
        with disk.silent():
            for count in range(1, 4):
                viewing.renew()
                with pytest.raises(Exception, match="does not answer"):
                    await viewing.tick()
                await line.worker.next(m.LeaseRenew, count)
            assert viewing.open_views == 1
            async with olga.http.delete(olga.url + location, headers={"X-CSRF": olga.csrf}) as closed:
                assert closed.status == 200
            assert line.worker.legs == {}
        await until(lambda: not viewing.known(), "the end to be entered")
        assert _events(await line.entries()).count("view closed") == 1


async def test_nobody_is_signed_in_and_nothing_is_opened_by_what_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        disk = SilentDisk(line.control.stores.database, line.deadline, monkeypatch)
        with disk.silent():
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"{line.url}/api/session", json={"user": "olga", "password": PASSWORD}) as refused,
            ):
                assert (refused.status, refused.cookies.get("relay_session")) == (503, None)
            assert (await olga.call("POST", "/api/interventions", {"label": "x", "motive": "assistance"}))[0] == 503
        assert (await olga.call("GET", "/api/interventions"))[1] == {"interventions": []}
        assert (await olga.call("POST", "/api/interventions", {"label": "y", "motive": "assistance"}))[0] == 201
        assert _events(await line.entries())[-5:] == [
            "sign-in",
            "not carried out",
            "intervention opened",
            "not carried out",
            "intervention opened",
        ]


async def test_a_press_rings_while_the_disk_is_silent_and_its_publication_finds_an_intervention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator"):
        await line.enrol("pm-1")
        disk = SilentDisk(line.control.stores.database, line.deadline, monkeypatch)
        async with line.camera("pm-1") as camera:
            await camera.hear("welcome")
            with disk.silent():
                await camera.say(t="press", threat="agents", reason="bouton")
                await until(lambda: line.control.context.counters.values["camera_presses"] == 1, "the press")
                unit = line.control.context.camera_sockets.unit("pm-1")
                assert unit is not None
                assert unit.pressed
            assert (await line.publish("pm-1")).status == 201
        (plan,) = [opened.plan for opened in line.recorder.all(m.RecordOpen)]
        (its,) = await line.control.stores.catalogue.interventions.list_open()
        assert (plan.intervention, plan.trigger) == (its.intervention, "bouton")


async def test_every_kind_of_request_that_writes_is_answered_while_the_disk_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolment = {"camera": "pm-2", "label": "PM 2", "regime": "bodycam_pm"}
    designation = {"user": "eve", "name": "Eve", "role": "operator"}
    async with (
        control_line(tmp_path) as line,
        line.person("ada", "administrator") as ada,
        line.person("aude", "auditor") as aude,
        line.person("olga", "operator") as olga,
    ):
        requests: tuple[tuple[Page, str, str, object, int], ...] = (
            (ada, "POST", "/api/cameras", enrolment, 201),
            (ada, "POST", "/api/users", designation, 201),
            (ada, "POST", "/api/users/olga/sign-out", {}, 200),
            (aude, "GET", "/api/journal", None, 200),
            (aude, "GET", "/api/journal/checkpoint", None, 200),
            (aude, "GET", "/api/users", None, 403),
        )
        disk = SilentDisk(line.control.stores.database, line.deadline, monkeypatch)
        with disk.silent():
            for person, method, path, body, _ in (*requests, (olga, "GET", "/api/journal", None, 403)):
                assert (await person.call(method, path, body))[0] == 503, path
        for person, method, path, body, status in requests:
            assert (await person.call(method, path, body))[0] == status, path


async def test_live_messages_and_ends_are_answered_while_the_disk_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga, line.page(olga) as page:
        intervention, location = await _watching(line, olga)
        wall = (await olga.post_offer("/wall?worker=0")).headers["Location"]
        secret = wall.rsplit("/", 1)[1]
        shown = {"t": "assign", "wall": secret, "worker": 0, "camera": "pm-1", "intervention": intervention}
        await page.say(slot=0, **shown)
        await page.hear("assigned", slot=0)
        disk = SilentDisk(line.control.stores.database, line.deadline, monkeypatch)
        with disk.silent():
            await page.say(slot=1, **shown)
            refused = await page.hear("refused", slot=1)
            assert (refused["code"], refused["detail"]) == ("disk_not_answering", "the data disk does not answer")
            await page.say(t="assign", wall=secret, slot=0, worker=0, camera=None)
            await page.hear("assigned", slot=0, camera=None)
            for address in (location, wall):
                async with olga.http.delete(olga.url + address, headers={"X-CSRF": olga.csrf}) as closed:
                    assert closed.status == 200
            assert line.worker.legs == {}
        await until(lambda: not line.control.context.viewing.known(), "the ends to be entered")
        events = _events(await line.entries())
        assert (events.count("view opened"), events.count("view closed"), events.count("not carried out")) == (3, 2, 1)
