"""A script for cameras, in TOML: at second s, this camera does that.

Owns: the format.  Must never know: cameras.

    [[step]]
    at = 2.0             # seconds from the start
    camera = "cam1"      # or "*"; default "*"
    do = "press"         # press | release | network | cut | battery
    threat = "agents"    # press only: agents, biens or personnes
    reason = "shouting"  # press only

    [[step]]
    at = 10
    do = "network"       # replaces the whole network
    loss = 0.05
    delay = 0.03         # each way; also burst, jitter, duplicate, reorder, reorder_by, bandwidth, queue_bytes

    [[step]]
    at = 20
    do = "cut"
    seconds = 0.5
"""

import fnmatch
from pathlib import Path
from typing import Literal

import msgspec

from sim_cameras.impair import Network

_OWN_FIELDS = {
    "press": {"threat", "reason"},
    "release": set[str](),
    "network": set(Network.__dataclass_fields__),
    "cut": {"seconds"},
    "battery": {"level"},
}


class ScenarioError(Exception):
    """The script breaks a rule; the text names it."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One line of the script."""

    at: float
    do: Literal["press", "release", "network", "cut", "battery"]
    camera: str = "*"
    threat: str = "agents"
    reason: str = "scenario"
    seconds: float | None = None
    level: float | None = None
    loss: float = 0.0
    burst: float = 1.0
    delay: float = 0.0
    jitter: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_by: float = 0.02
    bandwidth: float | None = None
    queue_bytes: int = 64_000

    def concerns(self, camera: str) -> bool:
        """Return whether the step is for `camera` (shell patterns)."""
        return fnmatch.fnmatchcase(camera, self.camera)

    def network(self) -> Network:
        """Return the network of a `network` step; raises ValueError where it is impossible."""
        return Network(**{name: getattr(self, name) for name in Network.__dataclass_fields__})


class _Script(msgspec.Struct, forbid_unknown_fields=True):
    step: list[Step] = []


def parse(text: str) -> tuple[Step, ...]:
    """Return the steps in order of time; raises ScenarioError with the step's number for anything that makes no sense."""
    try:
        steps = msgspec.toml.decode(text, type=_Script).step
    except msgspec.DecodeError as error:
        raise ScenarioError(str(error)) from error
    for number, step in enumerate(steps, 1):
        _check(step, f"step {number}")
    return tuple(sorted(steps, key=lambda step: step.at))


def load(path: Path) -> tuple[Step, ...]:
    """Return the steps of a file; raises ScenarioError or OSError."""
    return parse(path.read_text(encoding="utf-8"))


def _check(step: Step, where: str) -> None:
    """Refuse steps whose fields belong to another `do`, or whose values are impossible."""
    if step.at < 0:
        raise ScenarioError(f"{where}: at must not be negative")
    foreign = set(msgspec.to_builtins(step)) - {"at", "do", "camera"} - _OWN_FIELDS[step.do]
    if foreign:
        raise ScenarioError(f"{where}: {', '.join(sorted(foreign))} means nothing to {step.do}")
    if step.do == "cut" and not (step.seconds is not None and step.seconds > 0):
        raise ScenarioError(f"{where}: cut needs seconds > 0")
    if step.do == "battery" and not (step.level is not None and 0 <= step.level <= 100):
        raise ScenarioError(f"{where}: battery needs a level of 0 to 100")
    try:
        step.network()
    except ValueError as error:
        raise ScenarioError(f"{where}: {error}") from error
