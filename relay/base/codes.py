"""The stable machine codes of refusals: what a program, or the page, reacts to.

What this file owns: the codes.  What it must never know: how an error is worded or carried.

A code never changes its meaning and is never reused; the sentence beside it may change.  Each code has words in every
language of the page (`command_room_ui/src/words`), and `relay/http/PROBLEMS.md` lists them all.
"""

from enum import StrEnum


class Code(StrEnum):
    """Why something was refused.  The first block holds one general code for each `errors.Kind`."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    NOT_ACCEPTABLE = "not_acceptable"
    CONFLICT = "conflict"
    GONE = "gone"
    STALE = "stale"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    INCOMPLETE = "incomplete"
    PRECONDITION_REQUIRED = "precondition_required"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"
