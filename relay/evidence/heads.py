"""Heads of open recordings, as control enters them in the journal once a minute: their leaves and their Merkle root.

Owns: the bytes of a head's leaf (FORMAT.md §8).  Must never know: the journal, files, who reports a head.

The root stands in a signed journal.  It tells nothing about a recording, and stays when the recording and its heads are erased.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from relay.base.clock import SECOND_NS
from relay.evidence.log import Tree, leaf_hash
from relay.evidence.seal import DIGEST
from relay.evidence.wire import Fixed, Raw, Struct, Text, UInt, encode

DOMAIN_HEAD = b"bodycam-relay sealed head 1\n"


@dataclass(frozen=True, slots=True)
class SealedHead:
    """How far the chain of an open recording was durable at one moment."""

    recording: str
    head: bytes
    """SHA-256 of the last durable record."""
    records: int
    """Records up to that one, itself included; 0 where it is not known."""
    links: int
    """Links among them: the last one has the number `links` - 1."""
    stored_bytes: int
    """Stored bytes of their fragments."""
    until_ns: int
    """Arrival (UTC) of the last packet in them; before the first link the start of the recording."""

    def lacking(self, records: int, links: int, until_ns: int | None) -> str:
        """Return what a chain of so many records and links lacks of this head.

        `records`: 0 where they are not counted; `until_ns`: as in this class, None where there is no chain.
        """
        what = f"{self.links - links} fragments"
        if self.records and (records or until_ns is None):
            what = f"{self.records - records} records, {what}"
        seconds = "all" if until_ns is None else f"{max(0, self.until_ns - until_ns) / SECOND_NS:.1f} s"
        return f"{what}, {seconds}"


_HEAD = Struct(
    SealedHead,
    (
        ("recording", Text(64)),
        ("head", Raw(DIGEST)),
        ("records", UInt()),
        ("links", UInt()),
        ("stored_bytes", UInt()),
        ("until_ns", Fixed(8)),
    ),
)


def head_leaf(head: SealedHead) -> bytes:
    """Return the RFC 6962 leaf hash of a head; raises ValueError when a field is out of its bounds."""
    return leaf_hash(DOMAIN_HEAD + encode(_HEAD, head))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the RFC 6962 root over leaf hashes."""
    return Tree(leaves).root()
