import { beforeEach, describe, expect, it } from "vitest";
import { ServerClock } from "../src/delay";
import type { FromPage } from "../src/generated/live";
import * as layout from "../src/layout";
import { EMPTY_LIVE_STATE, type LiveMessage, type LiveState, reduce } from "../src/live_state";
import type { Leg } from "../src/model";
import type { ViewerSessionHandle } from "../src/viewer_session";
import { Wall } from "../src/wall";
import { camera } from "./support";

type Sent = Readonly<Record<string, unknown>>;

/** A wall whose live socket and viewer sessions are played by the test. */
class Harness {
  now = 1000;
  sent: Sent[] = [];
  state: LiveState = EMPTY_LIVE_STATE;
  reopened = 0;
  renewed = 0;
  readonly socket = {
    state: "open" as "open" | "closed" | "connecting",
    clock: new ServerClock(),
    send: (message: FromPage): boolean => this.socket.state === "open" && this.sent.push({ ...message }) > 0,
  };
  readonly viewerSessions = new Map<number, { -readonly [K in keyof ViewerSessionHandle]: ViewerSessionHandle[K] }>();
  readonly wall = new Wall(
    { openViewerSession: () => Promise.reject(new Error("no")), closeViewerSession: () => Promise.resolve() },
    this.socket,
    () => this.state,
    () => this.now,
    (worker) => this.#viewerSession(worker),
  );

  #viewerSession(worker: number): ViewerSessionHandle {
    const viewerSession = {
      worker,
      state: "up" as const,
      refusal: null,
      secret: `wall${worker}`,
      generation: 1,
      roundTripMs: 10,
      stats: new Map(),
      mediaUp: true,
      audio: null,
      stream: () => null,
      start: () => undefined,
      reopen: () => {
        this.reopened += 1;
      },
      renew: () => {
        this.renewed += 1;
      },
      close: () => undefined,
      poll: () => Promise.resolve(),
    };
    this.viewerSessions.set(worker, viewerSession);
    return viewerSession;
  }

  receive(message: LiveMessage): void {
    this.state = reduce(this.state, message, this.now);
    this.wall.take(message);
  }

  /** The messages sent since the last call, without the name of the viewer session. */
  takeSent(): Sent[] {
    return this.sent.splice(0).map(({ wall: _wall, ...rest }) => rest);
  }

  assign(slot: number, name: string | null, view = `view-${name}`, worker = 0): void {
    this.receive({ t: "assigned", worker, slot, camera: name, view });
  }

  place(name: string, tile: number): void {
    this.wall.arrange(layout.place(this.wall.layout, name, tile));
  }

  kind(tile: number): string | undefined {
    return this.wall.tiles()[tile]?.liveness.kind;
  }
}

const assign = (slot: number, name: string | null, more: Sent = {}): Sent => ({
  t: "assign",
  worker: 0,
  slot,
  camera: name,
  intervention: "i",
  layer: "high",
  ...more,
});

let harness: Harness;

beforeEach(() => {
  harness = new Harness();
  harness.receive({ t: "hello", workers: [0], serverMs: null });
  harness.receive({
    t: "cameras",
    cameras: [camera("a"), camera("b"), camera("far", { worker: 1 }), camera("idle", { state: "idle", worker: null })],
  });
  harness.wall.setIntervention("i");
});

