"""Samples become fragments, fragments become segments.

Owns: where to cut, and when a keyframe is requested for it.  Must never know: MP4 boxes, packets, files.

A fragment ends when its first sample is `fragment_seconds` old by the relay's clock, or when one more sample would make it
longer than that on the timeline of the sample's track.  A segment ends at the first IDR after `segment_seconds`; from then on
an IDR is requested once a second.  Where none comes, another picture in which decoding may begin serves (`beginnings`).  A new
resolution, a parameter set that the init segment does not hold, or a camera that came back begins a new segment at its IDR.  An
init segment holds all parameter sets in force, so sets that repeat or take turns begin no segment.  Pictures before that IDR
cannot be decoded and are not kept.  Each such segment is a new file, so a camera may force no more than one a second, after a
first few; an IDR that would need another one is not kept, nor what depends on it.  Where video was negotiated, the first sound
waits for the first IDR, so that a recording begins with both.  After `FIRST_IDR_NS` it begins with a segment of sound alone.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from relay.base.allowance import Allowance
from relay.base.errors import TheirError
from relay.rtp.h264 import parse_sps
from relay.rtp.parameter_sets import Sets

SECOND = 1_000_000_000
REQUEST_PERIOD_NS = SECOND
EARLY_NS = SECOND // 2
"""How long before its end a segment requests the IDR that ends it."""
FIRST_IDR_NS = 2 * SECOND
"""How long the first sound waits for the first IDR, which is requested at once."""
FORCED_RATE, FORCED_BURST = 1.0, 3
"""Segments a second that may begin before the last one is `segment_seconds` old, and how many of them at once."""
SPLIT_RATE, SPLIT_BURST = 4.0, 64
"""Fragments a second that may end because of their length on the timeline, and how many at once (the burst after a delay).
Where more would, samples stay in the open fragment until it is `fragment_seconds` old."""
MAX_FRAGMENT_BYTES = 4 << 20
"""A fragment ends before the sample with which it would be larger; so a larger one is a single access unit."""


class Placed(NamedTuple):
    """A sample on the recording's timeline, in ticks of its track."""

    time: int
    data: bytes
    keyframe: bool
    """Decoding may begin in it: of pictures an IDR, or the recovery point where a segment begins."""
    duration: int
    """In ticks where the sample itself states it, else 0."""
    arrival: int
    shift: int = 0
    """How many ticks after its decode time it is shown."""


class InitParameters(NamedTuple):
    """The contents of an init segment; `sets` is None where there is no video."""

    sets: Sets | None
    audio: bool

    def serves(self, fresh: "InitParameters") -> bool:
        """Return whether an init segment with these contents serves pictures that need `fresh`."""
        if self.sets is None or fresh.sets is None:
            return self == fresh
        same = self.audio == fresh.audio and set(self.sets.units) >= set(fresh.sets.units)
        return same and (self.sets.sps[0] == fresh.sets.sps[0] or _size(self.sets.sps[0]) == _size(fresh.sets.sps[0]))


@dataclass(slots=True)
class Fragment:
    """The samples of one `moof` and `mdat`."""

    segment: int
    opens: bool
    """First of its segment: the init segment goes before it."""
    parameters: InitParameters
    opened: int
    video: list[Placed] = field(default_factory=list)
    audio: list[Placed] = field(default_factory=list)
    size: int = 0
    """Bytes of its samples."""


