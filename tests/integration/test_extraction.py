"""From real media sealed by the real recorder to the playback of a commander and the zip for a court."""

import asyncio
import io
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import av
import pytest

from relay.archive.check import Check
from relay.archive.export_zip import DERIVE
from relay.archive.exports import ExportRequest, Exports
from relay.archive.playback import Playbacks
from relay.archive.recordings import Recordings
from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.channel import messages
from relay.channel.framing import Connection
from relay.evidence.keys import public_key_from
from relay.evidence.standalone import single_file
from relay.evidence.verdict import Verdict
from relay.evidence.verify import verify
from relay.people.authorize import Authorizer
from relay.people.enrolment import Enrolment
from relay.people.interventions import Interventions
from relay.people.sign_ins import CONSOLE
from relay.policy.roles import Person, Role
from relay.store.accounts import Accounts
from relay.store.catalogue import Catalogue
from relay.store.database import Database
from relay.store.journal import Journal
from relay.store.keyring import Keyring
from relay.store.readers import FolderReader
from relay.store.vault import Vault
from tests.support.recorder_line import TRACKS, Place, feed, running, taken
from tests.support.rtp_source import VIDEO_SSRC, scene

SERVICE = "PM Ville"
COMMANDER = Person("carl", "Carl", Role.COMMANDER, SERVICE)


class LaterClock(SystemClock):
    """A minute later: the scene is fed faster than it would last, and no document may be dated before what it names."""

    def utc_ns(self) -> int:
        return super().utc_ns() + 60_000_000_000


@dataclass(frozen=True)
class Post:
    """A command post with one closed recording of two seconds of real picture and sound."""

    recording: str
    playbacks: Playbacks
    exports: Exports
    check: Check
    keyring: Keyring
    started_ns: int


@pytest.fixture
async def post(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Post]:
    """With the parameter `sound later`: four seconds, of which the first two are picture alone."""
    media = _sound_later if getattr(request, "param", "") == "sound later" else _scene
    clock, counters, place = SystemClock(), Counters(), Place(tmp_path)
    database = await Database.open(f"sqlite:///{tmp_path}/relay.db", counters)
    keyring, vault = Keyring(tmp_path / "keys"), Vault(tmp_path / "vault")
    vault.prepare()
    journal = await Journal.open(database, keyring.signer, "test/journal", tmp_path / "checkpoints", clock, counters)
    accounts, catalogue = Accounts(database), Catalogue(database)
    authorizer = Authorizer(journal, clock)
    enrolment = Enrolment(accounts, journal, authorizer, clock, service=SERVICE)
    interventions = Interventions(catalogue, journal, authorizer, clock)
    recordings = Recordings(catalogue, journal, authorizer, keyring, clock, counters)
    await enrolment.enrol(CONSOLE, "cam-1", "Patrouille 1", "bodycam_pm")
    its = await interventions.open_by_camera("cam-1", "Rixe", "appel 17")
    camera = await enrolment.camera("cam-1")
    plan, key = await recordings.begin(camera, its.intervention, trigger="bouton", threat="personnes")
    await _record(place, plan, key, recordings, media)
    await interventions.close_system(its.intervention, "over")
    exports = Exports(
        catalogue,
        journal,
        authorizer,
        vault,
        keyring,
        LaterClock(),
        counters,
        verifier=single_file().encode(),
        derive=DERIVE,
        revoked={},
    )
    check = Check(catalogue, journal, vault, keyring, clock)
    playbacks = Playbacks(catalogue, journal, authorizer, vault, keyring, clock, counters)
    yield Post(plan.recording, playbacks, exports, check, keyring, plan.started_ns)
    await journal.close()
    await database.close()


Feed: TypeAlias = Callable[[Connection, str], Awaitable[None]]


async def _scene(tap: Connection, recording: str) -> None:
    tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
    await feed(tap, recording, scene(2.0))


async def _sound_later(tap: Connection, recording: str) -> None:
    packets = scene(4.0)
    pictures = [timed for timed in packets if timed.packet[8:12] == VIDEO_SSRC.to_bytes(4, "big")]
    tap.post(messages.TapOpen(recording, "cam-1", TRACKS[:1]))
    await feed(tap, recording, [timed for timed in pictures if timed.at < 2])
    tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
    await feed(tap, recording, [timed for timed in packets if timed.at >= 2])


async def _record(place: Place, plan: messages.Plan, key: bytes, recordings: Recordings, media: Feed) -> None:
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan, key))
        await media(tap, plan.recording)
        await taken(tap, recorder)
        await control.ask(messages.RecordClose(plan.recording, "stopped", "agent"))
    for message in place.heard:
        if isinstance(message, messages.SegmentSealed):
            await recordings.segment_sealed(message)
        elif isinstance(message, messages.RecordingClosed):
            await recordings.closed(message)


def _frames(data: bytes) -> dict[str, int]:
    with av.open(io.BytesIO(data), "r") as container:
        found = {"video": 0, "audio": 0}
        for frame in container.decode():
            found["video" if isinstance(frame, av.VideoFrame) else "audio"] += 1
        return found


async def test_what_the_playlist_names_decodes_in_full(post: Post) -> None:
    view = await post.playbacks.open(COMMANDER, post.recording, "procédure 12/2026")
    assert "#EXTINF:2.0" in post.playbacks.playlist(COMMANDER, view.view)
    data = await post.playbacks.init(COMMANDER, view.view, 0)
    async for piece in await post.playbacks.media(COMMANDER, view.view, 0):
        data += piece
    assert _frames(data) == {"video": 60, "audio": 100}


