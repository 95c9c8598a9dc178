"""Whole processes on another day: their wall clock is moved when Python starts, before any module of theirs is read.

Owns one file, `sitecustomize.py`, in a folder of the test.  Must never know the relay: it moves `time.time` and `time.time_ns`
of every Python process that gets this environment, and of their children.  The monotonic clock stays as it is.
"""

import os
import time
from pathlib import Path

_AHEAD = "PYTHON_CLOCK_AHEAD_NS"
"""Workers and recorders inherit variables of the interpreter only, by this prefix."""
_MOVES = f"""import os
import time

_ahead, _seconds, _nanoseconds = int(os.environ["{_AHEAD}"]), time.time, time.time_ns
time.time = lambda: _seconds() + _ahead / 1e9
time.time_ns = lambda: _nanoseconds() + _ahead
"""


def another_day(folder: Path, utc_ns: int) -> dict[str, str]:
    """Return the environment of processes for which it is `utc_ns` now; the clock goes on from there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_MOVES)
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path), _AHEAD: str(utc_ns - time.time_ns())}
