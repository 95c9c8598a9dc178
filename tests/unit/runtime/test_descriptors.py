"""The limit of open descriptors is raised to the hard one."""

import subprocess
import sys

PROGRAM = "from relay.runtime.descriptors import limit_now, raise_limit; print(raise_limit(), limit_now())"


def test_a_process_raises_its_limit_to_the_hard_one() -> None:
    command = ["prlimit", "--nofile=256:700", sys.executable, "-c", PROGRAM]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["700", "700"]
