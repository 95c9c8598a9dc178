"""When a camera of the load sent nothing, and which pauses of a recording that explains.

Owns: that rule.  Must never know: recordings, who attacks.

A pause in a recording says that for so long nothing came, although no packet is missing by its number.  Either the camera sent
nothing, because this machine let the load wait; that is no loss.  Or it sent, and the relay took the packets late or not at
all.  The load knows when it sent, so that only the first kind is excused, and in every row by the same rule.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

SILENT_NS = 300_000_000
"""Between two packets of a camera that sends 30 pictures a second; the shortest pause of a recording is three times as long."""
SLACK_NS = 500_000_000
"""A pause may be so much longer than the silence behind it: packets before and after it have different delays."""

Silence = tuple[int, int]
"""Begin and end, UTC ns."""


def silences(sent_at: Iterable[int], until: int) -> list[Silence]:
    """Return when nothing was sent for longer than `SILENT_NS`; `sent_at`: UTC ns of each packet, `until`: now."""
    return [(before, after) for before, after in pairwise([*sent_at, until]) if after - before > SILENT_NS]


def is_explained(at: int, length: int, found: Sequence[Sequence[int]]) -> bool:
    """Return whether a pause (begin and length, ns) lies in silences of its camera, but for `SLACK_NS`."""
    silent = sum(max(0, min(end, at + length) - max(begin, at)) for begin, end in found)
    return length - silent <= SLACK_NS
