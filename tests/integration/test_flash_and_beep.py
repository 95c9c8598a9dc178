"""Sound and picture stand together: a flash-and-beep scene goes through the real recorder and is read back where people see it.

Issue: within 40 ms after loss, DTX and restarts where the camera sends reports; where it does not, the verdict says so.
"""

import asyncio
import contextlib
import zipfile
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import pytest

from relay.archive.export_zip import DERIVE, ExportZip, Parts, select_interval
from relay.archive.hls import index_chain, playlist
from relay.archive.moved import move_tracks
from relay.base.clock import ManualClock
from relay.base.ids import new_id
from relay.channel import messages
from relay.channel.framing import Connection
from relay.evidence.chain import Link, iterate
from relay.evidence.extraction import ListedFile, sign_extraction
from relay.evidence.lipsync import sound_shifts
from relay.evidence.standalone import single_file
from relay.evidence.statement import sign_revocations, sign_statement
from relay.evidence.verdict import Code, Verdict
from relay.evidence.verify import verify
from relay.recorder.recorder import REPORT_SECONDS, Recorder
from relay.store.keyring import Keyring
from relay.store.readers import open_reader
from relay.store.vault import Vault
from tests.support.flash import EPOCH, MS, NS, Arrival, Life, arrivals, measure, open_bytes
from tests.support.ports import until
from tests.support.recorder_line import KEY, Place, plan

WITHIN = 0.040
BATCH = 80 * MS
FIRST = Life(0, 12, (1, 2), (4_294_000_000, 77), (60 * MS, 420 * MS), camera_clock=7 * NS, loss=0.02, dtx=True)
RESTARTED = Life(15, 24, (3, 4), (9, 4_294_900_000), (380 * MS, 20 * MS), loss=0.02, dtx=True)
JUMPED = Life(25, 34, (3, 4), (3_000_000_000, 1_000_000_000), (30 * MS, 250 * MS), camera_clock=-3 * NS)


@dataclass
class Scene:
    """A recording as it was made, and the ways in which people see it."""

    place: Place
    recording: str

    @property
    def vault(self) -> Vault:
        return Vault(self.place.root / "vault")

    def plain(self, link: Link) -> bytes:
        return self.vault.read_plain(self.recording, KEY, link.fragment, link.segment, link.offset, link.stored_length)

    def chain(self) -> list[bytes]:
        return list(self.vault.chain(self.recording))

    def links(self) -> list[Link]:
        return [record.body for record in iterate(b"".join(self.chain())) if isinstance(record.body, Link)]

    def export(self, path: Path, from_ns: int = 0) -> Path:
        """Write the archive that a commander is handed, whole or from an instant on."""
        selection = select_interval(self.chain(), from_ns, EPOCH + 100 * NS)
        keyring = Keyring(self.place.root / "keys")
        statement = sign_statement(
            keyring.signer,
            recording=self.recording,
            head=selection.head,
            from_ns=max(from_ns, EPOCH),
            to_ns=EPOCH + 100 * NS,
            first=selection.first,
            last=selection.last,
            issued_ns=EPOCH + 200 * NS,
        )
        revoked = sign_revocations(keyring.signer, head=selection.head, issued_ns=EPOCH + 200 * NS, revoked={})

        def sign_list(files: Sequence[ListedFile]) -> bytes:
            return sign_extraction(
                keyring.signer, recording=self.recording, head=selection.head, files=files, issued_ns=EPOCH + 200 * NS
            )

        verifier = single_file().encode()
        parts = Parts(self.recording, selection, statement, keyring.public_key, (), revoked, verifier, DERIVE, sign_list)
        with path.open("wb") as sink:
            ExportZip(sink, parts, self.plain, lambda _share: None).write()
        return path

    def copy(self, path: Path) -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read(f"{self.recording}/derived/playable.mp4")

    def sealed(self) -> bytes:
        return b"".join(self.plain(link) for link in self.links())

    def served(self, folder: Path) -> Path:
        """Write what playback serves; return the playlist."""
        index = index_chain(self.chain())
        for piece in index.pieces:
            (folder / f"{piece.segment}.init.mp4").write_bytes(self.plain(piece.init))
            moved = b"".join(move_tracks(self.plain(link), link, index.moves) for link in piece.fragments)
            (folder / f"{piece.segment}.m4s").write_bytes(moved)
        path = folder / "index.m3u8"
        path.write_text(playlist(index.pieces))
        return path

    def verdict(self, path: Path) -> Verdict:
        with open_reader(path) as reader:
            return verify(reader, Keyring(self.place.root / "keys").public_key)


