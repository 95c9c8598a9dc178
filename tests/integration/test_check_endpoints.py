"""`relay check --repair` over HTTP: who may run it, and which entries it makes."""

from pathlib import Path

import pytest

from relay.archive.check import Check
from relay.channel.messages import RecorderReport
from relay.store.catalogue import View
from relay.store.journal import Entry, Operation
from tests.support.control_line import control_line


async def test_an_administrator_mends_a_view_that_a_dead_control_left_open(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("ada", "administrator") as ada:
        stores = line.control.stores
        await stores.journal.append(
            Entry(Operation.CONSULTATION, "eve", "operator", motive="x", details={"event": "view opened", "view": "v" * 32})
        )
        await stores.catalogue.views.add(View("v" * 32, "playback", "eve", "cam-1", None, None, "x", 1, 1))
        status, found = await ada.call("POST", "/api/check")
        assert (status, [item["kind"] for item in found["disagreements"]]) == (200, ["view_left_open"])
        status, found = await ada.call("POST", "/api/check/repair")
        assert (status, [item["kind"] for item in found["mended"]], found["disagreements"]) == (200, ["view_left_open"], [])
        assert await stores.catalogue.views.list_open() == []
        assert await ada.call("GET", "/api/check") == (200, {"what": "", "done": 0, "total": 0})
        last = (await stores.journal.read(limit=1000))[-1].body
        assert last is not None
        assert (last["author"], last["operation"], last["object_id"]) == ("ada", "modification", "v" * 32)


@pytest.mark.parametrize("role", ["operator", "commander", "auditor"])
@pytest.mark.parametrize("path", ["/api/check/repair"])
async def test_nobody_else_mends_and_the_refusal_is_entered(tmp_path: Path, role: str, path: str) -> None:
    async with control_line(tmp_path) as line, line.person("eve", role) as eve:
        assert (await eve.call("POST", path))[0] == 403
        last = (await line.control.stores.journal.read(limit=1000))[-1].body
        assert last is not None
        assert (last["author"], last["operation"]) == ("eve", "refus")


async def test_a_check_reports_how_far_it_is(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        check: Check = line.control.context.check
        reported: list[tuple[str, int, int]] = []
        seen: list[tuple[str, int, int] | None] = []

        def report(what: str, done: int, total: int) -> None:
            reported.append((what, done, total))
            seen.append(check.under_way)

        await check.run(report)
        size = line.control.stores.journal.size
        assert reported[-1] == ("journal", size, size)
        assert seen == reported
        assert check.under_way is None


async def test_a_check_and_the_page_name_the_processes_whose_cage_is_incomplete(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path) as line,
        line.person("ada", "administrator") as ada,
        line.person("olga", "operator") as olga,
    ):
        assert (await ada.call("POST", "/api/check"))[1]["cages"] == []
        async with line.page(olga) as page:
            await page.hear("disk")
            line.recorder.post(RecorderReport(0, (), {"cage_missing": 1}, 0.0, 10**9, 0))
            assert (await page.hear("cage"))["incomplete"] == ["recorder-0"]
        async with line.page(olga) as page:
            assert (await page.hear("cage"))["incomplete"] == ["recorder-0"], "a page that connects later"
        for path in ("/api/check", "/api/check/repair"):
            assert (await ada.call("POST", path))[1]["cages"] == ["recorder-0"]
