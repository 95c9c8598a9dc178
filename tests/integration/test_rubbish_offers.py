"""The relay as real processes: an offer that is rubbish, and a session that never sends, leave nothing but refusals."""

import asyncio
import json
import secrets
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from tests.support.relay import RelayUnderTest

RUBBISH = (
    "v=0\r\n",
    "",
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 40,
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n",
)


async def _post(http: aiohttp.ClientSession, relay: RelayUnderTest, token: str, offer: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with http.post(f"{relay.url}/whip/pm-1", data=offer, headers=headers) as response:
        return response.status


def _entries(relay: RelayUnderTest) -> list[dict[str, object]]:
    with sqlite3.connect(relay.data / "relay.db") as database:
        return [json.loads(body) for (body,) in database.execute("select body from journal order by leaf")]


@pytest.mark.timeout(300)
async def test_150_rubbish_offers_leave_no_recording_no_key_and_three_entries_at_most(tmp_path: Path) -> None:
    relay = RelayUnderTest(tmp_path / "data")
    relay.init()
    try:
        await relay.start()
        token = relay.enrol("pm-1")
        before = len(_entries(relay))
        async with aiohttp.ClientSession() as http:
            offers = [RUBBISH[at % len(RUBBISH)] or secrets.token_hex(200) for at in range(150)]
            statuses = [await _post(http, relay, token, offer) for offer in offers]
        assert set(statuses) <= {400, 406}, statuses
        await asyncio.sleep(0.5)  # a refusal is entered beside its answer
        added = _entries(relay)[before:]
        refusals = [entry for entry in added if entry["operation"] == "refus"]
        assert 1 <= len(refusals) <= 3, refusals  # two a minute, and the minute may have changed
        assert len(added) == len(refusals), added
        assert relay.recordings() == []
        assert list((relay.data / "keys" / "wrapped").rglob("*.key")) == []
        with sqlite3.connect(relay.data / "relay.db") as database:
            assert database.execute("select count(*) from recordings").fetchone() == (0,)
            assert database.execute("select count(*) from interventions").fetchone() == (0,)
        assert "agree" in await asyncio.to_thread(relay.run, "check", "--data", str(relay.data))
    finally:
        await relay.discard()
