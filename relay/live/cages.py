"""Which processes run in an incomplete cage, for the people who look after the machine.

Owns: the list, and who hears of its changes.  Must never know: what a cage is made of, HTTP.
"""

from collections.abc import Callable

from relay.base.counters import Counters
from relay.channel.messages import RecorderReport, WorkerReport
from relay.live.processes import ProcessClient, Processes
from relay.runtime.cage import MISSING


class Cages:
    """Reads the counter from each process's reports; `on_change` is called with the new list."""

    def __init__(self, processes: Processes, own: Counters) -> None:
        """`own`: the counters of control, which has a cage too."""
        self._own = own
        self._reported: frozenset[str] = frozenset()
        self.on_change: list[Callable[[tuple[str, ...]], None]] = []
        processes.on(WorkerReport, self._take)
        processes.on(RecorderReport, self._take)

    @property
    def incomplete(self) -> tuple[str, ...]:
        """The processes whose cage lacks a part, by name (`control`, `worker-0`), in the order of their names."""
        own = frozenset({"control"} if self._own.values[MISSING] else ())
        return tuple(sorted(self._reported | own))

    def _take(self, process: ProcessClient, report: WorkerReport | RecorderReport) -> None:
        is_incomplete = report.counters.get(MISSING, 0) > 0
        if is_incomplete == (process.name in self._reported):
            return
        self._reported = self._reported ^ {process.name}
        for listener in self.on_change:
            listener(self.incomplete)
