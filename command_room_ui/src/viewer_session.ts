/**
 * One viewer session on one worker (WHEP): sixteen pictures and one sound, receive only, offered by HTTP and kept open.
 *
 * Owns: the peer connection, its tracks by slot, its statistics, and opening it again after a failure.  Must never know:
 * cameras, tiles, the live socket.  The relay is ICE-lite and answers with all its candidates, so no candidate is gathered or
 * trickled.
 */

import type { Answer, Failure, ViewerSessionAnswer } from "./api";
import { Backoff } from "./backoff";
import type { Problem } from "./problem";
import { SLOTS } from "./slots";

export type ViewerSessionState = "idle" | "opening" | "connecting" | "up" | "interrupted" | "down" | "refused";

/** The part of `Api` that a viewer session needs. */
export interface ViewerSessionApi {
  openViewerSession(worker: number, offer: string): Promise<Answer<ViewerSessionAnswer>>;
  closeViewerSession(location: string): Promise<void>;
}

/** The public part of a viewer session; a test may stand in for it. */
export type ViewerSessionHandle = Pick<
  ViewerSession,
  | "worker"
  | "state"
  | "refusal"
  | "secret"
  | "generation"
  | "roundTripMs"
  | "stats"
  | "mediaUp"
  | "audio"
  | "stream"
  | "start"
  | "reopen"
  | "renew"
  | "close"
  | "poll"
>;

export interface SlotStats {
  readonly framesDecoded: number;
  readonly freezeCount: number;
  readonly freezeSeconds: number;
  readonly framesDropped: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly kbps: number;
  readonly loss: number;
  readonly width: number;
  readonly height: number;
}

/** How long an interrupted connection may take to recover by itself before it is opened anew. */
const INTERRUPTED_FOR_MS = 1000;
const CONNECT_WITHIN_MS = 5000;
/** HTTP statuses after which the same offer would be refused again: unreadable, no codec of the relay, too long. */
const REFUSED_FOR_GOOD: ReadonlySet<number> = new Set([400, 406, 413]);

export class ViewerSession {
  state: ViewerSessionState = "idle";
  /**
   * The name of this viewer session in `/live` messages (`wall`); null while there is none.  Whoever knows it may control it.
   */
  secret: string | null = null;
  /** How often it was opened.  A new number means that every slot is empty again. */
  generation = 0;
  roundTripMs: number | null = null;
  /** Why the relay refused the offer for good.  Only `renew` makes the offer again. */
  refusal: Problem | null = null;
  readonly stats = new Map<number, SlotStats>();
  #peer: RTCPeerConnection | null = null;
  #location: string | null = null;
  #streams: (MediaStream | null)[] = [];
  #audio: MediaStream | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  readonly #backoff = new Backoff(200, 3000);

  constructor(
    readonly worker: number,
    private readonly api: ViewerSessionApi,
    private readonly changed: () => void,
  ) {}

  /** Return the stream of a slot: one video track. */
  stream(slot: number): MediaStream | null {
    return this.#streams[slot] ?? null;
  }

  get audio(): MediaStream | null {
    return this.#audio;
  }

  get mediaUp(): boolean {
    return this.state === "up";
  }

  start(): void {
    if (this.state === "idle") void this.#open();
  }

