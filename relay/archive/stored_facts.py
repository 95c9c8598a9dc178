"""What policy knows of an act on a stored recording (ACC-03).

Owns: how a recording's row becomes these facts.  Must never know: which act, who asks.
"""

from relay.policy.access import Facts
from relay.store.catalogue import Intervention, Recording


def stored_facts(row: Recording, its: Intervention, motive: str) -> Facts:
    """Return the facts of a playback or extraction; `its`: the recording's own intervention."""
    return Facts(
        motive=motive,
        intervention_open=its.closed_ns is None,
        recording_closed=row.state == "closed",
        recording_erased=row.state == "erased",
        recording_here=row.original == "relay",
    ).of(row)
