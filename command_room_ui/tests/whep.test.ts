import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Answer, WallAnswer } from "../src/api";
import { WallLink } from "../src/whep";

/** A peer connection that does as it is told; the newest one is `Peer.last`. */
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

/** The relay's door: answers as the test says. */
class Door {
  offers = 0;
  closed: string[] = [];
  answer: () => Promise<Answer<WallAnswer>> = () => Promise.resolve(accepted(this.offers));

  openWall(): Promise<Answer<WallAnswer>> {
    this.offers += 1;
    return this.answer();
  }

  closeWall(location: string): Promise<void> {
    this.closed.push(location);
    return Promise.resolve();
  }
}

const accepted = (n: number): Answer<WallAnswer> => ({
  kind: "ok",
  value: { sdp: "answer", location: `/wall/${n}`, secret: `wall${n}` },
});

let door: Door;
let link: WallLink;

/** Let promises that are already kept be acted upon. */
const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("RTCPeerConnection", Peer);
  vi.stubGlobal("RTCRtpReceiver", { getCapabilities: () => ({ codecs: [] }) });
  vi.stubGlobal("MediaStream", class {});
  Peer.made = 0;
  door = new Door();
  link = new WallLink(0, door, () => undefined);
});

afterEach(() => {
  link.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a session that is renewed", () => {
  it("is opened anew without a pause, and the old one is closed", async () => {
    link.start();
    await settle();
    const before = Peer.last;
    before.become("connected");
    link.renew();
    await settle();
    expect(door.offers).toBe(2);
    expect(before.closed).toBe(true);
    expect(door.closed).toEqual(["/wall/1"]);
    expect(link).toMatchObject({ secret: "wall2", generation: 2, state: "connecting" });
  });

  it("gives up an attempt under way that the worker may never answer", async () => {
    door.answer = () => new Promise(() => undefined);
    link.start();
    await settle();
    door.answer = () => Promise.resolve(accepted(2));
    link.renew();
    await settle();
    expect(link).toMatchObject({ secret: "wall2", state: "connecting" });
  });

  it("stays closed once the page has left", async () => {
    link.start();
    await settle();
    link.close();
    link.renew();
    await settle();
    expect(door.offers).toBe(1);
  });
});
