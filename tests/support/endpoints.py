"""The smallest possible WHIP and WHEP endpoints in front of a port, for FFmpeg and Chromium."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web

from relay.base.clock import SystemClock
from relay.base.errors import Kind, TheirError
from relay.transport import sdp
from relay.transport.port import Peer, Port
from tests.support.ports import Remembering, admit_camera, admit_viewer

STATUS = {Kind.INVALID: 400, Kind.NOT_ACCEPTABLE: 406, Kind.TOO_LARGE: 413}

PAGE = """<!doctype html><meta charset=utf-8><body></body><script>
async function post(path, pc) {
  await pc.setLocalDescription();
  const headers = {'Content-Type': 'application/sdp'};
  const answer = await fetch(path, {method: 'POST', headers, body: pc.localDescription.sdp});
  if (answer.status !== 201) throw new Error(answer.status + ' ' + await answer.text());
  await pc.setRemoteDescription({type: 'answer', sdp: await answer.text()});
  return answer.headers.get('Location');
}
async function watch(slots) {
  const pc = window.pc = new RTCPeerConnection();
  pc.ontrack = (event) => {
    const video = document.createElement('video');
    video.muted = video.autoplay = true;
    video.srcObject = new MediaStream([event.track]);
    document.body.append(video);
  };
  for (let i = 0; i < slots; i++) pc.addTransceiver('video', {direction: 'recvonly'});
  pc.addTransceiver('audio', {direction: 'recvonly'});
  window.resource = await post('/whep', pc);
}
async function publish(encodings) {
  const canvas = document.createElement('canvas');
  canvas.width = 640; canvas.height = 480;
  const context = canvas.getContext('2d');
  setInterval(() => {
    context.fillStyle = '#' + Math.random().toString(16).slice(2, 8);
    context.fillRect(0, 0, 640, 480);
  }, 33);
  const pc = window.pc = new RTCPeerConnection();
  const track = canvas.captureStream(30).getVideoTracks()[0];
  pc.addTransceiver(track, {direction: 'sendonly', sendEncodings: encodings});
  await post('/whip', pc);
}
async function decoded() {
  const counts = [];
  for (const entry of (await pc.getStats()).values())
    if (entry.type === 'inbound-rtp' && entry.kind === 'video') counts.push(entry.framesDecoded || 0);
  return counts.sort();
}
async function restart() {
  pc.restartIce();
  const offer = await pc.createOffer();
  await pc.setLocalDescription(offer);
  const line = (name) => offer.sdp.match(new RegExp('a=' + name + ':(.*)'))[1];
  const body = [`a=ice-ufrag:${line('ice-ufrag')}`, `a=ice-pwd:${line('ice-pwd')}`,
    'm=video 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:0', ''].join('\\r\\n');
  const headers = {'Content-Type': 'application/trickle-ice-sdpfrag'};
  const answer = await fetch(resource, {method: 'PATCH', headers, body});
  const fragment = await answer.text();
  const fresh = (name) => fragment.match(new RegExp('a=' + name + ':(.*)'))[1].trim();
  const sdp = pc.currentRemoteDescription.sdp
    .replace(/a=ice-ufrag:.*/g, 'a=ice-ufrag:' + fresh('ice-ufrag')).replace(/a=ice-pwd:.*/g, 'a=ice-pwd:' + fresh('ice-pwd'));
  await pc.setRemoteDescription({type: 'answer', sdp});
  return fresh('ice-ufrag');
}
</script>"""


@dataclass
class Admitted:
    """One session and what its endpoint agreed."""

    peer: Peer
    handler: Remembering
    offer: str
    answer: sdp.PublisherAnswer | sdp.ViewerAnswer


@dataclass
class Endpoints:
    """POST /whip, POST /whep, PATCH of a session, GET / (the page)."""

    port: Port
    url: str = ""
    sessions: list[Admitted] = field(default_factory=list)
    refusals: list[TheirError] = field(default_factory=list)
    rewrite: Callable[[str], str] = str
    """Applied to every answer: a NAT's address, say."""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Endpoints"]:
        """Serve on a free port of 127.0.0.1."""
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_post("/whip", self._whip)
        app.router.add_post("/whep", self._whep)
        app.router.add_patch("/session/{at}", self._patch)
        app.router.add_delete("/session/{at}", self._delete)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def _whip(self, request: web.Request) -> web.Response:
        handler, offer = Remembering(), await request.text()
        try:
            peer, answer = admit_camera(self.port, offer, handler)
        except TheirError as error:
            return self._refuse(error)
        return self._created(Admitted(peer, handler, offer, answer), answer.text)

    async def _whep(self, request: web.Request) -> web.Response:
        handler, offer = Remembering(), await request.text()
        try:
            peer, answer = admit_viewer(self.port, offer, handler)
        except TheirError as error:
            return self._refuse(error)
        return self._created(Admitted(peer, handler, offer, answer), answer.text)

    async def _patch(self, request: web.Request) -> web.Response:
        admitted = self.sessions[int(request.match_info["at"])]
        fragment = sdp.parse_fragment(await request.text())
        if fragment.ufrag is None or fragment.ufrag == admitted.peer.remote.ufrag:
            return web.Response(status=204)
        return web.Response(text=sdp.answer_fragment(admitted.peer.restart(fragment), fragment))

    async def _delete(self, request: web.Request) -> web.Response:
        admitted = self.sessions[int(request.match_info["at"])]
        admitted.peer.close("deleted")
        return web.Response()

    def _created(self, admitted: Admitted, text: str) -> web.Response:
        self.sessions.append(admitted)
        headers = {"Location": f"/session/{len(self.sessions) - 1}", "ETag": f'"{admitted.peer.local.ufrag}"'}
        return web.Response(status=201, text=self.rewrite(text), content_type="application/sdp", headers=headers)

    def _refuse(self, error: TheirError) -> web.Response:
        self.refusals.append(error)
        return web.Response(status=STATUS[error.kind], text=error.detail)


def now() -> float:
    """The clock of the ports."""
    return SystemClock().monotonic()
