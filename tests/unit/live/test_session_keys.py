"""A recorder that runs for longer than its session certificate lives is handed another in time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.channel import messages as m
from relay.evidence.seal import CERTIFICATE
from relay.evidence.wire import decode
from relay.live.processes import Processes
from relay.live.session_keys import DAY_NS, LIFE_NS, RENEW_BEFORE_NS, SessionKeys
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


async def test_a_session_with_life_enough_is_left_alone(bench: Bench) -> None:
    await bench.sessions.tick()
    await bench.says(RENEW_BEFORE_NS)
    await bench.sessions.tick()
    assert bench.renewals() == []


async def test_a_session_that_ends_within_weeks_is_followed_by_one_that_lives_a_month(bench: Bench) -> None:
    await bench.says(RENEW_BEFORE_NS - 1_000_000_000)
    await bench.sessions.tick()
    (renewed,) = bench.renewals()
    certificate = decode(CERTIFICATE, renewed.certificate)
    assert certificate.issued_by(bench.keyring.public_key)
    assert certificate.not_after_ns == bench.clock.utc_ns() + LIFE_NS
    assert certificate.not_before_ns == bench.clock.utc_ns() - DAY_NS
    assert bench.counters.values["sessions_renewed"] == 1


async def test_a_token_that_fails_costs_a_line_in_the_log_and_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.says(DAY_NS)
    with monkeypatch.context() as broken:

        def refuse(*_: object) -> tuple[bytes, bytes]:
            raise OurError("the token does not answer")

        broken.setattr(bench.keyring, "issue_session", refuse)
        await bench.sessions.tick()
    assert bench.counters.values["sessions_not_renewed"] == 1
    await bench.sessions.tick()
    assert len(bench.renewals()) == 1
