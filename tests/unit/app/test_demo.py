"""What `scripts/run` makes, and says when the relay does not come up."""

import subprocess
import sys
from pathlib import Path

from relay.app.demo import last_words


def test_the_reason_why_the_relay_did_not_start_is_shown_and_not_only_where_to_look(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    log.write_text(
        "Traceback (most recent call last):\n"
        "relay.base.errors.OurError: worker 0 cannot bind UDP port 8500: Address already in use\n"
        '{"event": "process died", "child": "worker-0"}\n'
    )
    assert last_words(log, 0) == ": worker 0 cannot bind UDP port 8500: Address already in use"


def test_a_relay_that_logged_nothing_is_not_quoted(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    log.write_text('{"event": "process started"}\n')
    assert last_words(log, 0) == ""


def test_the_cause_of_an_earlier_runs_end_is_not_shown_for_this_one(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    log.write_text("relay.base.errors.OurError: of yesterday\n")
    assert last_words(log, log.stat().st_size) == ""


RUN = """
import os, sys
from relay.app import demo
async def nothing(self, cameras): ...
os.umask(0o022)
demo.Demo.run = nothing
sys.argv = ["demo", "--data", sys.argv[1]]
demo.run()
"""


def test_every_file_of_the_demo_is_private_from_the_first_on(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    done = subprocess.run([sys.executable, "-c", RUN, str(data)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (data / "relay.db").exists()
    open_to_others = [path for path in [data, *data.rglob("*")] if path.lstat().st_mode & 0o077 and path.name != "signing.pub"]
    assert open_to_others == []
    assert "open to others" not in done.stderr
