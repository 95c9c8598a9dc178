// werift as camera and as viewer, called as tests/clients/programs.py says: publish URL FILM, watch PICTURES SOUNDS.
import { createWriteStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { H264Packetizer, MediaStreamTrack, OpusPacketizer, RTCPeerConnection, RTCRtpCodecParameters } from "werift";
import { Pictures, Sounds } from "../depacketize.mjs";
import { play } from "../film.mjs";

const CODECS = {
  video: [
    new RTCRtpCodecParameters({
      mimeType: "video/H264",
      clockRate: 90000,
      parameters: "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1",
      rtcpFeedback: [{ type: "nack" }, { type: "nack", parameter: "pli" }, { type: "goog-remb" }],
    }),
  ],
  audio: [new RTCRtpCodecParameters({ mimeType: "audio/opus", clockRate: 48000, channels: 2 })],
};
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const lines = createInterface({ input: process.stdin });
const ended = new Promise((resolve) => lines.once("close", resolve));
const firstLine = new Promise((resolve) => lines.once("line", resolve));

function newPeer() {
  const peer = new RTCPeerConnection({ codecs: CODECS, iceServers: [], iceAdditionalHostAddresses: ["127.0.0.1"] });
  const connected = new Promise((resolve) => {
    peer.connectionStateChange.subscribe((state) => {
      say({ state });
      if (state === "connected") resolve();
    });
  });
  return { peer, connected };
}

async function offered(peer) {
  await peer.setLocalDescription(await peer.createOffer());
  return peer.localDescription.sdp;
}

async function publish(url, film) {
  const token = await firstLine;
  const { peer, connected } = newPeer();
  const sending = {};
  for (const kind of ["video", "audio"]) {
    const track = new MediaStreamTrack({ kind });
    const { sender } = peer.addTransceiver(track, { direction: "sendonly" });
    sending[kind] = { track, sender };
  }
  const headers = { Authorization: `Bearer ${token}` };
  const sdp = { ...headers, "Content-Type": "application/sdp" };
  const response = await fetch(url, { method: "POST", headers: sdp, body: await offered(peer) });
  const answer = await response.text();
  say({ status: response.status, answer });
  if (response.status !== 201) return;
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  await connected;
  const packetizers = { video: new H264Packetizer(), audio: new OpusPacketizer() };
  const send = (kind, data, seconds) => {
    const timestamp = Math.round(seconds * (kind === "video" ? 90000 : 48000));
    for (const packet of packetizers[kind].packetize(Buffer.from(data), timestamp)) sending[kind].track.writeRtp(packet);
  };
  const sent = await play(film, send, ended);
  const deleted = await fetch(new URL(response.headers.get("Location"), url), { method: "DELETE", headers });
  say({ sent, deleted: deleted.status });
  await peer.close();
}

async function watch(pictures, sounds) {
  const { peer } = newPeer();
  const takers = { video: new Pictures(createWriteStream(pictures)), audio: new Sounds(createWriteStream(sounds)) };
  peer.onTrack.subscribe((track) => track.onReceiveRtp.subscribe((packet) => takers[track.kind].take(packet.serialize())));
  for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
  say({ offer: await offered(peer) });
  await peer.setRemoteDescription({ type: "answer", sdp: JSON.parse(await firstLine).answer });
  await ended;
  await peer.close();
  for (const taker of Object.values(takers)) await taker.end();
  say({ lost: takers.video.lost + takers.audio.lost });
}

const { version } = JSON.parse(readFileSync(new URL("node_modules/werift/package.json", import.meta.url)));
say({ version: `werift ${version}` });
const [what, ...given] = process.argv.slice(2);
await { publish, watch }[what](...given);
process.exit(0);
