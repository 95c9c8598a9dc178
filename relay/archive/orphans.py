"""Orphans: recordings with a folder in the vault and no row in the catalogue.  Can the row be made again?

Owns: the conditions for that, and the row.  Must never know: the catalogue, the journal.

No field is invented.  The signed start gives the circumstances and the term.  The key, wrapped by this relay under the day of
that term, shows that the recording is this relay's and can be opened.  A key under a later day also shows a hold
(`archive.holds.is_lost`), which the check then names.  If the start or the key is missing, no row is made.
"""

from dataclasses import dataclass, field

from relay.archive.chain_facts import ChainFacts, is_ours
from relay.base.codes import Code
from relay.base.errors import Kind, RelayError, TheirError
from relay.channel.messages import RecordingClosed
from relay.evidence.chain import Gap, Start, stream
from relay.store.catalogue import Recording, Segment
from relay.store.day_keys import is_day
from relay.store.keyring import Keyring
from relay.store.vault import Vault


@dataclass(frozen=True, slots=True)
class Orphan:
    """The facts in the chain of an orphan."""

    start: Start
    end: RecordingClosed
    segments: list[Segment] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def row(self, commune: str) -> Recording:
        """Return the row as it was when the recording began; the commune is not sealed, so the caller gives it."""
        start = self.start
        return Recording(
            start.recording, start.camera, start.label, start.regime, start.service, commune, start.original.value,
            start.bearer, start.intervention, start.trigger, start.threat, start.previous_recording, start.started_ns, None,
            start.expires_on, "open", None, False, 0, 0, 0, 0, None, None, None,
        )  # fmt: skip


def read_orphan(vault: Vault, keyring: Keyring, recording: str) -> Orphan:
    """Read an orphan.  Raises TheirError CONFLICT, INVALID, NOT_FOUND, which names what is missing for a row."""
    segments: list[Segment] = []
    gaps: list[Gap] = []
    facts = ChainFacts(recording, segments.append, gaps.append)
    end = facts.read(stream(vault.chain(recording)))
    start = facts.start.body if facts.start is not None else None
    if facts.start is None or not isinstance(start, Start) or start.recording != recording:
        raise _unknown("its chain does not begin with its start")
    if not is_ours(facts.start, [keyring.public_key, *keyring.earlier_keys()]):
        raise _unknown("its start is not signed under a key of this relay")
    if end is None:
        raise _unknown("its chain has no end yet")
    _check_term(keyring, start)
    return Orphan(start, end, segments, gaps)


def _check_term(keyring: Keyring, start: Start) -> None:
    """Raise TheirError unless the key opens and its day is not before the day that the start names."""
    day = keyring.expires_on(start.recording)
    if day is None:
        raise _unknown("its key is gone, it can no longer be opened")
    try:
        keyring.recording_key(start.recording)
    except RelayError as error:
        raise _unknown(f"its key does not open: {error.detail}") from error
    if not is_day(start.expires_on):
        raise _unknown("its start names no term")
    if day < start.expires_on:
        raise _unknown(f"its term is not known: its start says {start.expires_on}, its key {day}")


def _unknown(detail: str) -> TheirError:
    return TheirError(Kind.CONFLICT, detail, code=Code.RECORDING_UNKNOWABLE)
