"""A worker that stays outside its cage: `python -m scripts.benchmarks.uncaged_worker`.

Owns: that one difference.  Must never know: who measures.  It shows what the filter of system calls costs a worker of ours.
"""

import sys

from relay.runtime.cage import Cage, Confined
from relay.worker import __main__ as worker


def stay_outside(cage: Cage) -> Confined:
    """Give nothing up."""
    del cage
    return Confined(0, seccomp=False, missing=())


if __name__ == "__main__":
    setattr(worker, "confine", stay_outside)  # noqa: B010 - on purpose another function
    sys.exit(worker.main())
