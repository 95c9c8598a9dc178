"""Make a data folder as a killed relay leaves it behind, pack it, and note what the same relay does when it opens it again.

    PYTHONPATH=. python scripts/make_upgrade_folder.py tests/upgrade/2026-11-30 --commit fda54e0

Owns: what happens in the folder.  Must never know: how the relay stores it.  Writes NAME.tar.xz and NAME.json.  Run once per
version whose folders must stay readable; a packed folder is never changed afterwards: it is what proves that a later version
opens it.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import signal
import sqlite3
import sys
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.benchmarks.thin import Media, ThinPeer, parse_answer
from tests.support.chromium import until
from tests.support.kept_folder import AT, WHY, Kept, closed, digest, journal, judged, lasting_facts, play, pressing, schema
from tests.support.relay import PASSWORD, Person, RelayUnderTest, signed_in
from tests.support.requisition import PROCEDURE, REQUISITION

SETTINGS = """
[http]
session_hours = 8

[workers]
tcp = false
playout_delay_max_ms = 150

[recorder]
segment_seconds = 5
record_grace_by_regime = {bodycam_pm = 5}
"""
POLICY = """service = "Police municipale d'essai"
max_cameras = 4
transmission_minutes = 45
"""
PEOPLE = {"alice": "administrator", "marie": "commander", "olivier": "operator", "aude": "auditor"}
CAMERAS: dict[str, tuple[str, ...]] = {
    "pm-1": ("--regime", "bodycam_pm", "--live-audio"),
    "pm-2": ("--regime", "bodycam_pm"),
    "car-1": ("--regime", "embarquee"),
    "pm-0": ("--regime", "bodycam_pm"),
}
REVOKED = "pm-0"
EVENTS = {"live": ("view opened", "view closed"), "playback": ("playback opened", "playback closed")}
HOLD = {
    "procedure_type": "judiciaire",
    "procedure_no": PROCEDURE,
    "authority": "Parquet de Rennes",
    "requested_by": "OPJ Bernard",
}
BOOT = "00000000-0000-4000-8000-000000000000"
"""The boot of a machine that is no more: the folder is opened after a restart, wherever it is opened."""
NOT_KEPT = {"run", "serve.log"}
HOST = "127.0.0.1"


class Post:
    """A relay that is lived with for half a minute; `facts` is what is known about its folder."""

    def __init__(self, relay: RelayUnderTest) -> None:
        self.relay = relay
        self.facts: dict[str, Any] = {"password": PASSWORD, "recordings": {}}

    def install(self) -> None:
        """Set up keys, settings, people and cameras by commands."""
        relay = self.relay
        relay.init()
        path = relay.data / "settings.toml"
        (service,) = [line for line in path.read_text().splitlines(keepends=True) if line.startswith("service =")]
        path.write_text(path.read_text().replace(service, POLICY) + SETTINGS)
        tokens = {camera: relay.enrol(camera, *flags) for camera, flags in CAMERAS.items()}
        relay.run("camera", "revoke", REVOKED)
        self.facts["cameras"] = {camera: token for camera, token in tokens.items() if camera != REVOKED}
        self.facts["revoked"] = {REVOKED: tokens[REVOKED]}
        self.passwords = {user: relay.add_user(user, role) for user, role in PEOPLE.items()}
        self.facts["people"] = PEOPLE
        self.facts["one_time"] = {"nadia": relay.add_user("nadia", "operator")}

    @contextlib.asynccontextmanager
    async def person(self, user: str) -> AsyncIterator[Person]:
        """Sign in, the first time with the one-time password."""
        async with signed_in(self.relay, user, self.passwords[user]) as person:
            self.passwords[user] = PASSWORD
            yield person

    def camera(self, camera: str) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Let a simulated camera press its button and publish."""
        return pressing(self.relay, camera, self.facts["cameras"][camera])

    async def record(self, commander: Person, camera: str, kind: str, seconds: float) -> str:
        """Record a camera for so long, until its recording is closed; return the recording."""
        async with self.camera(camera):
            await commander.sees_live(camera)
            await asyncio.sleep(seconds)
        listed = await commander.call("GET", "/api/recordings")
        recording = str(listed["recordings"][0]["recording"])

        await closed(commander, recording)

        async def over() -> bool:
            """Nobody joined: the intervention closes itself, some seconds after the recording."""
            return not (await commander.call("GET", "/api/interventions"))["interventions"]

        await until(over, 60, "its intervention to be over")
        self.facts["recordings"][kind] = {"recording": recording, "camera": camera, "state": "closed"}
        return recording

    async def first_days(self) -> None:
        """Change the passwords and record once; then a new signing key takes over and the first one is revoked."""
        await self.relay.start()
        for user in PEOPLE:
            async with self.person(user) as person:
                if user == "marie":
                    await self.record(person, "pm-1", "closed", 6)
        assert await self.relay.stop() == 0
        old = (self.relay.data / "keys" / "signing.pub").read_bytes().hex()
        self.relay.run("keys", "rotate-signing", "--reason", "une fois par an")
        self.relay.run("keys", "revoke", "--key", old, "--why", "exercice")
        self.relay.run("keys", "rotate-kek", "--reason", "une fois par an")

    async def last_day(self) -> None:
        """Record, hand over and hold; then die while a camera records and is watched."""
        await self.relay.start()
        async with self.person("marie") as marie, self.person("aude") as aude:
            (cookie,) = marie.cookies()
            shown = await marie.call("GET", "/api/session")
            csrf = marie.headers()["X-CSRF"]
            self.facts["sign_in"] = {
                "user": "marie",
                "cookie": cookie["value"],
                "csrf": csrf,
                "expires_at": shown["expires_at"],
            }
            await self.hold(marie, await self.record(marie, "pm-2", "held", 2))
            async with self.camera("pm-1") as camera:
                await self.watch(marie, aude)
                await self.die(camera)

    async def hold(self, marie: Person, recording: str) -> None:
        """Hand a recording over, and keep it for the procedure."""
        made = await marie.call("POST", f"/api/recordings/{recording}/exports", REQUISITION)
        assert await marie.download(made["file"]) > 1000
        self.facts["hold"] = await marie.call("POST", f"/api/recordings/{recording}/holds", HOLD, expect=201)

    async def watch(self, marie: Person, aude: Person) -> None:
        """Answer the press, watch it live, and play something back meanwhile; nothing of it is ever closed."""
        await marie.sees_live("pm-1")
        async with self.person("olivier") as olivier:
            intervention = (await marie.camera("pm-1"))["intervention"]
            for person in (marie, olivier):
                await person.call("POST", f"/api/interventions/{intervention}/join", {"motive": "assistance à la patrouille"})
        (self.facts["intervention"],) = (await marie.call("GET", "/api/interventions"))["interventions"]
        note = (await aude.call("GET", "/api/journal/checkpoint"))["note"]
        _, signed, root = note.splitlines()[:3]
        self.facts["journal"] = {"signed": int(signed), "root": base64.b64decode(root).hex()}
        viewer = ThinPeer(HOST, [Media("video", "recvonly")])
        answer, _ = await marie.offer(f"/whep/pm-1?intervention={intervention}", viewer.offer())
        await asyncio.to_thread(viewer.connect, parse_answer(answer))
        first = self.facts["recordings"]["closed"]["recording"]
        playback = await marie.call("POST", f"/api/recordings/{first}/views", WHY, expect=201)
        assert await marie.read(f"/api/views/{playback['view']}/0.init.mp4")
        newest = self.relay.recordings()[-1]
        self.facts["recordings"]["killed"] = {"recording": newest.name, "camera": "pm-1", "state": "open"}
        await self.relay.sealed(newest, 2000)
        viewer.sock.close()

    async def die(self, camera: asyncio.subprocess.Process) -> None:
        """Kill every process at once."""
        children = [pid for name in ("recorder", "control", "worker") for pid in self.relay.pids(name)]
        assert len(children) == 3
        self.relay.send_signal(signal.SIGKILL)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        camera.kill()
        self.facts["made_ns"] = time.time_ns()
        await self.relay.stop(signal.SIGKILL)

    def forget_the_machine(self) -> None:
        """Let nothing in the folder tell where it was made."""
        data = self.relay.data
        settings = data / "settings.toml"
        settings.write_text(settings.read_text().replace(str(data), AT))
        for mark in data.glob("vault/open-*/*"):
            _, rest = mark.read_text().split(" ", 1)
            mark.write_text(f"{BOOT} {rest}")

    def pack(self, archive: Path) -> None:
        """Pack what an administrator moves to another machine."""

        def nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            return entry

        with tarfile.open(archive, "w:xz", preset=9) as packed:
            for path in sorted(self.relay.data.iterdir()):
                if path.name not in NOT_KEPT:
                    packed.add(path, path.name, filter=nobody)


