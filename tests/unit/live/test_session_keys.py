"""A recorder that runs for longer than its session certificate lives is handed another in time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.channel import messages as m
from relay.evidence.seal import CERTIFICATE, DAY_NS
from relay.evidence.wire import decode
from relay.live.processes import Processes
from relay.live.session_keys import BACKDATED_NS, HOUR_NS, LIFE_NS, RENEW_BEFORE_NS, SessionKeys
from relay.store.keyring import Keyring
from relay.store.passes import Passes, control_of
from tests.support.fake_peers import FakeRecorder, FakeWorker


class Bench:
    """Control's side of one recorder, which says how long its session lives."""

    def __init__(self, root: Path) -> None:
        self.recorder, self.worker = FakeRecorder(root), FakeWorker(root)
        self.keyring = Keyring(root / "keys")
        self.clock, self.counters = ManualClock(), Counters()
        self.processes = Processes(root, 1, self.counters, lambda name: Passes(root / "keys").of(control_of(name)))
        self.sessions = SessionKeys(self.processes, self.keyring, self.clock, self.counters)

    async def says(self, remaining_ns: int) -> None:
        """Let the recorder report, and wait until it was heard."""
        until = self.clock.utc_ns() + remaining_ns
        self.recorder.post(m.RecorderReport(0, (), {}, 0.0, 0, 0, session_until_ns=until))
        async with asyncio.timeout(20):
            while self.sessions.remaining() != {"recorder-0": remaining_ns / 1e9}:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)

    def renewals(self) -> list[m.SessionRenew]:
        return self.recorder.all(m.SessionRenew)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.recorder.start()
    await made.worker.start()
    made.processes.start()
    try:
        assert await made.processes.recorders[0].wait_up(20)
        yield made
    finally:
        await made.processes.stop()
        await made.worker.stop()
        await made.recorder.stop()


async def test_a_session_with_half_of_its_life_left_is_left_alone(bench: Bench) -> None:
    await bench.sessions.tick()
    await bench.says(RENEW_BEFORE_NS)
    await bench.sessions.tick()
    await bench.says(LIFE_NS)
    await bench.sessions.tick()
    assert bench.renewals() == []


async def test_after_half_a_day_another_session_follows_that_lives_a_day_at_most(bench: Bench) -> None:
    await bench.says(RENEW_BEFORE_NS - 1_000_000_000)
    await bench.sessions.tick()
    (renewed,) = bench.renewals()
    certificate = decode(CERTIFICATE, renewed.certificate)
    assert certificate.issued_by(bench.keyring.public_key)
    assert certificate.life_ns == DAY_NS
    assert certificate.covers(bench.clock.utc_ns())
    assert certificate.not_before_ns == bench.clock.utc_ns() - BACKDATED_NS
    assert bench.counters.values["sessions_renewed"] == 1
    await bench.sessions.tick()
    assert len(bench.renewals()) == 1, "the recorder's next report is not waited for"


async def test_over_a_week_it_is_renewed_each_time_before_its_end(bench: Bench) -> None:
    await bench.says(LIFE_NS)
    until, least = bench.clock.utc_ns() + LIFE_NS, LIFE_NS
    for _ in range(7 * 24):
        bench.clock.advance(3600)
        least = min(least, until - bench.clock.utc_ns())
        await bench.sessions.tick()
        until = decode(CERTIFICATE, bench.renewals()[-1].certificate).not_after_ns if bench.renewals() else until
    assert 0 < RENEW_BEFORE_NS - least <= HOUR_NS
    assert 7 * 2 <= len(bench.renewals()) <= 7 * 3


@pytest.mark.parametrize("hours", [-30, -3, 20, 400])
async def test_a_clock_that_was_stepped_out_of_the_certificate_brings_another_one(bench: Bench, hours: int) -> None:
    await bench.says(LIFE_NS)
    bench.clock.step_utc(hours * 3600)
    await bench.sessions.tick()
    (renewed,) = bench.renewals()
    assert decode(CERTIFICATE, renewed.certificate).covers(bench.clock.utc_ns())


async def test_a_clock_that_was_put_back_by_an_hour_brings_none(bench: Bench) -> None:
    await bench.says(LIFE_NS)
    bench.clock.step_utc(-3600)
    await bench.sessions.tick()
    assert bench.renewals() == []


async def test_a_token_that_is_out_for_a_day_is_asked_once_a_minute_and_then_gives_the_next_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.says(RENEW_BEFORE_NS - 1_000_000_000)
    with monkeypatch.context() as broken:

        def refuse(*_: object) -> tuple[bytes, bytes]:
            raise OurError("the token does not answer")

        broken.setattr(bench.keyring, "issue_session", refuse)
        for _ in range(24 * 6 + 1):
            await bench.sessions.tick()
            await bench.sessions.tick()
            bench.clock.advance(600)
    assert bench.counters.values["sessions_not_renewed"] == 24 * 6 + 1
    assert bench.sessions.remaining()["recorder-0"] < 0
    await bench.sessions.tick()
    assert decode(CERTIFICATE, bench.renewals()[0].certificate).covers(bench.clock.utc_ns())
