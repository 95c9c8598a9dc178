"""RFC 6962 tree over leaf hashes, incremental.  Owns: hashing order.  Must never know: what a leaf says."""

import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ data) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: at most log2(n) hashes, amortised O(1) per leaf."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self._edge: list[bytes] = []
        self.size = 0

    def add(self, digest: bytes) -> None:
        """Append a leaf hash."""
        size = self.size
        while size & 1:
            digest = node_hash(self._edge.pop(), digest)
            size >>= 1
        self._edge.append(digest)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree head; of the empty tree, SHA-256 of nothing."""
        if not self._edge:
            return hashlib.sha256().digest()
        digest = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            digest = node_hash(left, digest)
        return digest


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the head of the tree over these leaf hashes."""
    frontier = Frontier()
    for digest in hashes:
        frontier.add(digest)
    return frontier.root()


def inclusion_proof(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Return the audit path of leaf `index` (RFC 6962 §2.1.1), nearest sibling first."""
    path: list[bytes] = []
    low, high = 0, len(hashes)
    while high - low > 1:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if index < split:
            path.append(root_of(hashes[split:high]))
            high = split
        else:
            path.append(root_of(hashes[low:split]))
            low = split
    return path[::-1]
