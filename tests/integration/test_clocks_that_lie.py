"""Clocks of cameras that lie, through the real recorder to the copy and the playback: FFmpeg finds picture and sound together.

Issue of each: stamps 1 % fast for 20 minutes put picture and sound 12 s apart; stamps of 25 fps at 21 fps, 9.6 s in a minute.
"""

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import pytest

from relay.archive.hls import index_chain
from relay.archive.moved import move_tracks
from relay.base.counters import Counters
from relay.base.ids import new_id
from relay.channel.messages import TapOpen, TapPackets, Track
from relay.evidence.chain import Link, Reason, iterate
from relay.evidence.lipsync import moves_of
from relay.evidence.verdict import Code, Verdict
from relay.evidence.verify import verify
from relay.record.line import LineSettings
from relay.record.wall_clock import WallClock
from relay.recorder.derive import derive
from relay.recorder.jobs import CorrectionJob, EndJob, FragmentJob, GapJob, Job
from relay.recorder.recording import Recording
from relay.recorder.sealing import SealedRecording, start_of
from relay.store.readers import open_reader
from relay.store.vault import FileOps, Vault
from tests.integration.test_flash_and_beep import Scene, apart, record
from tests.support.copies import pictures
from tests.support.flash import MS, NS, Life
from tests.support.recorder_line import KEY, plan
from tests.support.recordings import LONGTERM, T0, session
from tests.support.rtp_source import encode_audio, h264_payloads, rtp

LATE = (60 * MS, 90 * MS)
FPS, MINUTES = 5, 20


@pytest.mark.parametrize("reports", [True, False])
async def test_25_fps_stamps_at_21_fps_are_played_at_the_pace_of_the_sound(tmp_path: Path, *, reports: bool) -> None:
    scene = await record(tmp_path, [Life(0, 60, (1, 2), (5, 7), LATE, reports=reports, pace=(21 / 25, 1.0))])
    path = scene.export(tmp_path / "export.zip")
    sealed = _span(scene.sealed())
    assert sealed["audio"] - sealed["video"] > 9, "sealed bytes are as they came"
    for found in (apart(scene.copy(path)), apart(scene.served(tmp_path))):
        assert len(found) >= 25
        assert max(abs(seconds) for seconds in found.values()) < (0.1 if reports else 0.25)
    verdict = scene.verdict(path)
    assert verdict.findings == ()
    assert _corrected(verdict) == {"video"}


async def test_an_honest_camera_costs_no_correction(tmp_path: Path) -> None:
    scene: Scene = await record(tmp_path, [Life(0, 20, (1, 2), (5, 7), LATE, reports=False)])
    assert _corrected(scene.verdict(scene.vault.folder(scene.recording))) == set()


def _corrected(verdict: Verdict) -> set[str]:
    return {dict(note.values)["track"] for note in verdict.notes if note.code is Code.CLOCK_CORRECTED}


def _span(data: bytes) -> dict[str, float]:
    """Return how long FFmpeg says each track lasts, in seconds."""
    return {kind: times[-1] - times[0] for kind, times in _times(data).items()}


def _times(data: bytes) -> dict[str, list[float]]:
    """Return when FFmpeg shows each packet of each track, in seconds."""
    found: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(data), "r") as container:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                found[packet.stream.type].append(float(packet.pts * packet.time_base))
    return found


# --- twenty minutes at once -------------------------------------------------------------------------------------------


