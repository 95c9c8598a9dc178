"""Events of the vault thread and of recovery, as messages to control, and what control knows, as recovery takes it.

Owns: the translation.  Must never know: who gets the messages.
"""

from relay.channel import messages
from relay.evidence.heads import SealedHead
from relay.recorder.jobs import GapSealed, RecordingEnded, SegmentEnded
from relay.recorder.recover import Recovered


def segment_sealed(event: SegmentEnded) -> messages.SegmentSealed:
    """A segment is durable and linked to its end."""
    return messages.SegmentSealed(
        recording=event.recording,
        segment=event.segment,
        first_link=event.first_link,
        last_link=event.last_link,
        start_ns=event.start_ns,
        end_ns=event.end_ns,
        stored_bytes=event.stored_bytes,
        head=event.head,
    )


def closed(event: RecordingEnded) -> messages.RecordingClosed:
    """A recording has its signed end."""
    return messages.RecordingClosed(
        recording=event.recording,
        reason=event.reason.value,
        links=event.links,
        head=event.head,
        end_ns=event.end_ns,
        recovered=False,
        gaps=event.gaps,
        duration_ns=event.duration_ns,
        stored_bytes=event.stored_bytes,
    )


def gap_seen(event: GapSealed) -> messages.GapSeen:
    """A gap was signed."""
    gap = event.gap
    return messages.GapSeen(gap.recording, gap.start_ns, gap.length_ns, gap.cause.value)


def recovered(item: Recovered) -> messages.RecordingClosed:
    """A recording that a dead recorder left open is closed."""
    return messages.RecordingClosed(
        recording=item.recording,
        reason=item.reason,
        links=item.links,
        head=item.head,
        end_ns=item.end_ns,
        recovered=item.reason in ("interrupted", "damaged"),
        gaps=item.gaps,
        duration_ns=item.duration_ns,
        stored_bytes=item.stored_bytes,
        damage="; ".join(filter(None, (item.damage, item.missing and f"missing at its end: {item.missing}"))),
    )


def known_heads(order: messages.RecoverLeft) -> dict[str, SealedHead]:
    """Return the heads that control knows, by recording."""
    return {
        its.recording: SealedHead(its.recording, its.head, its.records, its.links, its.stored_bytes, its.until_ns)
        for its in order.known
    }
