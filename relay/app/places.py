"""How many HTTP connections control may hold.

Owns: how many descriptors are kept back for everything else.  Must never know: connections.

What control itself needs stays free, because no connection is accepted beyond a budget: files of keys and of the vault, the
database, the other processes.  It is a budget, and not a few descriptors that are held open and given back in need: connections
are counted as they are accepted, so the budget is exact, while a descriptor that is given back goes to whoever asks next, which
may be the next stranger.
"""

from relay.app.settings import Settings
from relay.http.connection_table import Places

KEPT_DESCRIPTORS = 256
"""For the database (a writer and its readers), keys, checkpoints, segments that are played or extracted, libraries; and for the
sockets of one turn of accepting, which are closed a moment after they were refused."""
KEPT_PER_WORKER = 4
"""Channels to worker and recorder, and those before them that are not closed yet."""
LEAST_CONNECTIONS = 64
PER_HOLDER = 64
"""Of one person or camera: a browser opens six for requests, and one for each window's live socket."""


def places(settings: Settings, descriptors: int) -> Places:
    """Return how many HTTP connections there may be where this process may open so many descriptors.

    A quarter of them is kept for addresses that are known.
    """
    kept = KEPT_DESCRIPTORS + KEPT_PER_WORKER * settings.workers.count
    total = max(LEAST_CONNECTIONS, min(settings.http.max_connections, descriptors - kept))
    return Places(total, total * 3 // 4, min(settings.http.connections_per_address, total // 4), PER_HOLDER)
