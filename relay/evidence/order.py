"""Which records of a chain are genuine and in their place.

Owns: signatures, sequence numbers and the hash of the record before.  Must never know: what a record
means.

A record passes once the next record repeats its digest, or once its own signature holds.  Hashes link a run of records to the
last of them: if the signature of that record holds, the whole run is genuine, because changing any bit in it, signatures
included, breaks a hash.  So one signature in `MAX_RUN` is checked.  Once anything is out of order, each record's own signature
is checked.
"""

from collections.abc import Iterator

from relay.evidence.chain import Record
from relay.evidence.findings import FindingCollector
from relay.evidence.records import KeyRollover, Link, Recovery, Start
from relay.evidence.seal import NO_DIGEST, is_weak, signature_holds
from relay.evidence.verdict import Code, Mark

MAX_RUN = 32


class Order:
    """Takes the records in the order of the file and yields those whose content may be judged."""

    def __init__(self, collector: FindingCollector) -> None:
        self._collector = collector
        self._key: bytes | None = None
        self._next = 0
        self._head: bytes | None = NO_DIGEST
        self._held: Record | None = None
        self._run: list[Record] = []
        self._foreign = False
        self.head = NO_DIGEST
        """Head after the last record in its place."""

    def feed(self, record: Record) -> Iterator[Record]:
        """Take the next record of the file; yield the records that can now be judged."""
        body = record.body
        if isinstance(body, Start | KeyRollover | Recovery) and is_weak(body.certificate.session_key):
            self._collector.add_once(Code.WEAK_KEY, record=record.sequence)
        if self._next == 0 and self._held is None and self._key is None:
            self._first(record)
        if not self._follows(record):
            yield from self._settle()
            if not self._follows(record) and not self._explain(record):
                return
        yield from self._hold(record)

    def finish(self) -> Iterator[Record]:
        """Yield the record that was held back; to be called at the end of the file."""
        yield from self._settle()

    def _first(self, record: Record) -> None:
        if isinstance(record.body, Start):
            self._key = record.body.certificate.session_key
        else:
            self._collector.add(Code.NO_START)
            self._next, self._head = record.sequence, None

    def _follows(self, record: Record) -> bool:
        return record.sequence == self._next and self._head in (None, record.previous)

    def _hold(self, record: Record) -> Iterator[Record]:
        """Hold a record that is in its place, and yield the one held before it."""
        if self._foreign:
            self._disown(record)
            return
        changes_key = isinstance(record.body, Start | KeyRollover | Recovery)
        if changes_key:
            yield from self._settle()
        elif self._held is not None:
            self._run.append(self._held)
            yield self._held
            if len(self._run) >= MAX_RUN:
                self._check_run()
        self._held = record
        self._advance(record)
        if changes_key:
            yield from self._settle()
            if isinstance(record.body, KeyRollover) and self._head is not None:
                self._key = record.body.certificate.session_key

    def _advance(self, record: Record) -> None:
        self._head = self.head = record.head
        self._next = record.sequence + 1

    def _disown(self, record: Record) -> None:
        """Mark a record that does not follow from the Start: it may be genuine, but it is of another chain."""
        self._advance(record)
        fragment = _fragment(record)
        if fragment is not None and fragment <= len(self._collector.marks):
            self._collector.mark(fragment, Mark.ALTERED)

    def _settle(self) -> Iterator[Record]:
        """Check the signatures of all records not yet proved; yield the held record if its own signature holds."""
        held, self._held = self._held, None
        if held is not None and self._holds(held):
            self._run.clear()
            yield held
            return
        self._check_run()
        if held is not None:
            self._altered(held, held.sequence)
            self._head = None
            if isinstance(held.body, Start):
                self._key = None

    def _check_run(self) -> None:
        run, self._run = self._run, []
        if run and not self._holds(run[-1]):
            for record in run:
                if not self._holds(record):
                    self._altered(record, record.sequence)

    def _holds(self, record: Record) -> bool:
        if isinstance(record.body, Recovery):
            return signature_holds(record.body.certificate.session_key, record.signed, record.signature)
        return self._key is None or signature_holds(self._key, record.signed, record.signature)

    def _explain(self, record: Record) -> bool:
        """Add the finding for a record that is not in its place; return whether the chain goes on from it."""
        if not self._holds(record):
            self._altered(record, self._next)
            self._head, self._next = None, self._next + 1
            return False
        if record.sequence < self._next:
            self._collector.add(Code.RECORD_MISPLACED, _fragment(record), record=record.sequence)
            if isinstance(record.body, Link) and self._collector.marked(record.body.fragment) is Mark.MISSING:
                self._collector.mark(record.body.fragment, Mark.MISPLACED)
            return False
        if record.sequence > self._next:
            self._collector.add(
                Code.RECORDS_MISSING, _fragment(record), record=record.sequence, count=record.sequence - self._next
            )
        else:
            self._collector.add(Code.CHAIN_BROKEN, _fragment(record), record=record.sequence)
            self._foreign = not self._foreign and self._key is not None
        return True

    def _altered(self, record: Record, sequence: int) -> None:
        """Add the finding for a record whose signature is false.  Its fragment number is used only up to the next free one."""
        self._collector.add(Code.RECORD_ALTERED, _fragment(record), record=sequence)
        fragment = _fragment(record)
        if fragment is not None and fragment <= len(self._collector.marks):
            self._collector.unseal(fragment)


def _fragment(record: Record) -> int | None:
    return record.body.fragment if isinstance(record.body, Link) else None
