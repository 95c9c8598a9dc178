// libdatachannel by its Node.js bindings, as camera and as viewer.
//
// node libdatachannel.mjs publish URL FILM: publishes as OBS Studio does, with libdatachannel's own packetizers, reports and answers to NACK;
//   begins once it is connected; answers no PLI.  The token is the first line of standard input; when that ends, DELETE.
//   With --closes-first it closes its peer before, as most browsers' libraries do.
// node libdatachannel.mjs watch PICTURES SOUND: prints its offer, reads the answer (a line of JSON each); writes what comes until its
//   standard input ends.
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { Pictures, Sounds } from "./depacketize.mjs";
import { play } from "./film.mjs";

const [VIDEO, AUDIO] = [96, 111];
const { default: rtc } = await import("node-datachannel").catch((error) => {
  console.error(`node-datachannel is not installed; scripts/test installs it: ${error.message}`);
  process.exit(1);
});
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const lines = createInterface({ input: process.stdin });
const ended = new Promise((resolve) => lines.once("close", resolve));
const firstLine = new Promise((resolve) => lines.once("line", resolve));

function newPeer() {
  const peer = new rtc.PeerConnection("client", { iceServers: [], bindAddress: "127.0.0.1", disableAutoNegotiation: true });
  const connected = new Promise((resolve) => {
    peer.onStateChange((state) => {
      say({ state });
      if (state === "connected") resolve();
    });
  });
  return { peer, connected };
}

function offered(peer) {
  return new Promise((resolve) => {
    peer.onGatheringStateChange((state) => state === "complete" && resolve(peer.localDescription().sdp));
    peer.setLocalDescription("offer");
  });
}

function sender(peer, media, packetizer, config) {
  const track = peer.addTrack(media);
  packetizer.addToChain(new rtc.RtcpSrReporter(config));
  packetizer.addToChain(new rtc.RtcpNackResponder());
  track.setMediaHandler(packetizer);
  const start = Math.floor(Math.random() * 2 ** 32);
  return (data, seconds) => {
    config.timestamp = (start + Math.round(seconds * config.clockRate)) >>> 0;
    track.sendMessageBinary(data);
  };
}

async function publish(url, film) {
  const token = await firstLine;
  const { peer, connected } = newPeer();
  const audio = new rtc.Audio("0", "SendOnly");
  audio.addOpusCodec(AUDIO);
  audio.addSSRC(1001, "obs", "stream", "stream-audio");
  const video = new rtc.Video("1", "SendOnly");
  video.addH264Codec(VIDEO);
  video.addSSRC(1002, "obs", "stream", "stream-video");
  const sound = new rtc.RtpPacketizationConfig(1001, "obs", AUDIO, 48000);
  const picture = new rtc.RtpPacketizationConfig(1002, "obs", VIDEO, 90000);
  const send = {
    audio: sender(peer, audio, new rtc.RtpPacketizer(sound), sound),
    video: sender(peer, video, new rtc.H264RtpPacketizer("StartSequence", picture, 1200), picture),
  };
  const headers = { Authorization: `Bearer ${token}` };
  const sdp = { ...headers, "Content-Type": "application/sdp" };
  const response = await fetch(url, { method: "POST", headers: sdp, body: await offered(peer) });
  const answer = await response.text();
  say({ status: response.status, answer });
  if (response.status !== 201) return;
  peer.setRemoteDescription(answer, "answer");
  await connected;
  const sent = await play(film, (kind, data, seconds) => send[kind](data, seconds), ended);
  if (habits.has("--closes-first")) {
    peer.close();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const deleted = await fetch(new URL(response.headers.get("Location"), url), { method: "DELETE", headers });
  say({ sent, deleted: deleted.status });
  if (!habits.has("--closes-first")) peer.close();
}

async function watch(pictures, sounds) {
  const { peer } = newPeer();
  const takers = { video: new Pictures(createWriteStream(pictures)), audio: new Sounds(createWriteStream(sounds)) };
  const tracks = [];
  const video = new rtc.Video("0", "RecvOnly");
  video.addH264Codec(VIDEO);
  const audio = new rtc.Audio("1", "RecvOnly");
  audio.addOpusCodec(AUDIO);
  for (const [kind, media] of [["video", video], ["audio", audio]]) {
    const track = peer.addTrack(media);
    track.setMediaHandler(new rtc.RtcpReceivingSession());
    track.onMessage((packet) => takers[kind].take(packet));
    tracks.push(track); // its callbacks end with it
  }
  say({ offer: await offered(peer) });
  peer.setRemoteDescription(JSON.parse(await firstLine).answer, "answer");
  await ended;
  peer.close();
  for (const taker of Object.values(takers)) await taker.end();
  say({ lost: takers.video.lost + takers.audio.lost });
}

say({ version: `libdatachannel ${rtc.getLibraryVersion()}` });
const habits = new Set(process.argv.slice(2).filter((argument) => argument.startsWith("--")));
const [what, ...given] = process.argv.slice(2).filter((argument) => !habits.has(argument));
await { publish, watch }[what](...given);
rtc.cleanup();
process.exit(0);
