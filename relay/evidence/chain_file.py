"""Reading the file `chain`, record by record, in pieces.

Owns: where a record begins and ends, and how the file ends.  Must never know: whether a record is genuine.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from relay.base.errors import TheirError
from relay.evidence.chain import MAX_RECORD, PREAMBLE, Record, parse_record, record_length, version_of
from relay.evidence.findings import FindingCollector
from relay.evidence.media import Reader
from relay.evidence.verdict import Code

CHAIN = "chain"
"""The file's name."""
_CHUNK = 1 << 20


@dataclass(slots=True)
class ChainEnd:
    """How the file `chain` ends: bytes of a record that is not whole, and why it cannot be read."""

    torn: int = 0
    why: str = ""


def read_records(reader: Reader, collector: FindingCollector, end: ChainEnd) -> Iterator[Record]:
    """Yield the records of the file `chain`, reading it in pieces; a record that cannot be parsed is a finding, and the last.

    A record that ends with the file before it is whole goes into `end`.  Raises TheirError where the first bytes are not those
    of a chain.
    """
    version = version_of(reader.read(CHAIN, 0, len(PREAMBLE)))
    position, base, buffer, size = len(PREAMBLE), 0, b"", reader.size(CHAIN)
    while True:
        at = position - base
        if len(buffer) - at < min(MAX_RECORD + 3, size - position):
            base, buffer, at = position, reader.read(CHAIN, position, _CHUNK), 0
        left = len(buffer) - at
        if left == 0:
            return
        try:
            length = record_length(buffer[at : at + 3], position) if left >= 3 else 3
            if length > left:
                end.torn, end.why = left, f"byte {position}: record of {length} bytes, {left} left"
                return
            record = parse_record(buffer[at : at + length], position, version)
        except TheirError as error:
            collector.add(Code.CHAIN_UNREADABLE, why=error.detail)
            return
        yield record
        position += length