def _packets(paces: tuple[float, float]) -> Iterator[tuple[int, bytes]]:
    """Yield (true time in ns, packet) of pictures and sound in order; the same second of film again and again."""
    shot, sound = pictures(FPS, in_band=True), encode_audio(50)
    numbers = [0, 0]
    for index in range(MINUTES * 60 * 50):
        at = index * 20 * MS
        if index % (50 // FPS) == 0:
            unit = shot.units[index // (50 // FPS) % FPS]
            stamp = round(at / NS * 90_000 * paces[0]) & 0xFFFFFFFF
            payloads = h264_payloads(unit)
            for place, payload in enumerate(payloads):
                yield at, rtp(102, numbers[0] & 0xFFFF, stamp, 1, place == len(payloads) - 1, payload)
                numbers[0] += 1
        stamp = round(at / NS * 48_000 * paces[1]) & 0xFFFFFFFF
        yield at, rtp(111, index & 0xFFFF, stamp, 2, False, sound[index % 50])


def _record(root: Path, paces: tuple[float, float]) -> tuple[str, Vault]:
    """Record twenty minutes without waiting for them."""
    name, signer = new_id(T0), session()
    wanted = plan(name, started_ns=T0)
    sealed = SealedRecording(FileOps(), root, start_of(wanted, None, signer), KEY, signer)

    def put(job: Job) -> None:
        if isinstance(job, FragmentJob):
            sealed.media(job)
        elif isinstance(job, CorrectionJob):
            sealed.correct(job.correction)
        elif isinstance(job, GapJob):
            sealed.gap(job)
        elif isinstance(job, EndJob):
            sealed.finish(job)

    recording = Recording(wanted, LineSettings(), WallClock(T0, 0), 0, put, Counters())
    tracks = (Track(1, "video", 102, 90_000, ""), Track(2, "audio", 111, 48_000, ""))
    recording.open(TapOpen(name, "cam-1", tracks), 0)
    batch: list[tuple[int, bytes]] = []
    for at, packet in _packets(paces):
        batch.append((at, packet))
        if len(batch) == 40:
            recording.packets(TapPackets(name, batch), at)
            batch = []
    recording.packets(TapPackets(name, batch), MINUTES * 60 * NS)
    recording.finish(Reason.STOPPED, "op-1", MINUTES * 60 * NS)
    sealed.sync()
    sealed.close()
    return name, Vault(root)


@pytest.mark.parametrize("paces", [(1.01, 1.0), (1.0, 1.01)])
def test_stamps_of_a_track_1_percent_fast_for_20_minutes_are_brought_together(
    tmp_path: Path, paces: tuple[float, float]
) -> None:
    name, vault = _record(tmp_path, paces)
    chain = list(vault.chain(name))
    bodies = [record.body for record in iterate(b"".join(chain))]
    moves = moves_of(lambda: bodies)

    def plain(link: Link) -> bytes:
        return vault.read_plain(name, KEY, link.fragment, link.segment, link.offset, link.stored_length)

    links = [body for body in bodies if isinstance(body, Link)]
    out = io.BytesIO()
    derive(iter([io.BytesIO(b"".join(plain(link) for link in links))]), out, moves, sound=True)
    served = b"".join(plain(link) if link.init else move_tracks(plain(link), link, moves) for link in links)
    for shown in (_times(out.getvalue()), _times(served)):
        _together(shown)
    seconds = sum(piece.seconds for piece in index_chain(chain).pieces)
    assert abs(seconds - MINUTES * 60) < 15
    folder = vault.folder(name)
    (folder / "playable.mp4").write_bytes(out.getvalue())
    with open_reader(folder) as reader:
        verdict = verify(reader, LONGTERM.public_key, KEY, revoked={})
    assert verdict.findings == ()
    assert _corrected(verdict) == {"video" if paces[0] > 1 else "audio"}


def _together(shown: dict[str, list[float]]) -> None:
    """Each picture is shown within a quarter of a second of the sound that was made with it, and time never goes back."""
    pictures_at, sound_at = shown["video"], shown["audio"]
    assert len(pictures_at) == MINUTES * 60 * FPS
    assert len(sound_at) >= MINUTES * 60 * 50 - 50
    assert all(later > earlier for earlier, later in pairwise(pictures_at))
    first = len(sound_at) - MINUTES * 60 * 50
    worst = max(abs(at - sound_at[max(index * 50 // FPS + first, 0)]) for index, at in enumerate(pictures_at))
    assert worst < 0.25