@dataclass
class Steps:
    """The wall clock is stepped, and the scene, which runs faster than the recorder's ticks, waits for it to look."""

    place: Place
    control: Connection
    clock: ManualClock
    seconds: dict[int, float]
    """At which second of the scene, and by how many."""
    look_by: int | None = None

    async def take(self, passed: int) -> None:
        """Step where one is due, `passed` nanoseconds into the scene."""
        if self.look_by is not None and passed >= self.look_by:
            await self._looked()
        for second in [second for second in self.seconds if second * NS <= passed]:
            await self.control.ask(messages.Ping())  # every report of before is heard
            self.place.heard.clear()
            self.clock.step_utc(self.seconds.pop(second))
            self.look_by = passed + round(REPORT_SECONDS * NS)

    async def _looked(self) -> None:
        """By the scene's clock a report is due: wait for it, however long this machine takes."""
        await until(lambda: any(isinstance(message, messages.RecorderReport) for message in self.place.heard))
        self.look_by = None


async def feed(tap: Connection, recording: str, items: list[Arrival], start: int, clock: ManualClock, steps: Steps) -> None:
    """Hand over what arrives, 80 ms of it at a time; then half a second of silence."""
    passed = round(clock.monotonic() * 1e9) - start
    items = [*items, Arrival(items[-1].at + NS // 2, None, None)]
    while items:
        passed += BATCH
        batch = [item for item in items if item.at < passed]
        items = items[len(batch) :]
        clock.advance(start / 1e9 + passed / 1e9 - clock.monotonic())
        await steps.take(passed)
        packets = [(start + item.at, item.packet) for item in batch if item.packet is not None]
        if packets:
            tap.post(messages.TapPackets(recording, packets))
        for item in batch:
            if item.report is not None:
                ssrc, ntp_ns, rtp = item.report
                tap.post(messages.TapSender(recording, ssrc, ntp_ns, rtp, start + item.at, 60 * MS))
        await tap.drain()
        await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def recorder(place: Place, clock: ManualClock) -> AsyncIterator[tuple[Connection, Connection]]:
    seed, certificate = Keyring(place.root / "keys").issue_session("recorder", 0, EPOCH - NS, EPOCH + 86_000 * NS)
    process = Recorder(place.config(session_seed=seed, session_certificate=certificate), clock)
    task = asyncio.create_task(process.run())
    try:
        yield await place.connect(), await place.connect()
    finally:
        process.stop("test")
        await task


async def record(root: Path, lives: list[Life], steps: dict[int, float] | None = None) -> Scene:
    """Film the lives one after the other; a life of new SSRCs is a restart, one of the same a jump of the clocks.

    `steps`: at which seconds of the scene the relay's wall clock is stepped, and by how many seconds.
    """
    clock = ManualClock(EPOCH)
    place, recording = Place(root), new_id(EPOCH)
    start = round(clock.monotonic() * 1e9)
    async with recorder(place, clock) as (control, tap):
        await control.ask(messages.RecordOpen(plan(recording, started_ns=EPOCH), KEY))
        stepped = Steps(place, control, clock, dict(steps or {}))
        open_ssrcs, numbers = None, [0, 0]
        for seed, life in enumerate(lives):
            if life.ssrcs != open_ssrcs:
                if open_ssrcs is not None:
                    tap.post(messages.TapClose(recording, "lost"))
                video, audio = life.ssrcs
                tracks = (messages.Track(video, "video", 102, 90000, ""), messages.Track(audio, "audio", 111, 48000, ""))
                tap.post(messages.TapOpen(recording, "cam-1", tracks))
                open_ssrcs, numbers = life.ssrcs, [60_000, 5]
            await feed(tap, recording, arrivals(life, seed, numbers), start, clock, stepped)
        await control.ask(messages.RecordClose(recording, "stopped", "agent"))
    return Scene(place, recording)


def apart(data: bytes | Path) -> dict[int, float]:
    """Return by second of the scene how far each beep is from its flash."""
    opener = open_bytes(data) if isinstance(data, bytes) else lambda: av.open(str(data), "r")
    return {(one.utc_ns - EPOCH) // NS: one.seconds for one in measure(opener)}


LIVES = {"first": range(12), "restarted": range(15, 24), "jumped": range(25, 34)}


def together(found: dict[int, float], lives: Iterable[str]) -> None:
    """Three beeps at least were measured in each of these lives, each within 40 ms of its flash."""
    for life in lives:
        seen = [abs(found[second]) for second in LIVES[life] if second in found]
        assert len(seen) >= 3
        assert max(seen) <= WITHIN


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Loss, DTX, a restart and timestamps that jump, each with another distance between sound and picture as they arrive."""
    return asyncio.run(record(tmp_path_factory.mktemp("filmed"), [FIRST, RESTARTED, JUMPED]))


def test_sealed_media_stays_as_apart_as_it_arrived(filmed: Scene) -> None:
    """The ruler measures: what no player has moved is where the radio left it."""
    found = apart(filmed.sealed())
    for life, late in (("first", 0.36), ("restarted", -0.36), ("jumped", 0.22)):
        seen = [found[second] for second in LIVES[life] if second in found]
        assert len(seen) >= 3
        assert all(abs(seconds - late) < 0.05 for seconds in seen)


def test_exported_copy_has_sound_and_picture_within_40_ms(filmed: Scene, tmp_path: Path) -> None:
    path = filmed.export(tmp_path / "export.zip")
    together(apart(filmed.copy(path)), LIVES)
    assert filmed.verdict(path).findings == ()


def test_playback_has_sound_and_picture_within_40_ms(filmed: Scene, tmp_path: Path) -> None:
    together(apart(filmed.served(tmp_path)), LIVES)


def test_export_that_begins_after_the_restart_is_moved_by_what_holds_there(filmed: Scene, tmp_path: Path) -> None:
    path = filmed.export(tmp_path / "export.zip", EPOCH + 17 * NS)
    found = apart(filmed.copy(path))
    assert min(found) >= 16
    together(found, ["restarted", "jumped"])


def test_every_stretch_has_its_reports_and_the_verdict_does_not_say_by_arrival(filmed: Scene, tmp_path: Path) -> None:
    notes = filmed.verdict(filmed.export(tmp_path / "export.zip")).notes
    assert Code.SYNC_BY_ARRIVAL not in {note.code for note in notes}


async def test_camera_without_reports_counts_as_synchronised_by_arrival_and_is_not_moved(tmp_path: Path) -> None:
    lives = [replace(FIRST, end=5, reports=False), replace(RESTARTED, start=7, end=10), replace(JUMPED, start=11, end=15)]
    scene = await record(tmp_path, [lives[0], lives[1], replace(lives[2], reports=False)])
    verdict = scene.verdict(scene.vault.folder(scene.recording))
    said = [note for note in verdict.notes if note.code is Code.SYNC_BY_ARRIVAL]
    began = {link.fragment: link.arrival_start_ns for link in scene.links()}
    assert sorted((dict(note.values)["track"], round((began[note.fragment or 0] - EPOCH) / NS)) for note in said) == [
        ("audio", 0),
        ("audio", 11),
        ("video", 0),
        ("video", 11),
    ]
    assert {"synchronised by arrival (sound)" in note.text("en") for note in said} == {True, False}
    assert {"synchronisation par l'heure d'arrivée (son)" in note.text("fr") for note in said} == {True, False}
    middle = [shift.since / 48_000 for shift in sound_shifts(scene.links())]
    assert [round(since) for since in middle] == [7, 11], "only what has reports is moved"


STEADY = Life(0, 12, (1, 2), (5, 7), (60 * MS, 300 * MS))


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_relay_whose_clock_is_stepped_by_an_hour_keeps_even_times_and_says_suspect(tmp_path: Path, step: float) -> None:
    scene = await record(tmp_path, [STEADY], {5: step})
    links = [link for link in scene.links() if not link.init]
    for link in links:
        (part,) = [part for part in link.tracks if part.track == 1]
        captured = EPOCH + part.first * NS // 90_000
        assert abs(link.arrival_start_ns - captured) < NS // 2, "no time jumped, before or after"
    suspect = [link.clock_suspect for link in links]
    since = links[suspect.index(True)].arrival_start_ns - EPOCH
    assert 4 * NS < since < 7 * NS
    assert all(suspect[suspect.index(True) :]), "nobody can say which side of the step was right"
    verdict = scene.verdict(scene.vault.folder(scene.recording))
    assert verdict.findings == ()
    assert Code.CLOCK_SUSPECT in {note.code for note in verdict.notes}
    together({second: seconds for second, seconds in apart(scene.served(tmp_path)).items()}, ["first"])


async def test_relay_whose_clock_is_slewed_is_not_suspected(tmp_path: Path) -> None:
    scene = await record(tmp_path, [STEADY], {second: 0.001 for second in range(1, 12, 2)})
    assert not any(link.clock_suspect for link in scene.links())


async def test_camera_whose_clock_is_stepped_by_an_hour_stays_where_it_arrived_and_its_offset_is_noted(tmp_path: Path) -> None:
    lives = [STEADY, replace(STEADY, start=12, end=20, camera_clock=3600 * NS)]
    scene = await record(tmp_path, lives)
    offsets = [
        round(clock.offset_ns / NS) for link in scene.links() for clock in link.clocks if clock.source.value != "arrival"
    ]
    assert sorted(set(offsets)) == [0, 3600]
    assert not any(link.clock_suspect for link in scene.links())
    found = apart(scene.served(tmp_path))
    assert len(found) >= 9
    assert max(map(abs, found.values())) <= WITHIN