  /** Open anew after a back-off: the relay no longer knows this viewer session, or the connection failed. */
  reopen(): void {
    if (this.#closed || this.state === "opening") return;
    this.#tearDown();
    this.#setState("down");
    this.#retryIn(this.#backoff.next());
  }

  /** Open anew at once: the worker was restarted, and the worker before may never answer an offer under way. */
  renew(): void {
    if (this.#closed) return;
    this.#backoff.reset();
    this.#tearDown();
    void this.#open();
  }

  close(): void {
    this.#closed = true;
    this.#tearDown();
    this.#setState("idle");
  }

  async #open(): Promise<void> {
    this.refusal = null;
    this.#setState("opening");
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#peer = peer;
    this.#streams = addReceivers(peer);
    this.#audio = this.#streams.pop() ?? null;
    peer.onconnectionstatechange = () => this.#onState(peer);
    const answered = await this.#negotiate(peer);
    if (peer !== this.#peer) {
      peer.close();
      return;
    }
    if (!answered) {
      this.#tearDown();
      this.#setState(this.refusal === null ? "down" : "refused");
      if (this.refusal === null) this.#retryIn(this.#backoff.next());
      return;
    }
    this.generation += 1;
    if (this.state === "opening") this.#setState("connecting");
    this.#retryIn(CONNECT_WITHIN_MS);
  }

  /** Exchange offer and answer.  Return whether the relay accepted. */
  async #negotiate(peer: RTCPeerConnection): Promise<boolean> {
    try {
      await peer.setLocalDescription(await peer.createOffer());
      const answer = await this.api.openViewerSession(this.worker, peer.localDescription?.sdp ?? "");
      if (answer.kind !== "ok") {
        if (peer === this.#peer) this.refusal = refusedForGood(answer);
        return false;
      }
      if (peer !== this.#peer) {
        void this.api.closeViewerSession(answer.value.location);
        return true;
      }
      this.#location = answer.value.location;
      this.secret = answer.value.secret;
      await peer.setRemoteDescription({ type: "answer", sdp: answer.value.sdp });
      return true;
    } catch {
      // The peer was closed meanwhile, or the answer is no SDP: try again in both cases.
      return false;
    }
  }

  #onState(peer: RTCPeerConnection): void {
    if (peer !== this.#peer) return;
    const state = peer.connectionState;
    if (state === "connected") {
      clearTimeout(this.#timer);
      this.#backoff.reset();
      this.#setState("up");
    } else if (state === "disconnected") {
      this.#setState("interrupted");
      this.#retryIn(INTERRUPTED_FOR_MS);
    } else if (state === "failed" || state === "closed") {
      this.reopen();
    }
  }

  /** Open anew after `wait` milliseconds unless the connection is up by then. */
  #retryIn(wait: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#closed || this.state === "up") return;
      this.#tearDown();
      void this.#open();
    }, wait);
  }

  #tearDown(): void {
    clearTimeout(this.#timer);
    const peer = this.#peer;
    this.#peer = null;
    peer?.close();
    if (this.#location !== null) void this.api.closeViewerSession(this.#location);
    this.#location = null;
    this.secret = null;
    this.stats.clear();
    this.roundTripMs = null;
  }

  #setState(state: ViewerSessionState): void {
    if (state === this.state) return;
    this.state = state;
    this.changed();
  }

  /** Read the browser's statistics.  Call it about once a second. */
  async poll(): Promise<void> {
    const peer = this.#peer;
    if (peer === null || this.state === "idle") return;
    const report = await peer.getStats();
    if (peer !== this.#peer) return;
    for (const item of report.values()) this.#takeStat(item as Record<string, unknown>);
  }

  readonly #before = new Map<number, { at: number; bytes: number; received: number; lost: number }>();

  #takeStat(item: Record<string, unknown>): void {
    if (item.type === "candidate-pair" && item.nominated === true) {
      const trip = numeric(item.currentRoundTripTime);
      if (trip !== null) this.roundTripMs = trip * 1000;
    }
    if (item.type !== "inbound-rtp" || item.kind !== "video") return;
    const slot = this.#slotOf(item.mid);
    if (slot !== null) this.stats.set(slot, this.#slotStats(slot, item));
  }

  #slotOf(mid: unknown): number | null {
    const index = this.#peer?.getTransceivers().findIndex((transceiver) => transceiver.mid === mid) ?? -1;
    return index >= 0 && index < SLOTS ? index : null;
  }

  #slotStats(slot: number, item: Record<string, unknown>): SlotStats {
    const value = (key: string): number => numeric(item[key]) ?? 0;
    const now = {
      at: value("timestamp"),
      bytes: value("bytesReceived"),
      received: value("packetsReceived"),
      lost: value("packetsLost"),
    };
    const before = this.#before.get(slot) ?? now;
    this.#before.set(slot, now);
    const received = now.received - before.received;
    const lost = Math.max(0, now.lost - before.lost);
    const elapsed = now.at - before.at;
    return {
      framesDecoded: value("framesDecoded"),
      freezeCount: value("freezeCount"),
      freezeSeconds: value("totalFreezesDuration"),
      framesDropped: value("framesDropped"),
      packetsReceived: now.received,
      packetsLost: now.lost,
      kbps: elapsed > 0 ? ((now.bytes - before.bytes) * 8) / elapsed : 0,
      loss: received + lost > 0 ? lost / (received + lost) : 0,
      width: value("frameWidth"),
      height: value("frameHeight"),
    };
  }
}

/** Add the m-lines that the relay expects: sixteen pictures, then one sound.  Return their streams in this order. */
function addReceivers(peer: RTCPeerConnection): MediaStream[] {
  const streams: MediaStream[] = [];
  for (let slot = 0; slot <= SLOTS; slot += 1) {
    const kind = slot < SLOTS ? "video" : "audio";
    const transceiver = peer.addTransceiver(kind, { direction: "recvonly" });
    const codecs = wantedCodecs(kind, RTCRtpReceiver.getCapabilities(kind)?.codecs ?? []);
    if (codecs.length > 0) transceiver.setCodecPreferences(codecs);
    streams.push(new MediaStream([transceiver.receiver.track]));
  }
  return streams;
}

/**
 * Return the codecs to offer.  The relay forwards H.264 and Opus only, and fragments pictures over packets (packetization mode
 * 1, RFC 6184 §6.3).  Other codecs and repeated profiles would be repeated in sixteen m-lines for nothing, and the length of an
 * offer is limited.
 */
export function wantedCodecs(kind: "video" | "audio", all: readonly RTCRtpCodec[]): RTCRtpCodec[] {
  if (kind === "audio") return all.filter((codec) => /^audio\/opus$/i.test(codec.mimeType));
  const useful = all.filter((codec) => /^video\/(h264|rtx)$/i.test(codec.mimeType));
  const seen = new Set<string>();
  const chosen = useful.filter((codec) => {
    const profile = profileOf(codec);
    if (profile === null || seen.has(profile)) return false;
    seen.add(profile);
    return true;
  });
  return chosen.some((codec) => /h264/i.test(codec.mimeType)) ? chosen : useful;
}

/**
 * Return the key by which codecs are compared: `rtx`, or the H.264 profile without its level; null for packetization modes
 * other than 1.
 */
function profileOf(codec: RTCRtpCodec): string | null {
  if (!/h264/i.test(codec.mimeType)) return codec.mimeType.toLowerCase();
  const parameters = codec.sdpFmtpLine ?? "";
  if (!/packetization-mode=1\b/i.test(parameters)) return null;
  return /profile-level-id=([0-9a-f]{4})/i.exec(parameters)?.[1]?.toLowerCase() ?? "";
}

/** Return why the same offer would be refused again; null where a new attempt makes sense. */
function refusedForGood(failure: Failure): Problem | null {
  if (failure.kind !== "refused" || !REFUSED_FOR_GOOD.has(failure.status)) return null;
  return { code: failure.code, detail: failure.detail || `HTTP ${failure.status}`, facts: failure.facts };
}

function numeric(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
