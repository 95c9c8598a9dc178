"""GStreamer's webrtcbin as camera and as viewer: the system's Python runs it, because Debian's bindings are for that one alone.

`/usr/bin/python3 gstreamer.py publish URL FILM` publishes a file without encoding it; the token is the first line of standard
input.  `gstreamer.py watch PICTURES SOUND` prints its offer, reads the answer (a line of JSON each) and writes the pictures
(Annex B) and the sound (Ogg) that come.  Both end with their standard input; a camera then says so by DELETE.
`gstreamer.py version` says whether all that they need is installed.

Habits of GStreamer's users, given first: `--sets-in-offer` sends parameter sets in the offer alone, as `rtph264pay` does unless
it is told otherwise; `--no-mode` offers H.264 without a word on its packetization mode, as `whepsrc` does.
"""

import json
import sys
import threading
import urllib.request
from typing import Any
from urllib.parse import urljoin

_MISSING = "GStreamer with webrtcbin and its bindings for the system's Python is not installed; scripts/test installs it: "
try:
    import gi

    for _name in ("Gst", "GstSdp", "GstWebRTC"):
        gi.require_version(_name, "1.0")
    from gi.repository import GLib, Gst, GstSdp, GstWebRTC
except (ImportError, ValueError) as _error:
    sys.exit(f"{_MISSING}{_error}")

_PEER = "webrtcbin name=peer bundle-policy=max-bundle "
_FILM = (
    "filesrc location={} ! qtdemux name=film "
    "film.video_0 ! queue ! h264parse config-interval={} ! identity sync=true ! rtph264pay aggregate-mode=zero-latency ! "
    "application/x-rtp,media=video,encoding-name=H264,payload=96 ! peer. "
    "film.audio_0 ! queue ! opusparse ! identity sync=true ! rtpopuspay ! "
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer."
)
# What takes the stream of a kind that has come.
_TAKERS = {
    "video": "rtph264depay ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream ! filesink location={}",
    "audio": "rtpopusdepay ! opusparse ! oggmux ! filesink location={}",
}
_WATCHED = {
    "video": "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000",
    "audio": "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2",
}


_ELEMENTS = (
    "webrtcbin",
    "nicesink",
    "dtlsenc",
    "srtpenc",
    "qtdemux",
    "oggmux",
    "h264parse",
    "rtph264pay",
    "opusparse",
    "rtpopuspay",
)


class Peer:
    """One webrtcbin in a pipeline; it offers, and hands its offer to `on_offer` once its addresses are gathered."""

    def __init__(self, pipeline: str) -> None:
        self._loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(pipeline)
        if not isinstance(self.pipeline, Gst.Pipeline):  # one element alone is no pipeline
            alone, self.pipeline = self.pipeline, Gst.Pipeline.new("one")
            self.pipeline.add(alone)
        self.bin = self.pipeline.get_by_name("peer")
        self._gathered = threading.Event()
        self.bin.connect("on-negotiation-needed", lambda _: self._create())
        self.bin.connect("notify::ice-gathering-state", lambda *_: self._on_gathering())
        self.bin.connect(
            "notify::connection-state", lambda *_: _say(state=self.bin.get_property("connection-state").value_nick)
        )

    def run(self) -> None:
        """Go on until the standard input ends, or GStreamer fails."""
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self._on_error)
        self.pipeline.set_state(Gst.State.PLAYING)
        threading.Thread(target=self._negotiate, daemon=True).start()
        self._loop.run()
        self.pipeline.send_event(Gst.Event.new_eos())
        self.pipeline.set_state(Gst.State.NULL)

    def exchange(self, offer: str) -> str:
        """Have the offer answered."""
        _say(offer=offer)
        return str(json.loads(sys.stdin.readline())["answer"])

    def leave(self) -> None:
        """Do what is to be done before the peer is closed."""

    def _on_error(self, _: Any, message: Any) -> None:
        _say(error=str(message.parse_error()))
        self._loop.quit()

    def _create(self) -> None:
        self.bin.emit("create-offer", None, Gst.Promise.new_with_change_func(self._created))

    def _created(self, promise: Any) -> None:
        reply = promise.get_reply()  # it must outlive what is taken out of it
        offer = reply.get_value("offer")
        self.bin.emit("set-local-description", offer, Gst.Promise.new())

    def _on_gathering(self) -> None:
        if self.bin.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self._gathered.set()

    def _negotiate(self) -> None:
        self._gathered.wait()
        text = self.exchange(self.bin.get_property("local-description").sdp.as_text())
        _, message = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.bin.emit("set-remote-description", answer, Gst.Promise.new())
        sys.stdin.read()
        self.leave()
        GLib.idle_add(self._loop.quit)


class Camera(Peer):
    """Publishes a film by WHIP."""

    def __init__(self, url: str, film: str) -> None:
        super().__init__(_PEER + _FILM.format(film, 0 if "--sets-in-offer" in _habits else -1))
        self._url = url
        self._token = sys.stdin.readline().strip()
        self._location = ""

    def exchange(self, offer: str) -> str:
        with self._call("POST", self._url, offer.encode(), {"Content-Type": "application/sdp"}) as response:
            self._location, text = urljoin(self._url, response.headers["Location"]), response.read().decode()
            _say(status=response.status, answer=text)
            return str(text)

    def leave(self) -> None:
        with self._call("DELETE", self._location, None, {}) as response:
            _say(deleted=response.status)

    def _call(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Any:
        sent = {"Authorization": f"Bearer {self._token}", **headers}
        return urllib.request.urlopen(urllib.request.Request(url, body, sent, method=method))


class Viewer(Peer):
    """Watches; `paths`: where pictures and sound go."""

    def __init__(self, *paths: str) -> None:
        super().__init__(_PEER)
        self._paths = dict(zip(("video", "audio"), paths, strict=True))
        for kind, caps in _WATCHED.items():
            if kind == "video" and "--no-mode" not in _habits:
                caps += ",packetization-mode=(string)1"
            direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            self.bin.emit("add-transceiver", direction, Gst.Caps.from_string(caps))
        self.bin.connect("pad-added", self._take)

    def _take(self, _: Any, pad: Any) -> None:
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        taker = Gst.parse_bin_from_description(_TAKERS[kind].format(self._paths[kind]), True)
        self.pipeline.add(taker)
        taker.sync_state_with_parent()
        pad.link(taker.sinkpads[0])


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Gst.init(None)
    if _lacking := [name for name in _ELEMENTS if Gst.ElementFactory.find(name) is None]:
        sys.exit(f"{_MISSING}{', '.join(_lacking)}")
    _say(version=Gst.version_string())
    _habits = {argument for argument in sys.argv[1:] if argument.startswith("--")}
    _given = [argument for argument in sys.argv[1:] if argument not in _habits]
    if _given != ["version"]:
        {"publish": Camera, "watch": Viewer}[_given[0]](*_given[1:]).run()
