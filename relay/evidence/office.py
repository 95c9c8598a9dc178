"""From when to when a long-term key was in office: the successions say when it followed a key, and when one followed it.

Owns: the bounds of an office (FORMAT.md §7.2).  Must never know: which keys are trusted, what a key signed.

Of several successions the narrowest office counts: who holds a key can shorten its office, never prolong it.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from relay.evidence.seal import DAY_NS
from relay.evidence.statement import Succession
from relay.evidence.verdict import Code, utc_text


@dataclass(slots=True)
class Offices:
    """The offices of long-term keys, by public key."""

    _since: dict[bytes, int] = field(default_factory=dict)
    _until: dict[bytes, int] = field(default_factory=dict)
    _after: dict[bytes, list[tuple[bytes, int]]] = field(default_factory=dict)
    """The keys that followed each key, each with when."""

    def learn(self, succession: Succession) -> None:
        """Take a succession that holds: the old key leaves its office and the new one enters it."""
        new, old, at_ns = succession.new_key, succession.old_key, succession.at_ns
        self._since[new] = max(at_ns, self._since.get(new, at_ns))
        self._until[old] = min(at_ns, self._until.get(old, at_ns))
        self._after.setdefault(old, []).append((new, at_ns))

    def rests_on(self, key: bytes, given: bytes, trusted: Collection[bytes]) -> list[tuple[bytes, int]]:
        """Return the successions by which a key is trusted, up to the key that was `given`: each new key, and when it followed.

        Whoever holds one of these keys can make any key of his own trusted.
        """
        found: list[tuple[bytes, int]] = []
        waiting, seen = [key], {key, given}
        while waiting:
            its = waiting.pop()
            after = [] if its == given else [one for one in self._after.get(its, ()) if one[0] in trusted]
            found += after
            waiting += {new for new, _ in after} - seen
            seen |= {new for new, _ in after}
        return found

    def fault(self, key: bytes, utc_ns: int, grace_ns: int = 0) -> tuple[Code, str] | None:
        """Return the finding about a key that signed at that time, with the bound of its office in words; None in office.

        `grace_ns`: for how long after the office its signature may still be used.
        """
        since, until = self._since.get(key), self._until.get(key)
        if since is not None and utc_ns < since - DAY_NS:
            return Code.KEY_EARLY, utc_text(since)
        if until is not None and utc_ns > until + grace_ns:
            return Code.KEY_RETIRED, utc_text(until)
        return None
