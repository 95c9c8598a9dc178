"""The settings of live transmissions.

Owns: their times.  Must never know: who applies them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LiveRules:
    """The times that the settings set, in seconds."""

    silence_after: float
    record_grace: float
    """How long a transmission goes on while its recording is not written; below zero: without end."""
    transmission_seconds: float
    grace_by_regime: Mapping[str, float] = field(default_factory=dict)

    def grace_of(self, regime: str) -> float:
        """Return the grace of a regime, in seconds."""
        return self.grace_by_regime.get(regime, self.record_grace)
