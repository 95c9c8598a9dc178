"""Fragments for a player whose clocks were corrected: times and durations are changed on the way out, and nothing else."""

from relay.archive.hls import index_chain
from relay.archive.moved import delay_of, move_tracks
from relay.evidence.boxes import movie_tracks
from relay.evidence.lipsync import Moves, Shift, moves_of
from relay.evidence.records import TrackKind
from relay.evidence.samples import fragment_samples
from tests.support.copies import recording
from tests.support.recordings import AUDIO, SECOND, VIDEO

MS = SECOND // 1000


def test_pictures_are_spread_evenly_and_follow_one_another() -> None:
    built = recording(drifted=True)
    moves = moves_of(lambda: [record.body for record in built.records()])
    headers = movie_tracks(built.plain[0])
    reached = 0
    for link in built.links:
        if link.init:
            continue
        moved = fragment_samples(move_tracks(built.plain[link.fragment], link, moves), headers)
        assert abs(moved[VIDEO][0].time - reached) <= 1
        assert all(abs(sample.duration - 3600 * 1.1) <= 1 for sample in moved[VIDEO])
        assert all(sample.duration == 960 for sample in moved[AUDIO])
        reached = moved[VIDEO][-1].time + moved[VIDEO][-1].duration
    assert abs(reached - 4.4 * 90_000) <= 1


def test_a_playlist_is_as_long_as_what_is_shown() -> None:
    chain = recording(drifted=True).files["chain"]
    assert abs(sum(piece.seconds for piece in index_chain([chain]).pieces) - 4.4) < 0.5


def test_sealed_bytes_are_those_of_the_recording_without_drift() -> None:
    assert recording(drifted=True).plain == recording().plain


def test_all_tracks_wait_where_one_would_begin_before_zero() -> None:
    assert delay_of(Moves(picture=(Shift(90_000, -3 * SECOND),))) == 2 * SECOND
    assert delay_of(Moves(picture=(Shift(900_000, -3 * SECOND, gradual=True),))) == 0
    assert Moves().at(TrackKind.AUDIO, 5) == 0
