"""Checkpoints that were kept elsewhere, against the journal as it is: was it rewritten, shortened, or is there another one?

Owns: the comparison and its answers.  Must never know: files, SQL, who kept them.

Root can change the database and the checkpoint file beside it, and sign anew with the relay's key.  Nobody can change a
checkpoint that has left the machine: one suffices to catch every change of the entries that it covers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from relay.base.errors import TheirError
from relay.evidence.log import Checkpoint, Tree, checkpoint_time, further_signatures, open_by_any
from relay.evidence.log_proof import mended_text

_NOTE = re.compile(r"(?:[^\n]+\n){3,20}\n(?:— [^\n]+\n)+")
MAX_ANSWERS = 20
"""Findings that are kept of one file."""

HOLDS = "holds"
WORDS = {
    "unreadable": "holds no checkpoint",
    "foreign_log": "is of another journal, {origin}",
    "foreign_key": "is signed by none of this relay's keys: it proves nothing, or the trusted key is not the one of its time",
    "late_key": "is signed by a key that another had followed: who stole that key can sign this, so it proves nothing",
    "shortened": "was signed for {size} entries, and the journal has {now}: {lost} entries are gone",
    "rewritten": "does not fit: entries {first} to {last} are not all those that were signed; nobody signed what they are now",
    "forked": (
        "does not fit: entries {first} to {last} are not those that were signed, yet this relay's key signed what they are now."
        " Somebody rewrote the journal with the key, or it went on from an older copy"
    ),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a file of checkpoints says of the journal; `kind` is `holds` or a key of `WORDS`."""

    source: str
    kind: str
    detail: str
    size: int | None = None


@dataclass(slots=True)
class Own:
    """The checkpoints of the database and of the file beside it."""

    signed: int = 0
    """Entries under the largest of them that the tree fits."""
    known: dict[str, tuple[Checkpoint, int]] = field(default_factory=dict)
    """Each note that one of the relay's keys signed, with its key's place (0: today's)."""
    since: dict[int, int] = field(default_factory=dict)
    """For each place the smallest size that this key signed."""
    restored: Sequence[tuple[int, int]] = ()
    """Entries that say that a restore lost entries: their number, and how many were lost."""

    def keep(self, note: str, checkpoint: Checkpoint, place: int) -> None:
        """Take a checkpoint of this journal that the key at `place` signed."""
        self.known[note] = checkpoint, place
        self.since[place] = min(checkpoint.size, self.since.get(place, checkpoint.size))


def notes_in(data: bytes) -> list[str]:
    """Return the notes in a file: one, several one after the other, or those in a file of proofs; other text is passed over."""
    return [found[0] for found in _NOTE.finditer(mended_text(data).decode(errors="replace"))]


@dataclass(slots=True)
class Outside:
    """Compares files of checkpoints with one journal."""

    tree: Tree
    own: Own
    public_keys: Sequence[bytes]
    """Today's key first, then the earlier ones."""
    origin: str
    _holding: list[int] = field(default_factory=list)
    """Sizes of checkpoints from outside that hold."""

    def compare(self, files: Mapping[str, bytes]) -> list[Answer]:
        """Return the answers of these files (name to content), at least one a file."""
        opened = {name: list(self._open(name, notes_in(data))) for name, data in files.items()}
        found: list[Answer] = []
        good = {name: [item for item in items if isinstance(item, tuple)] for name, items in opened.items()}
        self._holding = sorted(checkpoint.size for items in good.values() for checkpoint, _ in items if self._fits(checkpoint))
        for name, items in opened.items():
            answers = [item if isinstance(item, Answer) else self._judge(name, item[0]) for item in items]
            found += _summed(name, answers, [further_signatures(note) for _, note in good[name]])
        return found

    def _open(self, name: str, notes: Sequence[str]) -> Iterator["Answer | tuple[Checkpoint, str]"]:
        for note in notes:
            try:
                checkpoint, key = self.own.known.get(note) or open_by_any(note, self.public_keys)
            except TheirError:
                yield _answer(name, "foreign_key", _size(note))
                continue
            followed = min((size for place, size in self.own.since.items() if place < key), default=None)
            if checkpoint.origin != self.origin:
                yield _answer(name, "foreign_log", checkpoint.size, origin=checkpoint.origin)
            elif followed is not None and checkpoint.size > followed:
                yield _answer(name, "late_key", checkpoint.size)
            else:
                yield checkpoint, note

    def _fits(self, checkpoint: Checkpoint) -> bool:
        return checkpoint.size <= self.tree.size and self.tree.root(checkpoint.size) == checkpoint.root

    def _judge(self, name: str, checkpoint: Checkpoint) -> Answer:
        size, now = checkpoint.size, self.tree.size
        if self._fits(checkpoint):
            return Answer(name, HOLDS, checkpoint_time(checkpoint), size)
        if size > now:
            return self._with_restores(_answer(name, "shortened", size, now=now, lost=size - now))
        first = max((held for held in self._holding if held < size), default=0)
        kind = "forked" if self.own.signed >= size else "rewritten"
        return self._with_restores(_answer(name, kind, size, first=first, last=size - 1))

    def _with_restores(self, answer: Answer) -> Answer:
        """Add what the journal itself says of restores that lost entries: that explains an answer, and excuses nothing."""
        said = [f"entry {leaf} says that a restore lost {lost} entries" for leaf, lost in self.own.restored]
        return replace(answer, detail="; ".join([answer.detail, *said[-3:]]))


def _size(note: str) -> int | None:
    text = note.split("\n", 2)[1]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _answer(name: str, kind: str, size: int | None, **values: object) -> Answer:
    return Answer(name, kind, WORDS[kind].format(size=size, **values), size)


def _summed(name: str, answers: list[Answer], further: list[int]) -> list[Answer]:
    """Return the findings of a file, and one answer for all that holds."""
    if not answers:
        return [_answer(name, "unreadable", None)]
    found = [answer for answer in answers if answer.kind != HOLDS]
    held = [answer for answer in answers if answer.kind == HOLDS]
    if len(found) > MAX_ANSWERS:
        found = [*found[:MAX_ANSWERS], Answer(name, found[0].kind, f"and {len(found) - MAX_ANSWERS} more of this file")]
    if held:
        last = max(held, key=lambda answer: answer.size or 0)
        detail = f"{len(held)} checkpoints hold: the first {last.size} entries are those that were signed"
        detail += f" on {last.detail}" if last.detail else ""
        ignored = sum(further)
        detail += f"; {ignored} signatures of others were not checked" if ignored else ""
        found.append(Answer(name, HOLDS, detail, last.size))
    return found
