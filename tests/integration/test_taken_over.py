"""What a worker or recorder can still do once an attacker has taken it over: THREAT_MODEL.md states exactly this."""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from relay.app.supervise import write_private
from relay.runtime import landlock
from relay.store.passes import Passes, control_of, tap_of
from tests.support.relay import RelayUnderTest

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        sys.platform != "linux" or landlock.version(ctypes.CDLL(None, use_errno=True)) < 6,
        reason="this kernel has no Landlock of version 6: a taken-over process reads every file of the relay's user here",
    ),
]

OTHER = "0" * 31 + "1"
REFUSED = ("EACCES", "EPERM")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RelayUnderTest]:
    made = RelayUnderTest(tmp_path_factory.mktemp("taken") / "data")
    made.init()
    try:
        await made.start()
        yield made
    finally:
        await made.discard()


async def _taken_over(relay: RelayUnderTest, kind: str, *wanted: str) -> tuple[int, dict[str, str]]:
    """Return the exit code of a taken-over process, and what became of its attempts."""
    passes = Passes(relay.data / "keys")
    write_private(_closed(relay), b"sealed")
    facts = {
        "data": str(relay.data.resolve()),
        "recording": OTHER,
        "pids": {"control": _pid(relay, "control"), "recorder": _pid(relay, "recorder"), "the test": os.getpid()},
        # Its own passes: a worker is handed both, a recorder both of its own.
        "control_pass": passes.of(control_of(f"{kind}-0")).hex(),
        "tap_pass": passes.of(tap_of(0)).hex(),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.taken_over", kind, *wanted,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    out, _ = await process.communicate(json.dumps(facts).encode())
    assert process.returncode is not None
    return process.returncode, json.loads(out) if out else {}


def _closed(relay: RelayUnderTest) -> Path:
    """Return the chain of a recording that is closed, in its folder."""
    folder = relay.data / "vault" / OTHER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / "chain"


def _pid(relay: RelayUnderTest, name: str) -> int:
    return relay.pids(name)[0]


def _succeeded(outcomes: dict[str, str]) -> set[str]:
    return {name for name, outcome in outcomes.items() if outcome == "done"}


async def test_a_taken_over_worker_reads_no_file_and_reaches_nothing_but_its_tap(relay: RelayUnderTest) -> None:
    code, outcomes = await _taken_over(relay, "worker")
    assert code == 0
    # "end the recorder" is sent, and not obeyed; the last test of this file looks.
    assert _succeeded(outcomes) == {"a Unix socket", "feed the recorder by the tap", "end the recorder by the tap"}
    at_doors = {name for name in outcomes if " by the " in name or name.startswith("be ")}
    assert all(outcome in REFUSED for name, outcome in outcomes.items() if name not in at_doors | _succeeded(outcomes)), (
        outcomes
    )
    for name in at_doors - _succeeded(outcomes):
        assert outcomes[name] == "EACCES" or outcomes[name].startswith("refused: "), (name, outcomes[name])


async def test_a_taken_over_recorder_has_the_vault_and_nothing_else(relay: RelayUnderTest) -> None:
    code, outcomes = await _taken_over(relay, "recorder")
    assert code == 0
    assert _succeeded(outcomes) == {f"read vault/{OTHER}/chain", "list vault", "write in vault", "remove a closed recording"}
    assert all(outcome in REFUSED for name, outcome in outcomes.items() if name not in _succeeded(outcomes)), outcomes


async def test_a_taken_over_remuxer_has_nothing(relay: RelayUnderTest) -> None:
    code, outcomes = await _taken_over(relay, "derive")
    assert code == 0
    assert _succeeded(outcomes) == set()
    assert all(outcome in REFUSED for outcome in outcomes.values()), outcomes


@pytest.mark.parametrize("kind", ["worker", "recorder", "derive"])
@pytest.mark.parametrize("attempt", ["run a shell", "trace control", "make a namespace", "mount"])
async def test_who_asks_for_another_program_or_process_is_killed(relay: RelayUnderTest, kind: str, attempt: str) -> None:
    code, outcomes = await _taken_over(relay, kind, attempt)
    assert (code, outcomes) == (-signal.SIGSYS, {})


async def test_the_relay_lives_on_and_every_process_is_caged(relay: RelayUnderTest) -> None:
    for name in ("control", "worker", "recorder"):
        status = Path(f"/proc/{_pid(relay, name)}/status").read_text()  # noqa: ASYNC240
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert (facts["NoNewPrivs"], facts["Seccomp"], facts["Umask"]) == ("1", "2", "0077"), name
    assert await relay.ready()
    assert "cage is incomplete" not in relay.log()


async def test_no_file_outside_the_keys_holds_a_key_and_none_is_open_to_others(relay: RelayUnderTest) -> None:
    passes = Passes(relay.data / "keys")
    doors = [control_of("worker-0"), control_of("recorder-0"), tap_of(0), "console"]
    for path in (relay.data / "run").glob("*.json"):
        content = path.read_text()
        assert "session_seed" not in content
        assert "_pass" not in content
        assert not any(passes.of(door).hex() in content for door in doors)
    for path in (relay.data, *relay.data.rglob("*")):
        if path.name != "serve.log":  # the test's own
            assert path.stat().st_mode & 0o077 == 0, path
