"""Heads of open recordings: entered in the journal, and what is known of a recording that a dead recorder left open.

Owns: the journal entry of heads (FORMAT.md §8) with its rows, and their end.  Must never know: recorders' messages, chains.

One entry carries the Merkle root of many heads, so that the journal grows by recorders and minutes, not by cameras.  The heads
are rows of the catalogue, written in the transaction of the entry.  They are erased with their recording.
"""

import asyncio
from collections.abc import Collection, Sequence

from relay.evidence.heads import SealedHead, head_leaf, root_of
from relay.store.catalogue import Catalogue
from relay.store.heads import entering
from relay.store.journal import Entry, Journal, Operation

EVENT = "heads sealed"
MAX_PER_ENTRY = 1024


class Heads:
    """Enters heads and finds them again."""

    def __init__(self, catalogue: Catalogue, journal: Journal) -> None:
        self._catalogue = catalogue
        self._journal = journal

    async def enter(self, recorder: int, its: Sequence[SealedHead]) -> None:
        """Enter at most `MAX_PER_ENTRY` heads of recordings on recorder `recorder`; nothing where all of them are erased.

        Raises OurError where the disk refuses: then none of them is entered.
        """
        kept = await self._catalogue.heads.kept([head.recording for head in its])
        heads = [head for head in its if head.recording in kept]
        if not heads:
            return
        leaves, root = await asyncio.to_thread(_hashed, heads)
        entry = Entry(
            Operation.SYSTEME, "relay", "system", object_type="recorder", object_id=str(recorder),
            details={"event": EVENT, "root": root.hex(), "heads": len(heads)},
        )  # fmt: skip
        await self._journal.append(entry, happened=True, beside=entering(heads, leaves))

    async def newest(self, recordings: Collection[str]) -> dict[str, SealedHead]:
        """Return the newest head that the catalogue knows of each of these recordings; none of one that is erased."""
        return await self._catalogue.heads.newest(recordings)


def _hashed(heads: Sequence[SealedHead]) -> tuple[list[bytes], bytes]:
    leaves = [head_leaf(head) for head in heads]
    return leaves, root_of(leaves)
