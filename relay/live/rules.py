"""What the settings say of live transmissions.

What this file owns: their times.  What it must never know: who keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say, in seconds."""

    silence_after: float
    record_grace: float
    """Below zero: a transmission goes on without its recording."""
    transmission_seconds: float
    grace_by_regime: Mapping[str, float] = field(default_factory=dict)

    def grace_of(self, regime: str) -> float:
        """Return the grace of a camera's regime."""
        return self.grace_by_regime.get(regime, self.record_grace)
