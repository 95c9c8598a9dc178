"""How findings and notes lead to three of the four answers (the origin is not proved as soon as one finding is about it).

Owns: FORMAT.md §7, the words of each answer.  Must never know: why a finding was made.
"""

from collections.abc import Set as AbstractSet

from relay.evidence.codes import Axis, Code
from relay.evidence.verdict import Form


def integrity_of(codes: AbstractSet[Code], started: bool, form: Form) -> str:
    """Return the answer; `started`: there is a genuine Start."""
    against = _against(codes, Axis.INTEGRITY)
    if against - {Code.DERIVED_ONLY, Code.DERIVED_UNJUDGED}:
        return "altered"
    if against or not started:
        return "not judged"
    return "intact as stored" if form is Form.STORED else "intact"


def completeness_of(codes: AbstractSet[Code], *, interval: bool) -> str:
    """Return the answer; `interval`: a statement says which part is judged."""
    against = _against(codes, Axis.COMPLETENESS)
    if against - {Code.INTERRUPTED, Code.RECOVERED, Code.TAIL_NOT_COPIED}:
        return "incomplete"
    if against or Code.STILL_OPEN in codes:
        return "interrupted" if Code.RECOVERED in against else "open"
    return "complete for this interval" if interval else "complete"


def time_of(codes: AbstractSet[Code], started: bool) -> str:
    """Return the answer; `started`: there is a genuine Start."""
    if not started or _against(codes, Axis.TIME):
        return "time not proved"
    return "suspect" if Code.CLOCK_SUSPECT in codes else "consistent"


def _against(codes: AbstractSet[Code], axis: Axis) -> set[Code]:
    return {code for code in codes if code.against and code.axis is axis}
