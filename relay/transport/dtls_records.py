"""Which DTLS records of a peer reach OpenSSL, and how many (RFC 6347 §4.1, §4.2.2).

Owns: record headers, one peer's allowances.  Must never know: sockets, keys, the contents of an encrypted record.

OpenSSL keeps records that it cannot use yet, and gives room to a handshake message for the length that the message claims.
Both are memory that a peer gets for few bytes.  There are no data channels here, so application data is never of use.
Therefore only these records pass, each kind within an allowance of its own:

- handshake messages of a sane length and ChangeCipherSpec, while there is no session;
- encrypted records of the size of a Finished, few while there are no keys, because OpenSSL keeps them until then;
- with a session: a flight that the peer repeats, because it did not get our last one;
- alerts.  No other record takes from their allowance, so that a close_notify comes through whatever else the peer sends.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from relay.base.allowance import Allowance

HEADER: Final = 13
MESSAGE_HEADER: Final = 12
CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
_VERSIONS: Final = (b"\xfe\xfd", b"\xfe\xff")
"""DTLS 1.2, and 1.0 as the first ClientHello names it."""
MAX_MESSAGE: Final = 8192
"""Bytes of one handshake message: a chain of several certificates.  Ours and those of browsers have less than 600."""
MAX_ENCRYPTED: Final = 128
"""Bytes of an encrypted alert or Finished under any cipher that we accept; the longest has 80."""

SHAKING_BURST: Final = 96
SHAKING_RATE: Final = 32.0
"""Records of a handshake.  A flight has at most ten records; browsers repeat one first after 50 ms, then ever later."""
EARLY_BURST: Final = 4
EARLY_RATE: Final = 2.0
"""Encrypted records before there is a session: a Finished that overtook the flight before it."""
REPEATED_BURST: Final = 24
REPEATED_RATE: Final = 8.0
"""Records of a peer that repeats its last flight although there is a session."""
ALERT_BURST: Final = 8
ALERT_RATE: Final = 1.0


class Admitted(NamedTuple):
    """What passes of one datagram.

    `records`: whole records, in order.  `dropped`: how many did not pass; a remainder that is no record counts as one.
    """

    records: bytes
    dropped: int


class _Record(NamedTuple):
    kind: int
    epoch: int
    data: bytes
    """With its header."""


class RecordGate:
    """The gate of one peer."""

    __slots__ = ("_alerts", "_early", "_repeated", "_shaking")

    def __init__(self) -> None:
        self._shaking = Allowance(SHAKING_RATE, SHAKING_BURST)
        self._early = Allowance(EARLY_RATE, EARLY_BURST)
        self._repeated = Allowance(REPEATED_RATE, REPEATED_BURST)
        self._alerts = Allowance(ALERT_RATE, ALERT_BURST)

    def admit(self, datagram: bytes, now: float, *, has_session: bool) -> Admitted:
        """Sort the records of one datagram; raises nothing."""
        passed, dropped = [], 0
        for record in _records(datagram):
            if record is not None and _is_sane(record) and self._is_allowed(record, now, has_session):
                passed.append(record.data)
            else:
                dropped += 1
        return Admitted(b"".join(passed), dropped)

    def _is_allowed(self, record: _Record, now: float, has_session: bool) -> bool:
        if record.epoch and not has_session and not self._early.take(now):
            return False
        if record.kind == ALERT:
            return self._alerts.take(now)
        return (self._repeated if has_session else self._shaking).take(now)


def _records(datagram: bytes) -> Iterator[_Record | None]:
    """Yield the records; None once for a remainder that is none."""
    at, size = 0, len(datagram)
    while at < size:
        body = at + HEADER
        end = body + int.from_bytes(datagram[at + 11 : body], "big")
        if not body < end <= size or datagram[at + 1 : at + 3] not in _VERSIONS:
            yield None
            return
        yield _Record(datagram[at], int.from_bytes(datagram[at + 3 : at + 5], "big"), datagram[at:end])
        at = end


def _is_sane(record: _Record) -> bool:
    """Whether a peer ever needs to send such a record."""
    if record.epoch:
        return record.epoch == 1 and record.kind in (ALERT, HANDSHAKE) and len(record.data) <= HEADER + MAX_ENCRYPTED
    if record.kind == HANDSHAKE:
        return _are_messages_sane(record.data)
    return record.kind in (ALERT, CHANGE_CIPHER_SPEC)


def _are_messages_sane(record: bytes) -> bool:
    """Whether the messages, or pieces of messages, fill a plain record and none claims to be huge."""
    at, size = HEADER, len(record)
    while at < size:
        body = at + MESSAGE_HEADER
        length, piece = record[at + 1 : at + 4], record[at + 9 : body]
        end = body + int.from_bytes(piece, "big")
        if not body <= end <= size or int.from_bytes(length, "big") > MAX_MESSAGE:
            return False
        at = end
    return True
