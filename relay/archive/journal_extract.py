"""The entries of the journal that an extraction carries, with their proofs (FORMAT.md §8.3).

Owns: which entries these are, and where in the journal they are looked for.  Must never know: the zip, how a proof is made.

Entries of an earlier or later time than expected are not searched for: an extraction must not read the journal of years.
"""

import logging
from collections.abc import Mapping

from relay.base.clock import SECOND_NS
from relay.evidence.log_proof import proofs_text
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.catalogue import Export, Recording
from relay.store.journal import Journal

logger = logging.getLogger(__name__)

DAY_NS = 86_400 * SECOND_NS
EARLIER_NS = 600 * SECOND_NS
"""The clock may have been set back by so much between a fact and its entry."""
MOST_DAYS = 7
"""An end that a recorder reports later than this (control was away for so long) is not searched for."""


async def journal_extract(
    journal: Journal, row: Recording, export: Export, handing_over: int, deadline: Deadline = NO_DEADLINE
) -> bytes:
    """Return the proofs of the entries of the recording's opening and end, of the request, and of entry `handing_over`.

    An entry that is not found (purged after three years, or much later than its fact) is logged and left out.
    Raises OurError where the disk does not answer or one of these entries was changed on disk.
    """
    ended_ns = row.started_ns if row.ended_ns is None else row.ended_ns
    about = {"object_id": row.recording}
    wanted = (
        ("recording begun", about, row.started_ns, 1),
        ("recording closed", about, ended_ns, MOST_DAYS),
        ("extraction requested", {**about, "export": export.export}, export.requested_ns, 1),
    )
    leaves: list[int] = []
    for event, texts, at_ns, days in wanted:
        leaf = await _find(journal, event, texts, at_ns - EARLIER_NS, days, deadline)
        if leaf is None:
            logger.warning("an entry of the journal is not in the extraction: it was not found", extra={"event_name": event})
        else:
            leaves.append(leaf)
    return proofs_text(await journal.proofs([*leaves, handing_over], deadline=deadline))


async def _find(
    journal: Journal, event: str, texts: Mapping[str, str], from_ns: int, days: int, deadline: Deadline
) -> int | None:
    """Search day by day, so that no read of the database lasts longer than a day's entries: a second for 200 000 of them."""
    for day in range(days):
        first_ns = from_ns + day * DAY_NS
        leaf = await journal.find(event, texts, first_ns, first_ns + DAY_NS, deadline=deadline)
        if leaf is not None:
            return leaf
    return None
