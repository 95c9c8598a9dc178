// WHIP and WHEP libraries for pages, behind one shape: publish(url, token, stream) and watch(url, token, video) resolve to
// { peer, stop }.  esbuild packs this file for Chromium.
import { WebRTCPlayer } from "@eyevinn/webrtc-player";
import { WHIPClient as EyevinnPublisher } from "@eyevinn/whip-web-client";
import { WHEPClient } from "whip-whep/whep.js";
import { WHIPClient } from "whip-whep/whip.js";

// Remembers the peers that a library makes for itself: it does not hand them out.
const made = [];
const Original = RTCPeerConnection;
globalThis.RTCPeerConnection = class extends Original {
  constructor(...given) {
    super(...given);
    made.push(this);
  }
};

globalThis.libraries = {
  "whip-whep": {
    async publish(url, token, stream) {
      const peer = new RTCPeerConnection();
      for (const track of stream.getTracks()) peer.addTransceiver(track, { direction: "sendonly", streams: [stream] });
      const client = new WHIPClient();
      await client.publish(peer, url, token);
      return { peer, stop: () => client.stop() };
    },
    async watch(url, token, video) {
      const peer = new RTCPeerConnection();
      for (const kind of ["audio", "video"]) peer.addTransceiver(kind, { direction: "recvonly" });
      const stream = new MediaStream();
      peer.ontrack = ({ track }) => stream.addTrack(track);
      video.srcObject = stream;
      const client = new WHEPClient();
      await client.view(peer, url, token);
      return { peer, stop: () => client.stop() };
    },
  },
  eyevinn: {
    async publish(url, token, stream) {
      const client = new EyevinnPublisher({ endpoint: url, opts: { authkey: token, iceServers: [] } });
      await client.ingest(stream);
      return { peer: made.at(-1), stop: () => client.destroy() };
    },
    async watch(url, token, video) {
      const player = new WebRTCPlayer({ video, type: "whep", iceServers: [] });
      await player.load(new URL(url), `Bearer ${token}`);
      return { peer: made.at(-1), stop: () => player.unload() };
    },
  },
};
