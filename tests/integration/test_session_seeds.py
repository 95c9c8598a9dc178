"""A recorder's session seed is in no file of the data folder: not while it records, not after a renewal, not after the stop."""

import base64
import time
from pathlib import Path

from relay.base.ids import new_id
from relay.channel import messages
from relay.evidence.chain import KeyRollover
from relay.live.session_keys import issue
from relay.store.keyring import Keyring
from tests.support.recorder_line import KEY, TRACKS, Place, feed, plan, running, taken
from tests.support.relay import RelayUnderTest
from tests.support.rtp_source import scene


def holding(folder: Path, *seeds: bytes) -> list[str]:
    """Return the files that hold a seed, raw, in hex or in base64."""
    forms = [form for seed in seeds for form in (seed, seed.hex().encode(), base64.b64encode(seed))]
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(form in content for content in [path.read_bytes()] for form in forms)
    ]


async def test_of_a_recorder_that_is_renewed_while_it_records(tmp_path: Path) -> None:
    place, recording = Place(tmp_path), new_id(time.time_ns())
    config = place.config()
    later, certificate = issue(Keyring(tmp_path / "keys"), 0, time.time_ns())
    seeds = (config.session_seed, later)
    async with running(config) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        await feed(tap, recording, scene(1.0))
        await taken(tap, recorder)
        assert holding(tmp_path, *seeds) == []
        await control.ask(messages.SessionRenew(later, certificate))
        assert holding(tmp_path, *seeds) == []
        await control.ask(messages.RecordClose(recording, "stopped", "agent"))
        assert holding(tmp_path, *seeds) == []
    assert len(place.bodies(recording, KeyRollover)) == 1
    assert holding(tmp_path, *seeds) == []


async def test_of_a_whole_relay_no_configuration_has_one_and_what_an_older_version_left_is_gone(tmp_path: Path) -> None:
    relay = RelayUnderTest(tmp_path / "data")
    relay.init()
    left = bytes(range(100, 132))
    (relay.data / "run").mkdir(exist_ok=True, mode=0o700)
    old = f'{{"index": 0, "session_seed": "{base64.b64encode(left).decode()}"}}'
    (relay.data / "run" / "recorder-0.json").write_text(old)
    try:
        await relay.start()
        assert holding(relay.data, left) == []
        assert not any("session_seed" in path.read_text() for path in (relay.data / "run").glob("*.json*"))
        await relay.stop()
        assert not any("session_seed" in path.read_text() for path in (relay.data / "run").glob("*.json*"))
    finally:
        await relay.discard()