async def _archive(post: Post, seconds: float = 60) -> bytes:
    span = (post.started_ns, post.started_ns + int(seconds * 1e9))
    wanted = ExportRequest(*span, "réquisition du parquet", "CPP_60-1", "OPJ Bernard", "SRPJ", "PV 12/2026")
    made = await post.exports.request(COMMANDER, post.recording, wanted)
    # The media was fed faster than it is dated: no document about it is signed before its last packet arrived.
    await asyncio.sleep(max(0.0, (post.started_ns - time.time_ns()) / 1e9 + 5))
    return b"".join([chunk async for chunk in await post.exports.deliver(COMMANDER, made.export)])


async def test_an_extraction_verifies_and_its_derived_copy_plays_the_same_samples(post: Post, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(await _archive(post))) as archive:
        archive.extractall(tmp_path / "out")
        assert _frames(archive.read(f"{post.recording}/derived/playable.mp4")) == {"video": 60, "audio": 100}
        assert _frames(archive.read(f"{post.recording}/00000.mp4")) == {"video": 60, "audio": 100}
    with closing(FolderReader(tmp_path / "out" / post.recording)) as reader:
        verdict: Verdict = verify(reader, post.keyring.public_key)
    assert [str(finding.code) for finding in verdict.findings] == []
    assert verdict.completeness == "complete for this interval"


async def test_a_derived_copy_says_what_it_is_a_copy_of(post: Post) -> None:
    with zipfile.ZipFile(io.BytesIO(await _archive(post))) as archive:
        copy = archive.read(f"{post.recording}/derived/playable.mp4")
    with av.open(io.BytesIO(copy), "r") as container:
        told = dict(container.metadata)
    assert (told["title"], told["comment"]) == ("cam-1", f"recording {post.recording}")
    began = datetime.fromtimestamp(post.started_ns / 1e9, UTC)
    assert abs(datetime.fromisoformat(told["creation_time"]) - began) < timedelta(seconds=30)


@pytest.mark.parametrize("post", ["sound later"], indirect=True)
async def test_a_derived_copy_carries_the_sound_from_where_it_begins(post: Post, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(await _archive(post))) as archive:
        archive.extractall(tmp_path / "out")
        names = sorted(name.rpartition("/")[2] for name in archive.namelist() if name.endswith(".mp4"))
        sealed = [_frames(archive.read(f"{post.recording}/{name}")) for name in names if name != "playable.mp4"]
        assert sealed[0]["audio"] == 0
        assert sealed[1]["audio"] > 0
        copy = _frames(archive.read(f"{post.recording}/derived/playable.mp4"))
    assert copy == {kind: sum(each[kind] for each in sealed) for kind in ("video", "audio")}
    with closing(FolderReader(tmp_path / "out" / post.recording)) as reader:
        verdict = verify(reader, post.keyring.public_key)
    assert not [finding for finding in verdict.findings if finding.code.name.startswith("DERIVED")]
    assert [note.code.name for note in verdict.notes if note.code.name.startswith("DERIVED")] == ["DERIVED_SAME"]


async def test_the_verifier_in_the_archive_says_so_to_a_stranger(post: Post, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(await _archive(post))) as archive:
        archive.extractall(tmp_path / "out")
    folder = tmp_path / "out" / post.recording
    assert public_key_from((folder / "public_key.hex").read_bytes()) == post.keyring.public_key
    verdicts = []
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", folder / "verify.py", folder, "--key", post.keyring.public_key.hex(),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await process.communicate()
        verdicts.append(process.returncode)
        media = bytearray((folder / "00000.mp4").read_bytes())
        media[len(media) // 2] ^= 1
        (folder / "00000.mp4").write_bytes(media)
    assert verdicts == [0, 1]


async def test_the_one_command_of_the_notice_checks_the_whole_extraction(post: Post, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(await _archive(post))) as archive:
        archive.extractall(tmp_path / "out")
    folder = tmp_path / "out" / post.recording
    text = (folder / "LISEZMOI.txt").read_text(encoding="utf-8")
    for path in folder.rglob("*"):
        assert path.name in f"{text} LISEZMOI.txt" or path.is_dir()
    command = next(line for line in text.splitlines() if line.startswith("    python3 ")).split("(")[0].split()
    arguments = [post.keyring.public_key.hex() if word == "CLÉ" else word for word in command[1:]]
    said = []
    for name in ("unaltered", "note", "manifest.json", "derived/playable.mp4"):
        if name == "note":
            (folder / "notes du greffe.txt").write_text("vu")
        elif name != "unaltered":
            (folder / name).write_bytes((folder / name).read_bytes().replace(b"PV 12/2026", b"PV 13/2026") + b"\n")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", *arguments, "--lang", "fr", cwd=folder, stdout=asyncio.subprocess.PIPE
        )
        said.append((process, (await process.communicate())[0].decode()))
    assert [process.returncode for process, _ in said] == [0, 0, 1, 1]
    assert "notes du greffe.txt" in said[1][1]
    assert "! le fichier manifest.json n'est plus celui qui a été remis" in said[2][1]
    assert "! le fichier derived/playable.mp4 n'est plus celui qui a été remis" in said[3][1]


async def test_vault_catalogue_keys_and_journal_agree_on_it(post: Post) -> None:
    assert await post.check.run() == []
