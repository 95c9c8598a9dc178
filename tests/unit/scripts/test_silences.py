"""Which pauses of a recording the battery puts down to this machine, and which to the attackers."""

from scripts.benchmarks.silences import is_explained, silences

MS = 1_000_000


def test_a_camera_that_sent_nothing_explains_the_pause_in_its_recording() -> None:
    sent = [0, 33 * MS, 2000 * MS, 2033 * MS]
    found = silences(sent, 2066 * MS)
    assert found == [(33 * MS, 2000 * MS)]
    assert is_explained(60 * MS, 1990 * MS, found), "it came some ms after it was sent"


def test_a_pause_while_the_camera_sent_is_a_loss() -> None:
    assert silences([at * 33 * MS for at in range(100)], 3300 * MS) == []
    assert not is_explained(0, 900 * MS, [])
    assert not is_explained(0, 3000 * MS, [(0, 1500 * MS)]), "half of it"
    assert not is_explained(5000 * MS, 900 * MS, [(0, 4000 * MS)]), "another time"


def test_a_camera_that_fell_silent_at_the_end_explains_the_last_pause() -> None:
    assert is_explained(100 * MS, 2000 * MS, silences([0, 100 * MS], 2100 * MS))


def test_several_silences_explain_one_pause_together() -> None:
    assert is_explained(0, 2100 * MS, [(0, 1000 * MS), (1050 * MS, 2000 * MS)])