describe("what is sent to the relay", () => {
  it("is nothing before an intervention was joined", () => {
    harness.wall.setIntervention(null);
    harness.place("a", 0);
    expect(harness.takeSent()).toEqual([]);
    harness.wall.setIntervention("i");
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
  });

  it("is each difference once", () => {
    harness.place("a", 0);
    harness.wall.refresh();
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
    harness.assign(0, "a");
    expect(harness.takeSent()).toEqual([]);
  });

  it("is a release when a tile is emptied, and when the intervention is left", () => {
    harness.place("a", 0);
    harness.place("b", 1);
    harness.takeSent();
    harness.wall.arrange(layout.clear(harness.wall.layout, 0));
    expect(harness.takeSent()).toEqual([assign(0, null)]);
    harness.wall.setIntervention(null);
    expect(harness.takeSent()).toEqual([assign(1, null, { intervention: null })]);
  });

  it("is everything again once the live socket is back", () => {
    harness.place("a", 0);
    harness.assign(0, "a");
    harness.socket.state = "closed";
    harness.place("b", 1);
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
    harness.socket.state = "open";
    harness.receive({ t: "hello", workers: [0], serverMs: null });
    expect(harness.takeSent()).toEqual([assign(0, "a"), assign(1, "b")]);
  });

  it("is everything again when the viewer session was opened anew", () => {
    harness.place("a", 0);
    harness.assign(0, "a");
    harness.takeSent();
    const viewerSession = harness.viewerSessions.get(0);
    if (viewerSession !== undefined) Object.assign(viewerSession, { secret: "wall0b", generation: 2 });
    harness.wall.refresh();
    expect(harness.sent[0]).toMatchObject({ wall: "wall0b", camera: "a" });
  });

  it("waits while a viewer session has no name", () => {
    const viewerSession = harness.viewerSessions.get(0);
    if (viewerSession !== undefined) viewerSession.secret = null;
    harness.place("a", 0);
    expect(harness.takeSent()).toEqual([]);
  });

  it("does not ask for a camera that is not on air, asks once it is, on its worker", () => {
    harness.place("idle", 0);
    expect(harness.takeSent()).toEqual([]);
    harness.receive({ t: "states", cameras: [camera("idle")] });
    expect(harness.takeSent()).toEqual([assign(0, "idle")]);
  });

  it("follows a camera to another worker", () => {
    harness.place("a", 0);
    harness.takeSent();
    harness.receive({ t: "hello", workers: [0, 1], serverMs: null });
    harness.takeSent();
    harness.receive({ t: "states", cameras: [camera("a", { worker: 1 })] });
    expect(harness.takeSent()).toEqual([assign(0, null), assign(0, "a", { worker: 1 })]);
  });

  it("asks for a layer when a tile changes size, not before its view runs", () => {
    harness.place("a", 0);
    harness.assign(0, "a");
    harness.takeSent();
    harness.wall.arrange(layout.resize(harness.wall.layout, 9));
    expect(harness.takeSent()).toEqual([{ t: "layer", slot: 0, layer: "low" }]);
  });
});

const NO = { code: "role_not_allowed", detail: "no", facts: {} };
const GONE = { code: "session_not_found", detail: "no such session", facts: {} };
const NOT_LIVE = { code: "camera_not_live", detail: "this camera is not live (LIV-02)", facts: { rule: "LIV-02" } };

describe("ends and refusals", () => {
  beforeEach(() => {
    harness.place("a", 0);
    harness.takeSent();
  });

  it("asks again soon after a view ended while its camera is on air", () => {
    harness.assign(0, "a", "v1");
    harness.receive({ t: "ended", worker: 0, slot: 0, view: "v1", reason: "lease" });
    expect(harness.takeSent()).toEqual([]);
    harness.now += 400;
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
  });

  it("ignores the end of a view that is not the current one", () => {
    harness.assign(0, "a", "v2");
    harness.receive({ t: "ended", worker: 0, slot: 0, view: "v1", reason: "" });
    harness.now += 5000;
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([]);
  });

  it("waits for a lost camera and asks when it is back", () => {
    harness.assign(0, "a", "v1");
    harness.receive({ t: "states", cameras: [camera("a", { state: "lost", worker: null })] });
    harness.receive({ t: "ended", worker: 0, slot: 0, view: "v1", reason: "lost" });
    harness.now += 10_000;
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([]);
    harness.receive({ t: "states", cameras: [camera("a")] });
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
  });

  it("shows a refusal and does not insist where only a person can change it", () => {
    harness.receive({ t: "refused", worker: 0, slot: 0, camera: "a", kind: "forbidden", ...NO });
    harness.now += 60_000;
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([]);
    expect(harness.kind(0)).toBe("refused");
    expect(harness.wall.tiles()[0]?.refusal).toEqual(NO);
    harness.wall.retry("a");
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
  });

  it("tries again by itself after a refusal that passes", () => {
    harness.receive({
      t: "refused",
      worker: 0,
      slot: 0,
      camera: "a",
      kind: "unavailable",
      code: "store_busy",
      detail: "busy",
      facts: {},
    });
    expect(harness.kind(0)).toBe("waiting");
    harness.now += 1000;
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([]);
    harness.now += 1100;
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
  });

  it("asks for a motive when the relay wants one", () => {
    let asked = 0;
    harness.wall.onMotiveNeeded = () => {
      asked += 1;
    };
    harness.receive({
      t: "refused",
      worker: 0,
      slot: 0,
      camera: "a",
      kind: "incomplete",
      code: "motive_required",
      detail: "",
      facts: {},
    });
    expect(asked).toBe(1);
  });

  it("opens a viewer session anew when the relay no longer knows it though the camera is there", () => {
    harness.receive({ t: "refused", worker: 0, slot: 0, camera: "a", kind: "not_found", ...GONE });
    expect(harness.reopened).toBe(1);
    expect(harness.kind(0)).toBe("waiting");
  });

  it("keeps the viewer session, and every other picture on it, when only the camera is no longer live", () => {
    harness.receive({ t: "refused", worker: 0, slot: 0, camera: "a", kind: "not_found", ...NOT_LIVE });
    expect(harness.reopened).toBe(0);
    expect(harness.wall.tiles()[0]).toMatchObject({
      liveness: { kind: "waiting" },
      refusal: NOT_LIVE,
    });
    harness.now += 2100;
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
  });

  it("is not confused by the refusal of a camera that was wanted before", () => {
    harness.place("b", 0);
    harness.receive({ t: "refused", worker: 0, slot: 0, camera: "a", kind: "forbidden", ...NO });
    expect(harness.kind(0)).toBe("waiting");
  });
});

