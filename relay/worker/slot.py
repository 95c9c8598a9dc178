"""One slot of a viewer: the place where a leg, a journalled view and a lease meet.

Owns: what a slot shows, for how long it may, and how good a picture the viewer can take.
Must never know: other viewers, the channel's frames, sockets, packets (its `sender` does).
"""

from dataclasses import dataclass

from relay.channel.messages import Layer, LegReport
from relay.fanout.limit import Load, QualityLevel
from relay.fanout.stream import Stream
from relay.rtp.rtcp import ReportBlock
from relay.worker.leg_sender import LegSender

SOUND = -1
"""Number of the slot that carries a viewer's sound."""
REORDERED_SECONDS = 2.0
"""How long after a B picture a wish for a keyframe may be because of it."""
MAX_ROUND_TRIP = 10 << 16
"""1/65536 s; a longer round trip is a report of another stream's time."""


@dataclass(slots=True)
class ReceiverFeedback:
    """What the viewer's last receiver report said: share of packets lost, round trip in seconds (None before one is known)."""

    loss: float = 0.0
    rtt: float | None = None


class Slot:
    """A place in a viewer session; `number` is `SOUND` for its sound."""

    def __init__(self, number: int, sender: LegSender) -> None:
        self.number = number
        self.sender = sender
        self.camera: str | None = None
        self.view = ""
        self.wanted: Layer = "high"
        self.lease = 0.0
        self.feedback = ReceiverFeedback()
        self.kbps = 0.0
        self._is_layered = False
        """Its camera sends more than one layer."""
        self._is_confused = False
        """The viewer cannot show pictures that come in another order than they are shown."""
        self._octets = 0

    @property
    def stream(self) -> Stream | None:
        """The stream that is sent; None until one has begun."""
        return self.sender.stream

    @property
    def level(self) -> QualityLevel:
        """How much of the stream is sent."""
        return self.sender.level

    # --- what it shows -------------------------------------------------------------------------------------------------

    def assign(self, camera: str, view: str, layer: Layer, lease: float) -> None:
        """Show a camera from now on, under a view."""
        self.clear()
        self.camera, self.view, self.lease = camera, view, lease
        self.want(layer)

    def clear(self) -> None:
        """Show nothing; the caller has reported how the view ended."""
        self.sender.clear()
        self.camera = None
        self._is_layered = self._is_confused = False
        self.view = ""

    def span(self, utc_ns: int, now: float) -> tuple[int | None, int | None]:
        """Return when the first and the last packet of this view left, UTC nanoseconds; None where none did."""
        sender = self.sender
        if not sender.packets:
            return None, None
        return utc_ns - round((now - sender.first_at) * 1e9), utc_ns - round((now - sender.last_at) * 1e9)

    # --- how good a picture --------------------------------------------------------------------------------------------

    @property
    def layer(self) -> Layer:
        """Which layer it shows: the wanted one, or a smaller one where the viewer cannot keep up."""
        if self.level is QualityLevel.KEYFRAMES:
            return "key"
        return "low" if self.level is QualityLevel.SMALL else self.wanted

    def want(self, layer: Layer) -> None:
        """The tile changed size."""
        self.wanted = layer
        if (layer == "key") != (self.level is QualityLevel.KEYFRAMES):
            self.sender.set_level(QualityLevel.KEYFRAMES if layer == "key" else QualityLevel.ALL)

    def note_keyframe_wish(self, now: float) -> None:
        """The viewer asks for a keyframe.  B pictures are why, where its camera sends them: it gets none that can be left out.

        Chromium's decoder gives up at each picture that is to be shown before the one it had last.
        """
        at = self.stream.pictures.reordered_at if self.stream is not None else None
        if at is not None and now - at < REORDERED_SECONDS and not self._is_confused:
            self._is_confused = True
            self.set_level(self.level)

    def set_level(self, level: QualityLevel) -> None:
        """Send more or less from now on, as the viewer's limit says."""
        is_all = level is QualityLevel.ALL
        self.sender.set_level(QualityLevel.NO_DROPPABLE if is_all and self._is_confused else level)

    def choose_layer(self, wanted: Stream | None, now: float) -> Stream | None:
        """Choose between the layers of its camera; returns the one to send now.

        That is `wanted` as soon as it can start, and the present one until then; a keyframe of `wanted` is asked for.
        """
        self._is_layered = True
        present = self.stream
        if wanted is None or present is None or wanted is present or wanted.cache.ready:
            return wanted
        wanted.keyframes.want(now)
        return present

    @property
    def _limit(self) -> QualityLevel:
        """The level as the viewer's network asks for it."""
        is_of_order = self._is_confused and self.level is QualityLevel.NO_DROPPABLE
        return QualityLevel.ALL if is_of_order else self.level

    def load(self) -> Load:
        """Return what this leg costs, measured since the last call (a second ago)."""
        octets = self.sender.leg.octets - self._octets
        self._octets = self.sender.leg.octets
        self.kbps = octets * 8 / 1000
        stream = self.stream
        droppable = stream is not None and stream.pictures.droppable > 0
        # What the camera's own radio loses shows in the viewer's reports too: sending that viewer less would not help.
        loss = self.feedback.loss
        if stream is not None:
            loss = max(0.0, loss - stream.inbound.reception.loss)
        return Load(self._limit, self.kbps, loss, droppable=droppable, layered=self._is_layered)

    # --- reports -------------------------------------------------------------------------------------------------------

    def take_report(self, block: ReportBlock, ntp_now: int) -> None:
        """A receiver report of the viewer on this leg (RFC 3550 §6.4.1); `ntp_now` middle 32 bits."""
        self.feedback.loss = block.fraction_lost / 256
        if block.last_sr:
            round_trip = (ntp_now - block.last_sr - block.delay) & 0xFFFFFFFF
            if round_trip < MAX_ROUND_TRIP:
                self.feedback.rtt = round_trip / 65536
        self.sender.learn(self.feedback.loss, self.feedback.rtt)

    def report(self) -> LegReport:
        """Return this leg's part of the worker's report, for the last second."""
        rtt = self.feedback.rtt
        return LegReport(
            view=self.view,
            kbps=self.kbps,
            loss=self.feedback.loss,
            rtt_ms=None if rtt is None else rtt * 1000,
            layer=self.layer,
            limited=self._limit is not QualityLevel.ALL,
            delay_ms=self.sender.take_delay() * 1000,
            stamp=self.sender.report_stamp,
        )
