"""Findings, notes and marks of a verification while it runs, bounded so that a hostile recording cannot fill the memory.

Owns: the bounds, and the marks of fragments.  Must never know: why a finding was made.
"""

from relay.base.errors import Kind, TheirError
from relay.evidence.verdict import Axis, Code, Finding, Mark

MAX_FINDINGS = 500
"""Findings, and notes, that are kept; further ones are counted."""
MAX_FRAGMENTS = 4_000_000
"""More than 18 days of fragments; a chain that claims more is refused."""


class FindingCollector:
    """Findings, notes and marks of one verification."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.notes: list[Finding] = []
        self.omitted = 0
        self.against: set[Axis] = set()
        self.codes: set[Code] = set()
        self.marks = bytearray()
        self._unsealed: set[int] = set()
        """Fragments whose link turned out to be altered, perhaps after their bytes were compared with it."""

    def add(self, code: Code, fragment: int | None = None, **values: object) -> None:
        """Add a finding or a note; beyond the bound it is only counted."""
        self.codes.add(code)
        if code.against:
            self.against.add(code.axis)
        into = self.findings if code.against else self.notes
        if len(into) >= MAX_FINDINGS:
            self.omitted += 1
            return
        into.append(Finding(code, fragment, tuple((name, str(value)) for name, value in sorted(values.items()))))

    def add_once(self, code: Code, fragment: int | None = None, **values: object) -> None:
        """Add a finding or a note unless there is one with the same code."""
        if code not in self.codes:
            self.add(code, fragment, **values)

    def mark(self, fragment: int, mark: Mark) -> None:
        """Set a fragment's mark; fragments before it without a mark are missing.  Raises TheirError beyond MAX_FRAGMENTS."""
        if fragment >= MAX_FRAGMENTS:
            raise TheirError(Kind.TOO_LARGE, f"fragment {fragment}: more than {MAX_FRAGMENTS} fragments")
        short = fragment + 1 - len(self.marks)
        if short > 0:
            self.marks += Mark.MISSING.encode() * short
        self.marks[fragment] = ord(Mark.ALTERED if fragment in self._unsealed else mark)

    def unseal(self, fragment: int) -> None:
        """Mark a fragment as altered for good, because its link is: whatever its bytes are compared with proves nothing."""
        self._unsealed.add(fragment)
        self.mark(fragment, Mark.ALTERED)

    def marked(self, fragment: int) -> Mark:
        """Return a fragment's mark, MISSING where it has none."""
        return Mark(chr(self.marks[fragment])) if fragment < len(self.marks) else Mark.MISSING