describe("a worker that went down", () => {
  const frame = (received: number) => ({ at: received + 30, received, rtp: received * 90 });
  const down: LiveMessage = { t: "worker", worker: 0, up: false };
  const up: LiveMessage = { t: "worker", worker: 0, up: true };

  beforeEach(() => {
    harness.place("a", 0);
    harness.assign(0, "a");
    harness.now = 1100;
    harness.wall.presented("a", frame(1060));
    expect(harness.kind(0)).toBe("live");
    harness.receive(down);
  });

  it("has its tiles stand at once, with the age of the picture, and claims nothing of the recording", () => {
    expect(harness.wall.tiles()[0]).toMatchObject({ liveness: { kind: "frozen", cause: "worker", age: 0.01 }, fresh: false });
  });

  it("does not count as live again because of frames that were still on their way to the screen", () => {
    harness.now = 1150;
    harness.wall.presented("a", frame(1095));
    expect(harness.kind(0)).toBe("frozen");
  });

  it("leaves tiles without a picture waiting, and says why", () => {
    harness.place("b", 1);
    expect(harness.wall.tiles()[1]?.liveness).toMatchObject({ kind: "waiting", cause: "worker" });
  });

  it("leaves the tiles of other workers alone", () => {
    harness.receive({ t: "hello", workers: [0, 1], serverMs: null });
    harness.receive({ t: "states", cameras: [camera("far", { worker: 1 })] });
    harness.place("far", 1);
    harness.assign(0, "far", "view-far", 1);
    harness.now = 1200;
    harness.wall.presented("far", frame(1180));
    harness.receive(down);
    expect(harness.wall.tiles()[1]).toMatchObject({ liveness: { kind: "live" }, fresh: true });
  });

  it("gets its viewer session opened anew at once when it is back, and its pictures are live with their first new frame", () => {
    harness.takeSent();
    harness.receive(up);
    expect(harness.renewed).toBe(1);
    expect(harness.kind(0)).toBe("frozen");
    const viewerSession = harness.viewerSessions.get(0);
    if (viewerSession !== undefined) Object.assign(viewerSession, { secret: "wall0b", generation: 2 });
    harness.wall.refresh();
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
    harness.now = 1500;
    harness.assign(0, "a", "view-2");
    expect(harness.wall.tiles()[0]).toMatchObject({ liveness: { kind: "frozen" }, fresh: true });
    harness.now = 1600;
    harness.wall.presented("a", frame(1560));
    expect(harness.kind(0)).toBe("live");
  });

  it("is not opened twice when its viewer session was opened anew meanwhile", () => {
    const viewerSession = harness.viewerSessions.get(0);
    if (viewerSession !== undefined) Object.assign(viewerSession, { secret: "wall0b", generation: 2 });
    harness.receive(up);
    expect(harness.renewed).toBe(0);
  });

  it("is up for all that is known once the live socket begins anew", () => {
    harness.receive({ t: "hello", workers: [0], serverMs: null });
    expect(harness.wall.tiles()[0]?.liveness.cause).not.toBe("worker");
    harness.receive(up);
    expect(harness.renewed).toBe(0);
  });
});

describe("a worker that is reported up", () => {
  it("keeps a viewer session that runs: control was started again, the worker was not", () => {
    harness.receive({ t: "worker", worker: 0, up: true });
    expect(harness.renewed).toBe(0);
  });

  it.each(["interrupted", "down", "refused"] as const)("gets a viewer session that is %s opened anew at once", (state) => {
    const viewerSession = harness.viewerSessions.get(0);
    if (viewerSession !== undefined) viewerSession.state = state;
    harness.receive({ t: "worker", worker: 0, up: true });
    expect(harness.renewed).toBe(1);
  });
});

describe("a viewer session that the relay refuses", () => {
  beforeEach(() => {
    const viewerSession = harness.viewerSessions.get(0);
    if (viewerSession !== undefined)
      Object.assign(viewerSession, {
        state: "refused",
        mediaUp: false,
        secret: null,
        refusal: { code: "body_too_large", detail: "too long", facts: {} },
      });
    harness.place("a", 0);
  });

  it("is shown on its tiles", () => {
    expect(harness.wall.tiles()[0]?.liveness).toMatchObject({ kind: "waiting", cause: "media_refused" });
  });

  it("is offered again to a relay that was started again", () => {
    harness.receive({ t: "hello", workers: [0], serverMs: null });
    expect(harness.renewed).toBe(1);
  });
});

