"""When the port waits a moment for the rest of what comes together."""

from relay.transport.port import NAP_EVERY, NAP_LONGEST_DOUBT, Nap


def test_naps_that_bring_packets_go_on_at_their_pace() -> None:
    nap = Nap()
    assert nap.may_begin(1.0)
    nap.brought(3, 1.0)
    assert not nap.may_begin(1.0 + NAP_EVERY / 2)
    assert nap.may_begin(1.001 + NAP_EVERY)


def test_naps_that_bring_nothing_become_rare_and_one_that_does_restores_them() -> None:
    nap, now = Nap(), 1.0
    for useless in range(1, NAP_LONGEST_DOUBT + 4):
        nap.brought(0, now)
        pause = NAP_EVERY * 2 ** min(useless, NAP_LONGEST_DOUBT)
        assert not nap.may_begin(now + pause * 0.99)
        now += pause * 1.01
        assert nap.may_begin(now)
    nap.brought(1, now)
    assert nap.may_begin(now + NAP_EVERY * 1.01)
