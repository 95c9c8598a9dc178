"""The worker's configuration file."""

from pathlib import Path

import msgspec
import pytest

from relay.base.errors import OurError
from relay.worker.config import WorkerConfig, load
from tests.support.passes import CONTROL, TAP


def test_what_was_written_is_read(tmp_path: Path) -> None:
    config = WorkerConfig(
        index=2, run_dir="/run", certificate="/c.pem", control_pass=CONTROL, tap_pass=TAP, advertise=("192.0.2.1",)
    )
    (tmp_path / "worker-2.json").write_bytes(msgspec.json.encode(config))
    assert load(tmp_path / "worker-2.json") == config


@pytest.mark.parametrize("text", ['{"index":0,"run_dir":"r","certificate":"c","port_base":1}', '{"index":0}', "no JSON"])
def test_unknown_keys_missing_keys_and_nonsense_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "worker-0.json").write_text(text)
    with pytest.raises(OurError, match=r"worker-0\.json"):
        load(tmp_path / "worker-0.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OurError, match=r"worker-9\.json"):
        load(tmp_path / "worker-9.json")