describe("sound", () => {
  it("is asked for once the view runs, moved, and ended", () => {
    harness.place("a", 0);
    harness.wall.arrange(layout.listen(harness.wall.layout, "a"));
    expect(harness.takeSent()).toEqual([assign(0, "a")]);
    harness.assign(0, "a");
    expect(harness.takeSent()).toEqual([{ t: "listen", slot: 0 }]);
    harness.wall.arrange(layout.listen(harness.wall.layout, "a"));
    expect(harness.takeSent()).toEqual([{ t: "listen", slot: null }]);
  });
});

describe("tiles", () => {
  const frame = (at: number) => ({ at, received: at - 30, rtp: 90_000 });

  it("are live with frames of their camera, frozen without, and forget at a switch", () => {
    harness.place("a", 0);
    expect(harness.kind(0)).toBe("waiting");
    harness.wall.presented("a", frame(1040));
    expect(harness.kind(0)).toBe("waiting");
    harness.assign(0, "a");
    harness.now = 1100;
    harness.wall.presented("a", frame(1100));
    expect(harness.kind(0)).toBe("live");
    harness.now = 3100;
    expect(harness.wall.tiles()[0]?.liveness).toEqual({ kind: "frozen", cause: "stalled", age: 2 });
    harness.place("b", 0);
    expect(harness.kind(0)).toBe("waiting");
  });

  it("keep the last picture of a camera that was lost, with its slot", () => {
    harness.place("a", 0);
    harness.assign(0, "a");
    harness.wall.presented("a", frame(1100));
    harness.receive({ t: "states", cameras: [camera("a", { state: "lost", worker: null })] });
    harness.now = 6100;
    expect(harness.wall.tiles()[0]).toMatchObject({ slot: 0, liveness: { kind: "frozen", cause: "camera_lost", age: 5 } });
  });

  it("show the age of the last state of the recording, and that it is unknown once no state arrives any more", () => {
    harness.place("a", 0);
    harness.receive({ t: "states", cameras: [camera("a", { sealed_age: 0.5 })] });
    harness.now += 3000;
    expect(harness.wall.tiles()[0]).toMatchObject({ fresh: true, sealedAge: 3.5 });
    harness.now += 3000;
    expect(harness.wall.tiles()[0]?.fresh).toBe(false);
    harness.receive({ t: "states", cameras: [camera("a", { sealed_age: 0.4 })] });
    expect(harness.wall.tiles()[0]).toMatchObject({ fresh: true, sealedAge: 0.4 });
    harness.socket.state = "closed";
    expect(harness.wall.tiles()[0]?.fresh).toBe(false);
  });

  it("show the end of a transmission from ten minutes before, by the relay's clock", () => {
    harness.place("a", 0);
    harness.socket.clock.sample(0, 10, 5_000_005);
    const ending = (seconds: number) => camera("a", { ends_ns: (5_000_000 + harness.now + seconds * 1000) * 1e6 });
    harness.receive({ t: "states", cameras: [ending(601)] });
    expect(harness.wall.tiles()[0]?.ending).toBeNull();
    harness.receive({ t: "states", cameras: [ending(599)] });
    expect(harness.wall.tiles()[0]?.ending).toEqual({ at: 5_000_000 + harness.now + 599_000, seconds: 599 });
    harness.now += 9000;
    expect(harness.wall.tiles()[0]?.ending?.seconds).toBe(590);
    harness.receive({ t: "states", cameras: [camera("a")] });
    expect(harness.wall.tiles()[0]?.ending).toBeNull();
  });

  it("show both delays once every part is known", () => {
    harness.place("a", 0);
    harness.assign(0, "a", "v");
    harness.socket.clock.sample(0, 10, 100_005);
    const leg: Leg = {
      view: "v",
      kbps: 1,
      loss: 0,
      rttMs: 20,
      layer: "high",
      limited: false,
      delayMs: 2,
      stamp: { ms: 101_000, rtp: 90_000 },
    };
    harness.receive({ t: "leg", leg });
    harness.receive({ t: "states", cameras: [camera("a", { uplink_ms: 15, clock_uncertainty_ms: 4 })] });
    harness.wall.presented("a", frame(1080));
    const view = harness.wall.tiles()[0];
    expect(view?.delayMs).toBe(2 + 10 + 30);
    expect(view?.endToEnd).toEqual({ ms: 80 + 15, uncertaintyMs: 5 + 4 });
  });
});
