"""Samples become fragments, fragments become segments.

Owns: where to cut, and when a keyframe is requested for it.  Must never know: MP4 boxes, packets, files.

A fragment ends when its first sample is `fragment_seconds` old by the relay's clock, or when one more sample would make it
longer than that on the timeline of the sample's track.  A segment ends at the first IDR after `segment_seconds`; from then on
an IDR is requested once a second.  A new resolution, a new parameter set, or a camera that came back begins a new segment at
its IDR.  Pictures before that IDR cannot be decoded and are not kept.  Where video was negotiated, the first sound waits for
the first IDR, so that a recording begins with both.  After `FIRST_IDR_NS` it begins with a segment of sound alone.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

SECOND = 1_000_000_000
REQUEST_PERIOD_NS = SECOND
EARLY_NS = SECOND // 2
"""How long before its end a segment requests the IDR that ends it."""
FIRST_IDR_NS = 2 * SECOND
"""How long the first sound waits for the first IDR, which is requested at once."""


class Placed(NamedTuple):
    """A sample on the recording's timeline, in ticks of its track."""

    time: int
    data: bytes
    keyframe: bool
    duration: int
    """In ticks where the sample itself states it, else 0."""
    arrival: int


class InitParameters(NamedTuple):
    """The contents of an init segment; parameter sets are None where there is no video."""

    sps: bytes | None
    pps: bytes | None
    audio: bool


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
        self._requested_at: int | None = None

    @property
    def needs_keyframe(self) -> bool:
        """Whether no picture can be kept before the next IDR."""
        return self.has_video and (self._parameters is None or self._parameters.sps is None or self._restart)

    def restart(self, *, has_video: bool, has_audio: bool) -> None:
        """The camera came back or changed its streams: its next IDR begins a new segment."""
        self.has_video = has_video
        self._has_audio = has_audio or self._has_audio
        self._restart = True
        self._requested_at = None

    def keeps(self, keyframe: bool, sps: bytes | None, pps: bytes | None) -> bool:
        """Return whether an access unit can be kept: pictures before the first IDR of a segment cannot be decoded."""
        return not self.needs_keyframe or (keyframe and self._parameters_of(sps, pps) is not None)

    def keeps_sound(self) -> bool:
        """Return whether sound can be kept: the open segment may have no sound track."""
        return self._parameters is None or self._parameters.audio

    def video(self, sample: Placed, sps: bytes | None, pps: bytes | None, now: int) -> list[Fragment]:
        """Take an access unit that can be kept; return the fragments that it ended."""
        out: list[Fragment] = []
        if sample.keyframe and (fresh := self._parameters_of(sps, pps)) is not None and self._segment_is_due(fresh, now):
            self._close(out)
            self._begin_segment(fresh, now)
        self._add(sample, True, now, out)
        return out

    def audio(self, sample: Placed, now: int) -> list[Fragment]:
        """Take a sound packet that can be kept; return the fragments that it ended."""
        out: list[Fragment] = []
        if self._parameters is None:
            self._waiting.append(sample)
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
            self._begin_segment(InitParameters(None, None, audio=True), self._waiting[0].arrival)
        self._close(out)
        return out

    def keyframe_due(self, now: int) -> bool:
        """Return whether to request an IDR now; requests are `REQUEST_PERIOD_NS` apart."""
        due = self.needs_keyframe or (self.has_video and now - self._segment_since >= self._segment_ns - EARLY_NS)
        if not due or (self._requested_at is not None and now - self._requested_at < REQUEST_PERIOD_NS):
            return False
        self._requested_at = now
        return True

    def _parameters_of(self, sps: bytes | None, pps: bytes | None) -> InitParameters | None:
        """Return the parameters for an IDR: its own parameter sets, else those of the open segment; None without any."""
        if sps is not None and pps is not None:
            return InitParameters(sps, pps, self._has_audio)
        if self._parameters is None or self._parameters.sps is None:
            return None
        return InitParameters(sps or self._parameters.sps, pps or self._parameters.pps, self._has_audio)

    def _segment_is_due(self, fresh: InitParameters, now: int) -> bool:
        late = now - self._segment_since >= self._segment_ns - EARLY_NS
        return self._restart or late or fresh != self._parameters

    def _begin_segment(self, parameters: InitParameters, now: int) -> None:
        self._segment += 1
        self._parameters = parameters
        self._segment_since = now
        self._restart = False
        self._requested_at = None
        self._opens = True
        waiting, self._waiting = self._waiting, []
        for sample in waiting if parameters.audio else ():
            self._fragment(now).audio.append(sample)

    def _sound_alone(self, now: int) -> None:
        """Begin a segment of sound alone where the first IDR is late, or where there is no video."""
        if not self.has_video or now - self._waiting[0].arrival >= FIRST_IDR_NS:
            self._begin_segment(InitParameters(None, None, audio=True), now)

    def _add(self, sample: Placed, video: bool, now: int, out: list[Fragment]) -> None:
        current = self._open
        if current is not None:
            same = current.video if video else current.audio
            if same and 2 * sample.time - same[0].time - same[-1].time > self._span[video]:
                self._close(out)  # if it lasts as long as the one before it, the fragment would be too long
        fragment = self._fragment(now)
        (fragment.video if video else fragment.audio).append(sample)

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


def durations(samples: list[Placed], typical: int) -> list[int]:
    """Return the duration of each sample in ticks: up to the next sample.  The last has its own, else that of the one before.

    `typical` is the duration of a single sample that states none.
    """
    out = [later.time - earlier.time for earlier, later in zip(samples, samples[1:], strict=False)]
    last = samples[-1].duration or (out[-1] if out else typical)
    return [*out, max(last, 1)]
