"""What the vault thread told, as control hears it.

What this file owns: the translation of facts into messages.  What it must never know: who hears them.
"""

from relay.channel import messages
from relay.recorder.jobs import RecordingEnded, SegmentEnded


def segment_sealed(fact: SegmentEnded) -> messages.SegmentSealed:
    """A segment is durable and linked to its end."""
    return messages.SegmentSealed(
        recording=fact.recording,
        segment=fact.segment,
        first_link=fact.first_link,
        last_link=fact.last_link,
        start_ns=fact.start_ns,
        end_ns=fact.end_ns,
        stored_bytes=fact.stored_bytes,
        head=fact.head,
    )


def closed(fact: RecordingEnded) -> messages.RecordingClosed:
    """A recording has its signed end."""
    return messages.RecordingClosed(
        recording=fact.recording,
        reason=fact.reason.value,
        links=fact.links,
        head=fact.head,
        end_ns=fact.end_ns,
        recovered=False,
        gaps=fact.gaps,
        duration_ns=fact.duration_ns,
        stored_bytes=fact.stored_bytes,
    )
