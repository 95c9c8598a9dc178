// What a test does inside a Chromium page: publish by WHIP, watch by WHEP, read the time code off the picture.
// Evaluates to nothing; defines globalThis.peers.
globalThis.peers = (() => {
  const all = new Map();
  const COLUMNS = 32, ROWS = 2, SYNC = [1, 0, 1, 0], LEAST_CONTRAST = 48;

  // CRC-16/CCITT-FALSE over the 44-bit time as 6 bytes, big-endian.
  function crc16(ms) {
    let crc = 0xffff;
    for (let shift = 40n; shift >= 0n; shift -= 8n) {
      crc ^= Number((ms >> shift) & 0xffn) << 8;
      for (let bit = 0; bit < 8; bit++) crc = ((crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff);
    }
    return crc;
  }

  // Milliseconds written in the top of a picture (RGBA bytes, width pixels wide), or null.
  function readCode(rgba, width) {
    const side = width / COLUMNS, inner = Math.max(1, Math.floor(side / 2));
    const levels = [];
    for (let index = 0; index < ROWS * COLUMNS; index++) {
      const row = Math.floor(index / COLUMNS), column = index % COLUMNS;
      const top = Math.floor((row + 0.25) * side), left = Math.floor((column + 0.25) * side);
      let sum = 0;
      for (let y = top; y < top + inner; y++) for (let x = left; x < left + inner; x++) sum += rgba[4 * (y * width + x) + 1];
      levels.push(sum / (inner * inner));
    }
    const white = (levels[0] + levels[2]) / 2, black = (levels[1] + levels[3]) / 2;
    if (white - black < LEAST_CONTRAST) return null;
    let word = 0n;
    for (const level of levels.slice(SYNC.length)) word = (word << 1n) | (level > (white + black) / 2 ? 1n : 0n);
    const ms = word >> 16n;
    return Number(word & 0xffffn) === crc16(ms) ? Number(ms) : null;
  }

  function codeOf(video, context) {
    const width = video.videoWidth, height = Math.ceil((2 * width) / COLUMNS);
    if (!width) return null;
    if (context.canvas.width !== width) Object.assign(context.canvas, { width, height });
    context.drawImage(video, 0, 0, width, height, 0, 0, width, height);
    return readCode(context.getImageData(0, 0, width, height).data, width);
  }

  function gathered(pc) {
    return new Promise((resolve) => {
      const done = () => pc.iceGatheringState === "complete" && resolve();
      pc.addEventListener("icegatheringstatechange", done);
      done();
    });
  }

  // Sends the offer; applies the answer, its candidate ports replaced as `ports` says ({"from": to}).
  async function exchange(pc, { url, token, headers = {}, ports = {}, waitForCandidates = false }) {
    await pc.setLocalDescription();
    if (waitForCandidates) await gathered(pc);
    const sent = { "Content-Type": "application/sdp", ...headers };
    if (token) sent.Authorization = `Bearer ${token}`;
    const response = await fetch(url, { method: "POST", headers: sent, body: pc.localDescription.sdp });
    const text = await response.text();
    const result = {
      status: response.status,
      location: response.headers.get("Location"),
      etag: response.headers.get("ETag"),
      retryAfter: response.headers.get("Retry-After"),
      body: text,
    };
    if (response.status !== 201) return result;
    let sdp = text;
    for (const [from, to] of Object.entries(ports)) sdp = sdp.replaceAll(` ${from} typ host`, ` ${to} typ host`);
    await pc.setRemoteDescription({ type: "answer", sdp });
    return result;
  }

  function remember(name, pc, extra) {
    const peer = { pc, codes: [], states: [], closed: false, ...extra };
    pc.addEventListener("connectionstatechange", () => peer.states.push(pc.connectionState));
    all.set(name, peer);
    return peer;
  }

  function preferH264(transceiver) {
    const codecs = RTCRtpReceiver.getCapabilities("video").codecs;
    transceiver.setCodecPreferences(codecs.filter((codec) => /H264|rtx/.test(codec.mimeType)));
  }

  async function publish(name, options) {
    const { width = 640, height = 360, fps = 20, audio = true } = options;
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate: fps }, audio });
    const pc = new RTCPeerConnection();
    const peer = remember(name, pc, { stream });
    for (const track of stream.getTracks()) {
      const transceiver = pc.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings: track.kind === "video" ? options.encodings : undefined });
      if (track.kind === "video") preferH264(transceiver);
    }
    return finish(peer, await exchange(pc, options), options);
  }

  async function watch(name, options) {
    const pc = new RTCPeerConnection();
    const video = document.createElement("video");
    Object.assign(video, { muted: true, autoplay: true, playsInline: true });
    video.style.width = "160px"; // painting large pictures without a graphics card costs more than decoding them
    document.body.append(video);
    const stream = new MediaStream();
    video.srcObject = stream;
    const peer = remember(name, pc, { video, stream });
    pc.ontrack = ({ track }) => stream.addTrack(track);
    for (let slot = 0; slot < (options.slots ?? 1); slot++) pc.addTransceiver("video", { direction: "recvonly" });
    if (options.audio ?? true) pc.addTransceiver("audio", { direction: "recvonly" });
    const result = await exchange(pc, options);
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const onFrame = (now, frame) => {
      if (peer.closed) return;
      peer.codes.push({ code: codeOf(video, context), at: performance.timeOrigin + frame.expectedDisplayTime });
      if (peer.codes.length > 5000) peer.codes.shift();
      video.requestVideoFrameCallback(onFrame);
    };
    if (options.codes ?? true) video.requestVideoFrameCallback(onFrame);
    return finish(peer, result, options);
  }

  function finish(peer, result, { url }) {
    peer.resource = result.location ? new URL(result.location, new URL(url, location.href)).href : null;
    return result;
  }

  // Everything of getStats as a list of plain objects.
  async function stats(name) {
    return [...(await all.get(name).pc.getStats()).values()].map((report) => ({ ...report }));
  }

  async function close(name, { token, headers = {} } = {}) {
    const peer = all.get(name);
    all.delete(name);
    peer.closed = true;
    let status = null;
    if (peer.resource) {
      if (token) headers.Authorization = `Bearer ${token}`;
      status = (await fetch(peer.resource, { method: "DELETE", headers })).status;
    }
    peer.pc.close();
    peer.stream?.getTracks().forEach((track) => track.stop());
    peer.video?.remove();
    return status;
  }

  const state = (name) => all.get(name).pc.connectionState;
  const codes = (name) => all.get(name).codes.splice(0);
  return { publish, watch, stats, close, state, codes, readCode };
})();
