"""Why a transmission began.

Owns: the shape.  Must never know: who asks.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Why a transmission began; part of the recording's signed start."""

    intervention: str
    trigger: str
    threat: str
    bearer: str | None
