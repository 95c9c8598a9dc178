"""Wall time of one recording: monotonic time plus an offset that never jumps; and whether the clock was stepped.

Owns: when the relay's wall clock is not to be trusted.  Must never know: where time is read.

Small corrections (NTP slewing) are followed.  A step is not followed: within a recording, time runs on evenly.  From a step on
every link is marked suspect, because nobody can say which side of the step was right.
"""

STEP_NS = 200_000_000


class WallClock:
    """Translates monotonic nanoseconds into UTC nanoseconds for one recording."""

    def __init__(self, utc_ns: int, mono_ns: int) -> None:
        self.offset = utc_ns - mono_ns
        """UTC minus monotonic, in nanoseconds."""
        self.suspect = False

    def utc(self, mono_ns: int) -> int:
        """Return the UTC nanoseconds of a monotonic instant."""
        return mono_ns + self.offset

    def observe(self, utc_ns: int, mono_ns: int) -> bool:
        """Compare with both clocks, read together; return whether this is the first step that was seen."""
        difference = utc_ns - mono_ns - self.offset
        if abs(difference) < STEP_NS:
            if not self.suspect:
                self.offset += difference
            return False
        first, self.suspect = not self.suspect, True
        return first
