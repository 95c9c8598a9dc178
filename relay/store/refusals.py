"""Refusals to identified people and cameras: the first is an entry at once, those like it within a minute are one entry.

Owns: which refusals are alike, how often each came, when its count is due.  Must never know: the journal, the database; any
clock but the times it is given.

A person can ask for the same thing hundreds of times a second, and be refused each time.  Nothing is lost: the entry that
follows says how often, and when first and last.  Alike are refusals of one act on one target for one reason.  Somebody who is
refused on more than 64 targets within a minute (made-up names, say) is counted by act from then on.
"""

from collections import Counter
from dataclasses import dataclass, replace

from relay.base.clock import rfc3339

PERIOD_SECONDS = 60.0
TARGETS_PER_PERSON = 64
OTHERS = "others"
"""Target of the entry that counts the refusals beyond those."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal says; refusals that say the same are alike."""

    author: str
    role: str
    action: str
    kind: str
    detail: str
    requirement: str = ""
    object_type: str = ""
    object_id: str = ""
    motive: str = ""

    def details(self) -> dict[str, str | int | bool | None]:
        """Return the details of its entry."""
        return {"action": self.action, "kind": self.kind, "detail": self.detail, "requirement": self.requirement}

    def of_others(self) -> "Refusal":
        """Return the same act on no target in particular."""
        return replace(self, detail="", requirement="", object_id=OTHERS, motive="")


@dataclass(slots=True)
class Repeated:
    """How often a refusal came after the one that was entered at once."""

    refusal: Refusal
    since: float
    """Monotonic seconds of the one that was entered at once."""
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    entered: bool = True
    """Whether the one before them is an entry."""

    def details(self) -> dict[str, str | int | bool | None]:
        """Return the details of the entry about them."""
        first, last = rfc3339(self.first_ns), rfc3339(self.last_ns)
        return {**self.refusal.details(), "event": "repeated", "count": self.count, "first": first, "last": last}


class RepeatedRefusals:
    """The refusals of the last minute."""

    def __init__(self) -> None:
        self._seen: dict[Refusal, Repeated] = {}
        self._targets: Counter[str] = Counter()
        """By author: how many refusals are remembered that are not alike."""

    def __len__(self) -> int:
        return len(self._seen)

    def is_first(self, refusal: Refusal, now: float, now_ns: int) -> bool:
        """Note a refusal; return whether it is to be entered at once, or else was counted."""
        key = self._key(refusal)
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = Repeated(key, now)
            self._targets[key.author] += 1
            return True
        if not seen.entered:
            seen.entered = True
            return True
        seen.count += 1
        seen.first_ns = seen.first_ns or now_ns
        seen.last_ns = now_ns
        return False

    def not_entered(self, refusal: Refusal) -> None:
        """The entry of a first one failed: the next one is entered at once."""
        seen = self._seen.get(self._key(refusal))
        if seen is not None:
            seen.entered = False

    def take_due(self, now: float, *, everything: bool = False) -> list[Repeated]:
        """Take the counts to be entered: each once its minute is over."""
        over = [seen for seen in self._seen.values() if everything or now - seen.since >= PERIOD_SECONDS]
        for seen in over:
            del self._seen[seen.refusal]
            self._targets[seen.refusal.author] -= 1
        self._targets = +self._targets
        return [seen for seen in over if seen.count]

    def give_back(self, repeated: Repeated) -> None:
        """Keep a count that could not be entered."""
        seen = self._seen.get(repeated.refusal)
        if seen is None:
            self._seen[repeated.refusal] = repeated
            self._targets[repeated.refusal.author] += 1
            return
        seen.count += repeated.count
        seen.first_ns = repeated.first_ns
        seen.last_ns = max(seen.last_ns, repeated.last_ns)

    def _key(self, refusal: Refusal) -> Refusal:
        if refusal in self._seen or self._targets[refusal.author] < TARGETS_PER_PERSON:
            return refusal
        return refusal.of_others()
