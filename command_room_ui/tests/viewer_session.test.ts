import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Answer, ViewerSessionAnswer } from "../src/api";
import { ViewerSession, wantedCodecs } from "../src/viewer_session";

/** A peer connection whose state the test sets; the newest one is `Peer.last`. */
class Peer {
  static last: Peer;
  static made = 0;
  connectionState = "new";
  localDescription: { sdp: string } | null = null;
  closed = false;
  preferred: RTCRtpCodec[][] = [];
  onconnectionstatechange: () => void = () => undefined;

  constructor() {
    Peer.last = this;
    Peer.made += 1;
  }

  addTransceiver(): unknown {
    return {
      receiver: { track: {} },
      setCodecPreferences: (codecs: RTCRtpCodec[]) => this.preferred.push(codecs),
    };
  }

  createOffer(): Promise<{ sdp: string }> {
    return Promise.resolve({ sdp: "offer" });
  }

  setLocalDescription(offer: { sdp: string }): Promise<void> {
    this.localDescription = offer;
    return Promise.resolve();
  }

  setRemoteDescription(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
  }

  become(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange();
  }
}

/** The relay's API with the answers of the test. */
class FakeApi {
  offers = 0;
  closed: string[] = [];
  answer: () => Promise<Answer<ViewerSessionAnswer>> = () => Promise.resolve(accepted(this.offers));

  openViewerSession(): Promise<Answer<ViewerSessionAnswer>> {
    this.offers += 1;
    return this.answer();
  }

  closeViewerSession(location: string): Promise<void> {
    this.closed.push(location);
    return Promise.resolve();
  }
}

const accepted = (n: number): Answer<ViewerSessionAnswer> => ({
  kind: "ok",
  value: { sdp: "answer", location: `/wall/${n}`, secret: `wall${n}` },
});

let api: FakeApi;
let session: ViewerSession;

/** Let promises that are already kept be acted upon. */
const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("RTCPeerConnection", Peer);
  vi.stubGlobal("RTCRtpReceiver", { getCapabilities: () => ({ codecs: [] }) });
  vi.stubGlobal("MediaStream", class {});
  Peer.made = 0;
  api = new FakeApi();
  session = new ViewerSession(0, api, () => undefined);
});

afterEach(() => {
  session.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a viewer session that is renewed", () => {
  it("is opened anew without a pause, and the old one is closed", async () => {
    session.start();
    await settle();
    const before = Peer.last;
    before.become("connected");
    session.renew();
    await settle();
    expect(api.offers).toBe(2);
    expect(before.closed).toBe(true);
    expect(api.closed).toEqual(["/wall/1"]);
    expect(session).toMatchObject({ secret: "wall2", generation: 2, state: "connecting" });
  });

  it("gives up an attempt under way that the worker may never answer", async () => {
    api.answer = () => new Promise(() => undefined);
    session.start();
    await settle();
    api.answer = () => Promise.resolve(accepted(2));
    session.renew();
    await settle();
    expect(session).toMatchObject({ secret: "wall2", state: "connecting" });
  });

  it("stays closed once the page has left", async () => {
    session.start();
    await settle();
    session.close();
    session.renew();
    await settle();
    expect(api.offers).toBe(1);
  });
});

describe("an offer that the relay refuses for good", () => {
  const refusing = (status: number, detail: string) => () =>
    Promise.resolve({
      kind: "refused",
      status,
      code: "body_too_large",
      detail,
      facts: { max: 65536 },
      retryAfter: null,
    } as const);

  it.each([400, 406, 413])("is not made again and again (%i), and says why", async (status) => {
    api.answer = refusing(status, "a body of this type is at most 65536 bytes");
    session.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(api.offers).toBe(1);
    expect(session).toMatchObject({ state: "refused", secret: null });
    expect(session.refusal).toEqual({
      code: "body_too_large",
      detail: "a body of this type is at most 65536 bytes",
      facts: { max: 65536 },
    });
  });

  it("is made again when there is a reason to: the relay or its worker were started again", async () => {
    api.answer = refusing(413, "");
    session.start();
    await settle();
    expect(session.refusal?.detail).toBe("HTTP 413");
    api.answer = () => Promise.resolve(accepted(2));
    session.renew();
    await settle();
    expect(session).toMatchObject({ state: "connecting", refusal: null });
  });

  it.each([404, 429, 503])("is not confused with one that may pass (%i)", async (status) => {
    api.answer = refusing(status, "busy");
    session.start();
    await vi.advanceTimersByTimeAsync(3000);
    expect(api.offers).toBeGreaterThan(1);
    expect(session.state).not.toBe("refused");
  });
});

describe("the offered codecs", () => {
  const h264 = (profile: string, mode: number): RTCRtpCodec => ({
    mimeType: "video/H264",
    clockRate: 90_000,
    sdpFmtpLine: `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${profile}`,
  });
  const plain = (mimeType: string): RTCRtpCodec => ({ mimeType, clockRate: 90_000 });
  const named = (codecs: readonly RTCRtpCodec[]): string[] =>
    codecs.map((codec) => /profile-level-id=(\w+)/.exec(codec.sdpFmtpLine ?? "")?.[1] ?? codec.mimeType);

  it("are each profile of H.264 once, in packetization mode 1, and what repeats lost packets", () => {
    const chromium = ["42001f", "42e01f", "4d001f", "f4001f", "64001f"].flatMap((profile) => [
      h264(profile, 1),
      h264(profile, 0),
    ]);
    const all = [
      plain("video/VP8"),
      plain("video/rtx"),
      ...chromium,
      h264("42e034", 1),
      plain("video/AV1"),
      plain("video/red"),
    ];
    expect(named(wantedCodecs("video", all))).toEqual(["video/rtx", "42001f", "42e01f", "4d001f", "f4001f", "64001f"]);
  });

  it("are all of H.264 where a browser names no packetization mode 1: better a long offer than none", () => {
    expect(named(wantedCodecs("video", [h264("42e01f", 0), plain("video/VP8")]))).toEqual(["42e01f"]);
  });

  it("are Opus for the sound", () => {
    expect(named(wantedCodecs("audio", [plain("audio/opus"), plain("audio/PCMU")]))).toEqual(["audio/opus"]);
  });
});
