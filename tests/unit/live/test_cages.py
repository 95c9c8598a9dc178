"""A process whose cage lacks a part is named, once for each change."""

from pathlib import Path

import pytest

from relay.base.counters import Counters
from relay.channel.messages import RecorderReport, WorkerReport
from relay.live.cages import Cages
from relay.live.processes import Processes
from tests.support.passes import CONTROL


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path, 2, Counters(), lambda name: CONTROL)


def test_a_process_is_named_while_its_cage_lacks_a_part(processes: Processes) -> None:
    told: list[tuple[str, ...]] = []
    cages = Cages(processes, Counters())
    cages.on_change.append(told.append)
    worker, recorder = processes.workers[1], processes.recorders[0]
    for missing in (0, 2, 2, 0):
        worker.on_message(worker, WorkerReport(1, (), (), {"cage_missing": missing}, 0.0, 0))
        recorder.on_message(recorder, RecorderReport(0, (), {"cage_missing": 1}, 0.0, 0, 0))
    assert told == [("recorder-0",), ("recorder-0", "worker-1"), ("recorder-0",)]
    assert cages.incomplete == ("recorder-0",)


def test_control_is_named_too(processes: Processes) -> None:
    counters = Counters()
    cages = Cages(processes, counters)
    assert not cages.incomplete
    counters.values["cage_missing"] = 1
    assert cages.incomplete == ("control",)
