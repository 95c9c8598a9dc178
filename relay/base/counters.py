"""Counters that the packet path can afford: a plain dict of ints.

Owns: the names with their meanings, and the numbers.  Must never know: who reads them.

Every name is declared once with its meaning; counting an undeclared name raises KeyError.  A test compares the declarations
with the documentation.
"""

from collections.abc import Mapping

DECLARED: dict[str, str] = {}


def declare(**meanings: str) -> None:
    """Declare counters by name with a one-line meaning each; names are shared by all processes."""
    for name, meaning in meanings.items():
        if DECLARED.setdefault(name, meaning) != meaning:
            raise ValueError(f"counter {name} declared twice with different meanings")


class Counters:
    """One owner's counters; hot code may bind `counters.values` and do `values[name] += 1` itself."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[str, int] = dict.fromkeys(DECLARED, 0)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a declared counter; raises KeyError for an undeclared one."""
        self.values[name] += by

    def snapshot(self) -> Mapping[str, int]:
        """Return a copy without the zeroes."""
        return {name: value for name, value in self.values.items() if value}
