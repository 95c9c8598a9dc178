"""The four questions that a verdict answers.

Owns: their names.  Must never know: findings.
"""

from enum import StrEnum


class Axis(StrEnum):
    """The four questions that a verdict answers."""

    INTEGRITY = "integrity"
    COMPLETENESS = "completeness"
    ORIGIN = "origin"
    TIME = "time"