class Cutter:
    """Cuts the samples of one recording; `now` in monotonic nanoseconds."""

    def __init__(self, fragment_ns: int, segment_ns: int, *, has_video: bool, has_audio: bool) -> None:
        self._fragment_ns = fragment_ns
        self._segment_ns = segment_ns
        self._span = {True: fragment_ns * 90_000 // SECOND, False: fragment_ns * 48_000 // SECOND}
        self.has_video = has_video
        self._has_audio = has_audio
        self._segment = -1
        self._parameters: InitParameters | None = None
        self._segment_since = 0
        self._restart = False
        self._open: Fragment | None = None
        self._opens = False
        self._waiting: list[Placed] = []
        self._waiting_bytes = 0
        self._requested_at: int | None = None
        self._skipping = False
        """Whether a picture was not kept on which others depend."""
        self._forced = Allowance(FORCED_RATE, FORCED_BURST)
        self._splits = Allowance(SPLIT_RATE, SPLIT_BURST)

    @property
    def needs_keyframe(self) -> bool:
        """Whether no picture can be kept before the next IDR."""
        undecodable = self._parameters is None or self._parameters.sets is None or self._restart or self._skipping
        return self.has_video and undecodable

    def restart(self, *, has_video: bool, has_audio: bool) -> None:
        """The camera came back or changed its streams: its next IDR begins a new segment."""
        self.has_video = has_video
        self._has_audio = has_audio or self._has_audio
        self._restart = True
        self._requested_at = None

    def expect_sound(self) -> None:
        """There is a sound track from now on.  Where the open segment has none, the next IDR begins one that has."""
        self._has_audio = True

    def wants_beginning(self, now: int) -> bool:
        """Return whether the next picture in which decoding may begin will begin a segment."""
        lacks_sound = self._has_audio and not self.keeps_sound()
        return self.needs_keyframe or (self.has_video and (self._is_over(now) or lacks_sound))

    def keeps(self, begins: bool, sets: Sets | None) -> bool:
        """Return whether an access unit can be kept: pictures before the first beginning of a segment cannot be decoded."""
        return not self.needs_keyframe or (begins and self._parameters_of(sets) is not None)

    def forces_too_much(self, begins: bool, sets: Sets | None, now: int) -> bool:
        """Return whether an access unit that can be kept would begin another segment, so soon that it must not."""
        fresh = self._parameters_of(sets) if begins else None
        return fresh is not None and self._is_forced(fresh, now) and not self._forced.has(now / SECOND)

    def skip(self) -> None:
        """A picture was not kept: those after it cannot be decoded before the next IDR."""
        self._skipping = True

    def keeps_sound(self) -> bool:
        """Return whether sound can be kept: the open segment may have no sound track."""
        return self._parameters is None or self._parameters.audio

    def video(self, sample: Placed, sets: Sets | None, now: int) -> list[Fragment]:
        """Take an access unit that can be kept (`keyframe`: decoding may begin in it); return the fragments that it ended."""
        out: list[Fragment] = []
        if sample.keyframe and (fresh := self._parameters_of(sets)) is not None:
            self._skipping = False
            if self._is_forced(fresh, now):
                self._forced.take(now / SECOND)
            if self._segment_is_due(fresh, now):
                self._close(out)
                self._begin_segment(fresh, now)
        self._add(sample, True, now, out)
        return out

    def extend(self, rest: bytes) -> bool:
        """Add bytes to the last access unit; return False where its fragment has ended already."""
        if self._open is None or not self._open.video:
            return False
        last = self._open.video[-1]
        self._open.video[-1] = last._replace(data=last.data + rest)
        self._open.size += len(rest)
        return True

    def audio(self, sample: Placed, now: int) -> list[Fragment]:
        """Take a sound packet that can be kept; return the fragments that it ended."""
        out: list[Fragment] = []
        if self._parameters is None:
            self._waiting.append(sample)
            self._waiting_bytes += len(sample.data)
            self._sound_alone(now)
        else:
            self._add(sample, False, now, out)
        return out

    def advance(self, now: int) -> list[Fragment]:
        """Let time pass; return the fragments that ended."""
        out: list[Fragment] = []
        if self._parameters is None and self._waiting:
            self._sound_alone(now)
        if self._open is not None and now - self._open.opened >= self._fragment_ns:
            self._close(out)
        return out

    def flush(self) -> list[Fragment]:
        """End the open fragment and return it."""
        out: list[Fragment] = []
        if self._parameters is None and self._waiting:
            self._begin_segment(InitParameters(None, audio=True), self._waiting[0].arrival)
        self._close(out)
        return out

    def keyframe_due(self, now: int) -> bool:
        """Return whether to request an IDR now; requests are `REQUEST_PERIOD_NS` apart."""
        if not self.wants_beginning(now) or (self._requested_at is not None and now - self._requested_at < REQUEST_PERIOD_NS):
            return False
        self._requested_at = now
        return True

    def _parameters_of(self, sets: Sets | None) -> InitParameters | None:
        """Return the parameters for an IDR: the sets in force, else those of the open segment; None without any."""
        sets = sets or (self._parameters.sets if self._parameters is not None else None)
        return None if sets is None else InitParameters(sets, self._has_audio)

    def _segment_is_due(self, fresh: InitParameters, now: int) -> bool:
        return self._is_over(now) or self._restart or self._parameters is None or not self._parameters.serves(fresh)

    def _is_forced(self, fresh: InitParameters, now: int) -> bool:
        """Return whether an IDR begins a segment before the last one is over.  The first of a recording is not forced."""
        return self._parameters is not None and not self._is_over(now) and self._segment_is_due(fresh, now)

    def _is_over(self, now: int) -> bool:
        return now - self._segment_since >= self._segment_ns - EARLY_NS

    def _begin_segment(self, parameters: InitParameters, now: int) -> None:
        self._segment += 1
        self._parameters = parameters
        self._segment_since = now
        self._restart = False
        self._requested_at = None
        self._opens = True
        waiting, self._waiting = self._waiting, []
        size, self._waiting_bytes = self._waiting_bytes, 0
        if waiting and parameters.audio:
            fragment = self._fragment(now)
            fragment.audio += waiting
            fragment.size += size

    def _sound_alone(self, now: int) -> None:
        """Begin a segment of sound alone where the first IDR is late, where there is no video, or where too much waits."""
        is_late = now - self._waiting[0].arrival >= FIRST_IDR_NS
        if not self.has_video or is_late or self._waiting_bytes > MAX_FRAGMENT_BYTES:
            self._begin_segment(InitParameters(None, audio=True), now)

    def _add(self, sample: Placed, video: bool, now: int, out: list[Fragment]) -> None:
        current = self._open
        if current is not None and (
            current.size + len(sample.data) > MAX_FRAGMENT_BYTES or self._is_too_long(current, sample, video, now)
        ):
            self._close(out)
        fragment = self._fragment(now)
        fragment.size += len(sample.data)
        (fragment.video if video else fragment.audio).append(sample)

    def _is_too_long(self, current: Fragment, sample: Placed, video: bool, now: int) -> bool:
        """Return whether the fragment would be too long on the timeline, if this sample lasts as long as the one before it."""
        same = current.video if video else current.audio
        if not same or 2 * sample.time - same[0].time - same[-1].time <= self._span[video]:
            return False
        return self._splits.take(now / SECOND)

    def _fragment(self, now: int) -> Fragment:
        if self._open is None:
            assert self._parameters is not None
            self._open = Fragment(self._segment, self._opens, self._parameters, now)
            self._opens = False
        return self._open

    def _close(self, out: list[Fragment]) -> None:
        if self._open is not None:
            out.append(self._open)
            self._open = None


def _size(sps: bytes) -> tuple[int, int] | None:
    try:
        parsed = parse_sps(sps)
    except TheirError:
        return None
    return parsed.width, parsed.height


def durations(samples: list[Placed], typical: int) -> list[int]:
    """Return the duration of each sample in ticks: up to the next sample.  The last has its own, else that of the one before.

    `typical` is the duration of a single sample that states none.
    """
    out = [later.time - earlier.time for earlier, later in zip(samples, samples[1:], strict=False)]
    last = samples[-1].duration or (out[-1] if out else typical)
    return [*out, max(last, 1)]
