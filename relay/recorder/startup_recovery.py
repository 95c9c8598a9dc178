"""Recovery beside a recorder that already records: which recordings were left open, and closing them in a thread of its own.

Owns: the thread of recovery, and how long a stopping recorder waits for it.  Must never know: how one
recording is recovered (`recover`), connections.

Reading the chain of a recording of hours takes seconds, and live cameras must not wait for that.  So the recordings left open
are listed before the recorder opens its first one, and are closed while it records.

Recovery begins once control has said which heads it knows of them.  Without that knowledge a chain that somebody cut short
would be signed as if it were whole.  A recorder without a control records nothing either, so that nothing is lost by waiting.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from relay.base.clock import Clock
from relay.evidence.heads import SealedHead
from relay.evidence.seal import SessionSigner
from relay.recorder.config import RecorderConfig
from relay.recorder.live_recordings import call_soon
from relay.recorder.recover import Recovered, left_behind, marked, recover_all
from relay.store.vault import FileOps

logger = logging.getLogger(__name__)


class StartupRecovery:
    """Closes what this recorder, and recorders that are no more, left open.  `publish` is called on the loop with each."""

    def __init__(
        self,
        config: RecorderConfig,
        ops: FileOps,
        clock: Clock,
        signer: Callable[[], SessionSigner],
        publish: Callable[[Recovered], None],
    ) -> None:
        """`signer` returns the session key that signs now."""
        self._config = config
        self._root = Path(config.vault)
        self._ops = ops
        self._clock = clock
        self._signer = signer
        self._publish = publish
        self._left: dict[int, tuple[str, ...]] = {}
        """Recordings left open, by recorder."""
        self._task: asyncio.Task[None] | None = None

    async def find(self) -> None:
        """List what was left open; before any recording is opened."""
        self._left = await asyncio.to_thread(self._find)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The recordings whose recovery has not begun."""
        return () if self._task is not None else tuple(name for names in self._left.values() for name in names)

    def begin(self, known: Mapping[str, SealedHead]) -> None:
        """Begin to recover, one recording after the other; `known`: the heads that control knows.  Later calls do nothing."""
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._task = asyncio.create_task(asyncio.to_thread(self._run, loop, known), name="recovery")

    async def end(self, seconds: float) -> None:
        """Wait for the end, at most so many seconds; the next start goes on with the rest."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._task)
        except TimeoutError:
            logger.error("recovery is not done yet; the next start goes on with it")
        except Exception:
            logger.exception("recovery failed; the next start tries again")

    def _find(self) -> dict[int, tuple[str, ...]]:
        config = self._config
        indexes = [config.index]
        if config.index == 0 and config.recorders:
            indexes += left_behind(self._root, Path(config.run_dir), config.recorders)
        return {index: marked(self._root, index) for index in indexes}

    def _run(self, loop: asyncio.AbstractEventLoop, known: Mapping[str, SealedHead]) -> None:
        for index, recordings in self._left.items():
            for item in recover_all(self._ops, self._root, index, self._signer(), self._clock, recordings, known):
                call_soon(loop, self._publish, item)