async def look(found: Kept, folder: Path) -> None:
    """Open the packed folder with the same version, and add to the facts what became of it."""
    facts = found.facts
    found.unpack(folder / "unopened")
    facts["schema"] = schema(folder / "unopened")
    async with found.opened(folder / "opened") as opened, opened.person("marie") as marie, opened.person("aude") as aude:
        await marie.call("POST", f"/api/interventions/{facts['intervention']['intervention']}/close")
        for recording in facts["recordings"].values():
            recording["opened"] = lasting_facts(await closed(marie, recording["recording"]))
            recording["verdict"] = judged(opened.relay, recording["recording"])
            recording["played"] = await play(marie, recording["recording"])
        entries = await journal(aude)
    size = journal_size(folder / "unopened")
    facts["journal"] |= {"size": size, "leaves": digest(each["leaf_hash"] for each in entries[:size])}
    facts["views"] = {kind: left_open([each["body"]["details"] for each in entries[:size]], kind) for kind in EVENTS}


def journal_size(data: Path) -> int:
    """Return how many entries a folder's journal has."""
    with contextlib.closing(sqlite3.connect(data / "relay.db")) as database:
        ((count,),) = database.execute("select count(*) from journal")
    return int(count)


def left_open(details: list[dict[str, Any]], kind: str) -> str:
    """Return the one view of a kind that was opened and not closed."""
    opened, over = ({each["view"] for each in details if each.get("event") == event} for event in EVENTS[kind])
    (view,) = opened - over
    return str(view)


async def make(out: Path, folder: Path, commit: str) -> None:
    """Make, pack, look and write."""
    post = Post(RelayUnderTest(folder / "data"))
    post.facts["made_by"] = commit
    try:
        await asyncio.to_thread(post.install)
        await post.first_days()
        await post.last_day()
    finally:
        await post.relay.discard()
    post.forget_the_machine()
    archive = out.with_name(f"{out.name}.tar.xz")
    post.pack(archive)
    await look(Kept(archive, post.facts), folder)
    out.with_name(f"{out.name}.json").write_text(json.dumps(post.facts, ensure_ascii=False, indent=1) + "\n")
    print(f"{archive.name}: {archive.stat().st_size} bytes")


def main() -> None:
    """Make one folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="where to write, without ending: tests/upgrade/2026-11-30")
    parser.add_argument("--commit", required=True, help="which version this is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(make(options.out.resolve(), Path(folder), options.commit))


if __name__ == "__main__":
    main()
