"""A worker whose garbage is collected once a second, busy or not: `python -m scripts.benchmarks.collecting_worker`.

Owns: that one difference.  Must never know: who measures.  A worker of ours collects while nothing streams.  This one shows
what it would cost otherwise.
"""

import gc
import sys
import threading
import time

from relay.worker.__main__ import main


def collect() -> None:
    """Collect for ever; the collector holds the interpreter, so that packets wait as they would for an automatic one."""
    while True:
        time.sleep(1.0)
        gc.collect()


if __name__ == "__main__":
    threading.Thread(target=collect, daemon=True).start()
    sys.exit(main())
