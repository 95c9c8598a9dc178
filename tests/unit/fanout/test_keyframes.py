"""The cache since the last IDR, and the rhythm of keyframe requests."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from relay.fanout import keyframes as rules
from relay.fanout.keyframes import KeyframeFeedback, KeyframeRequester
from relay.fanout.stream import MAX_CACHE_BYTES, MAX_CACHE_SECONDS, KeyframeCache
from relay.rtp.burst import MediaPacket


def packet(index: int, timestamp: int, *, key: bool = False, size: int = 100, at: float = 0.0) -> MediaPacket:
    """A packet of a picture."""
    return MediaPacket(index, timestamp, False, bytes(size), at, keyframe=key)


def indices(cache: KeyframeCache) -> list[int]:
    """What a viewer would be replayed."""
    return [media.index for media in cache.replay()]


def test_nothing_is_replayed_before_a_keyframe() -> None:
    cache = KeyframeCache()
    cache.add(packet(1, 10))
    assert not cache.ready
    assert cache.replay() == []


def test_a_replay_begins_at_the_last_keyframe() -> None:
    cache = KeyframeCache()
    for index, (timestamp, key) in enumerate([(10, True), (10, False), (20, False), (30, True), (30, True), (40, False)]):
        cache.add(packet(index, timestamp, key=key))
    assert indices(cache) == [3, 4, 5]


def test_the_delimiter_before_the_parameter_sets_belongs_to_the_keyframe() -> None:
    cache = KeyframeCache()
    for index, (timestamp, key) in enumerate([(10, False), (20, False), (20, True), (20, True)]):
        cache.add(packet(index, timestamp, key=key))
    assert indices(cache) == [1, 2, 3]


def test_late_packets_find_their_place() -> None:
    cache = KeyframeCache()
    for index in (5, 8, 7, 6):
        cache.add(packet(index, 10 if index < 7 else 20, key=index == 5))
    assert indices(cache) == [5, 6, 7, 8]


def test_a_late_packet_of_an_older_keyframe_does_not_restart_the_cache() -> None:
    cache = KeyframeCache()
    cache.add(packet(5, 20, key=True))
    cache.add(packet(3, 10, key=True))
    assert indices(cache) == [5]


def test_a_cache_over_its_size_or_age_is_dropped_and_counted() -> None:
    cache = KeyframeCache()
    cache.add(packet(1, 10, key=True))
    cache.add(packet(2, 20, at=MAX_CACHE_SECONDS + 0.1))
    assert not cache.ready
    cache.add(packet(3, 30, key=True))
    cache.add(packet(4, 40, size=MAX_CACHE_BYTES))
    assert not cache.ready
    assert cache.take_overruns() == 2
    assert cache.take_overruns() == 0


def test_tiny_packets_do_not_fill_the_memory_beside_the_cache() -> None:
    cache = KeyframeCache()
    cache.add(packet(0, 0, key=True))
    for index in range(1, 20_000):
        cache.add(packet(index, 0, size=1))
    assert not cache.ready
    assert cache.take_overruns() == 1


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 600_000)), max_size=60, unique_by=lambda p: p[0]))
def test_whatever_comes_the_cache_is_ordered_bounded_and_starts_with_its_keyframe(
    packets: list[tuple[int, bool, int]],
) -> None:
    cache = KeyframeCache()
    for index, key, size in packets:
        cache.add(packet(index, index // 3, key=key, size=size, at=index / 10))
        replay = cache.replay()
        assert indices(cache) == sorted(indices(cache))
        assert sum(len(media.payload) for media in replay) <= MAX_CACHE_BYTES
        if replay:
            start = replay[0].timestamp
            assert any(media.keyframe for media in replay if media.timestamp == start)


def test_twenty_wishes_cost_one_request() -> None:
    requester = KeyframeRequester()
    for _ in range(20):
        requester.want(1.0)
    assert [requester.poll(1.0) for _ in range(20)].count(KeyframeFeedback.PLI) == 1


def test_wishes_after_an_answer_wait_for_the_pause() -> None:
    requester = KeyframeRequester()
    requester.want(1.0)
    requester.poll(1.0)
    requester.seen(1.1)
    requester.want(1.2)
    assert requester.poll(1.2) is KeyframeFeedback.NOTHING
    assert requester.poll(1.0 + rules.MIN_PAUSE_SECONDS) is KeyframeFeedback.PLI


def test_a_camera_that_never_answers_is_asked_ever_less_and_in_other_words() -> None:
    requester = KeyframeRequester()
    requester.want(0.0)
    asked = [(step / 100, ask) for step in range(6000) if (ask := requester.poll(step / 100)) is not KeyframeFeedback.NOTHING]
    pauses = [after[0] - before[0] for before, after in zip(asked, asked[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert max(pauses) <= rules.MAX_RETRY_SECONDS + 0.02
    assert {ask for _, ask in asked} == {KeyframeFeedback.PLI, KeyframeFeedback.FIR}
    assert requester.unanswered == len(asked) - 1


def test_nothing_is_asked_once_the_keyframe_came() -> None:
    requester = KeyframeRequester()
    requester.want(0.0)
    requester.poll(0.0)
    requester.seen(0.2)
    assert all(requester.poll(step / 10) is KeyframeFeedback.NOTHING for step in range(100))


def test_a_camera_that_sends_no_keyframe_for_days_is_asked_at_the_longest_pause_for_ever() -> None:
    requester = KeyframeRequester()
    requester.want(0.0)
    asks = [requester.poll(rules.MAX_RETRY_SECONDS * step) for step in range(50_000)]
    assert KeyframeFeedback.NOTHING not in asks


def words(*agreed: KeyframeFeedback) -> Sequence[KeyframeFeedback]:
    """How a camera that never answers is asked, the first times."""
    requester = KeyframeRequester(agreed)
    requester.want(0.0)
    return [
        ask for step in range(20) if (ask := requester.poll(step * rules.MAX_RETRY_SECONDS)) is not KeyframeFeedback.NOTHING
    ][:7]


def test_a_camera_is_asked_first_as_it_agreed_and_then_in_every_other_way() -> None:
    pli, fir, sli = KeyframeFeedback.PLI, KeyframeFeedback.FIR, KeyframeFeedback.SLI
    assert words() == [pli, pli, fir, pli, fir, pli, fir]
    assert words(pli) == [pli, pli, fir, pli, fir, pli, fir]
    assert words(fir) == [fir, fir, pli, fir, pli, fir, pli]
    assert words(pli, fir, sli) == [pli, pli, fir, sli, pli, fir, sli]
    assert words(sli) == [sli, sli, pli, fir, sli, pli, fir]
