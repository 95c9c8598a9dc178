"""What the catalogue knows of how far a chain went, compared with the chain and with the journal.

Owns: both comparisons.  Must never know: files, SQL, which other disagreements there are.

Two kinds of rows name a head: a sealed segment's, and those that were entered in the journal once a minute.  A recorder
reports a head once it is durable.  So a chain that lacks one was cut short or replaced, whatever signed record closes it now.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relay.archive.chain_facts import ChainFacts
from relay.archive.heads import EVENT
from relay.evidence.heads import SealedHead, head_leaf, root_of
from relay.store.catalogue import Segment
from relay.store.heads import EnteredHead, HeadEntry
from relay.store.journal import Leaf


class ReachedHeads:
    """Which of a recording's known heads its chain reaches; `take` is called after each record."""

    def __init__(self, segments: Sequence[Segment], entered: Sequence[EnteredHead]) -> None:
        self._wanted = [_of_segment(row) for row in segments] + [row.its for row in entered]
        self._missing: dict[bytes, list[SealedHead]] = {}
        for head in self._wanted:
            self._missing.setdefault(head.head, []).append(head)
        self._differ: list[str] = []

    @property
    def any(self) -> bool:
        """Whether any head is known."""
        return bool(self._wanted)

    def take(self, facts: ChainFacts) -> None:
        """Compare the head that the chain has reached with the rows of that head."""
        for row in self._missing.pop(facts.head, ()):
            if not _agrees(row, facts):
                self._differ.append(f"a row of {row.links} fragments names the head of {facts.links}")

    def lost(self, facts: ChainFacts | None) -> str:
        """Return what a chain that was read whole lacks of the newest head; empty where it lacks none; None: no chain."""
        missing = [head for rows in self._missing.values() for head in rows]
        if not missing:
            return ""
        newest = max(missing, key=lambda head: (head.links, head.records))
        if facts is None:
            return f"cut short: {newest.lacking(0, 0, None)} that had been sealed are missing"
        records, links = facts.records - facts.recovered, facts.links
        if links >= newest.links and records >= newest.records:
            return f"not the chain whose head was reported after fragment {newest.links - 1}"
        return f"cut short: {newest.lacking(records, links, facts.until_ns)} that had been sealed are missing"

    @property
    def differences(self) -> Sequence[str]:
        """Rows whose head is in the chain and whose counts are not those of the chain there."""
        return self._differ


def _of_segment(row: Segment) -> SealedHead:
    return SealedHead(row.recording, row.head, 0, row.last_link + 1, 0, row.end_ns)


def _agrees(row: SealedHead, facts: ChainFacts) -> bool:
    if not row.records:  # a segment's head may stand behind later records: gaps, a recovery
        return facts.links >= row.links
    return (row.records, row.links, row.stored_bytes) == (facts.records, facts.links, facts.stored_bytes)


@dataclass(slots=True)
class HeadEntries:
    """The journal's entries of heads, compared with their rows while the journal is read."""

    altered: list[tuple[int, str]] = field(default_factory=list)
    """Entries (by leaf number) whose rows are not those that were entered."""
    _entered: int = 0
    _there: Counter[str] = field(default_factory=Counter)
    """By recording, how many of its entered heads have a row."""
    _erased: dict[str, int] = field(default_factory=dict)
    """By recording, how many of its heads its erasure deleted."""

    def take(self, leaves: Iterable[Leaf], kept: Mapping[int, HeadEntry]) -> None:
        """Compare a run of leaves with the rows of the same leaf numbers."""
        for leaf in leaves:
            details = (leaf.body or {}).get("details")
            row = kept.get(leaf.leaf)
            if not isinstance(details, dict):
                continue  # purged after three years: the rows cannot be compared any more
            if details.get("event") == EVENT:
                self._entry(leaf.leaf, details, row)
            elif row is not None:
                self.altered.append((leaf.leaf, "rows of heads name an entry that is none of heads"))
            if (leaf.body or {}).get("operation") == "effacement" and isinstance(details.get("heads"), int):
                name = str((leaf.body or {}).get("object_id"))
                self._erased[name] = max(self._erased.get(name, 0), details["heads"])

    def _entry(self, entry: int, details: Mapping[str, object], row: HeadEntry | None) -> None:
        count = details.get("heads")
        self._entered += count if isinstance(count, int) else 0
        if row is None:
            return  # all of its recordings may be erased: the sum tells
        self._there.update(its.its.recording for its in row.heads)
        if root_of(row.leaves).hex() != details.get("root"):
            self.altered.append((entry, "the rows of its heads do not have the root that was entered"))
        elif any(not 0 <= its.leaf < len(row.leaves) or head_leaf(its.its) != row.leaves[its.leaf] for its in row.heads):
            self.altered.append((entry, "a row of its heads is not the one that was entered"))

    @property
    def missing(self) -> int:
        """How many entered heads have no row although no erasure in the journal deleted them."""
        # A row of a recording whose erasure is entered counts with the erasure: put back, it must not stand for another's.
        there = sum(count for recording, count in self._there.items() if recording not in self._erased)
        return max(0, self._entered - there - sum(self._erased.values()))
