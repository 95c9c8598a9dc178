import { beforeEach, describe, expect, it } from "vitest";
import { ServerClock } from "../src/delay";
import type { FromPage } from "../src/generated/live";
import * as layout from "../src/layout";
import { type LiveMessage, type LiveState, NOTHING_KNOWN, reduce } from "../src/live_state";
import type { Leg } from "../src/model";
import { type Link, Wall } from "../src/wall";
import { camera } from "./support";

type Sent = Readonly<Record<string, unknown>>;

/** A post with its wall, whose socket and links are played by the test. */
class Post {
  now = 1000;
  sent: Sent[] = [];
  state: LiveState = NOTHING_KNOWN;
  reopened = 0;
  renewed = 0;
  readonly socket = {
    state: "open" as "open" | "closed" | "connecting",
    clock: new ServerClock(),
    send: (message: FromPage): boolean => this.socket.state === "open" && this.sent.push({ ...message }) > 0,
  };
  readonly links = new Map<number, { -readonly [K in keyof Link]: Link[K] }>();
  readonly wall = new Wall(
    { openWall: () => Promise.reject(new Error("no")), closeWall: () => Promise.resolve() },
    this.socket,
    () => this.state,
    () => this.now,
    (worker) => this.#link(worker),
  );

  #link(worker: number): Link {
    const link = {
      worker,
      state: "up" as const,
      refusal: null,
      secret: `wall${worker}`,
      generation: 1,
      tripMs: 10,
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
    this.links.set(worker, link);
    return link;
  }

  tell(message: LiveMessage): void {
    this.state = reduce(this.state, message, this.now);
    this.wall.take(message);
  }

  /** What was said since the last time, without the parts that never change. */
  said(): Sent[] {
    return this.sent.splice(0).map(({ wall: _wall, ...rest }) => rest);
  }

  assign(slot: number, name: string | null, view = `view-${name}`, worker = 0): void {
    this.tell({ t: "assigned", worker, slot, camera: name, view });
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

let post: Post;

beforeEach(() => {
  post = new Post();
  post.tell({ t: "hello", workers: [0], serverMs: null });
  post.tell({
    t: "cameras",
    cameras: [camera("a"), camera("b"), camera("far", { worker: 1 }), camera("idle", { state: "idle", worker: null })],
  });
  post.wall.setIntervention("i");
});

describe("what is said to the relay", () => {
  it("is nothing before an intervention was joined", () => {
    post.wall.setIntervention(null);
    post.place("a", 0);
    expect(post.said()).toEqual([]);
    post.wall.setIntervention("i");
    expect(post.said()).toEqual([assign(0, "a")]);
  });

  it("is each difference once", () => {
    post.place("a", 0);
    post.wall.refresh();
    post.wall.refresh();
    expect(post.said()).toEqual([assign(0, "a")]);
    post.assign(0, "a");
    expect(post.said()).toEqual([]);
  });

  it("is a release when a tile is emptied, and when the intervention is left", () => {
    post.place("a", 0);
    post.place("b", 1);
    post.said();
    post.wall.arrange(layout.clear(post.wall.layout, 0));
    expect(post.said()).toEqual([assign(0, null)]);
    post.wall.setIntervention(null);
    expect(post.said()).toEqual([assign(1, null, { intervention: null })]);
  });

  it("is everything again once the live socket is back", () => {
    post.place("a", 0);
    post.assign(0, "a");
    post.socket.state = "closed";
    post.place("b", 1);
    expect(post.said()).toEqual([assign(0, "a")]);
    post.socket.state = "open";
    post.tell({ t: "hello", workers: [0], serverMs: null });
    expect(post.said()).toEqual([assign(0, "a"), assign(1, "b")]);
  });

  it("is everything again when the link was opened anew", () => {
    post.place("a", 0);
    post.assign(0, "a");
    post.said();
    const link = post.links.get(0);
    if (link !== undefined) Object.assign(link, { secret: "wall0b", generation: 2 });
    post.wall.refresh();
    expect(post.sent[0]).toMatchObject({ wall: "wall0b", camera: "a" });
  });

  it("waits while a link has no name", () => {
    const link = post.links.get(0);
    if (link !== undefined) link.secret = null;
    post.place("a", 0);
    expect(post.said()).toEqual([]);
  });

  it("does not ask for a camera that is not on air, asks once it is, on its worker", () => {
    post.place("idle", 0);
    expect(post.said()).toEqual([]);
    post.tell({ t: "camera", camera: camera("idle") });
    expect(post.said()).toEqual([assign(0, "idle")]);
  });

  it("follows a camera to another worker", () => {
    post.place("a", 0);
    post.said();
    post.tell({ t: "hello", workers: [0, 1], serverMs: null });
    post.said();
    post.tell({ t: "camera", camera: camera("a", { worker: 1 }) });
    expect(post.said()).toEqual([assign(0, null), assign(0, "a", { worker: 1 })]);
  });

  it("tells a layer when a tile changes size, not before its view runs", () => {
    post.place("a", 0);
    post.assign(0, "a");
    post.said();
    post.wall.arrange(layout.resize(post.wall.layout, 9));
    expect(post.said()).toEqual([{ t: "layer", slot: 0, layer: "low" }]);
  });
});

const NO = { code: "role_not_allowed", detail: "no", facts: {} };
const GONE = { code: "session_not_found", detail: "no such session", facts: {} };
const NOT_LIVE = { code: "camera_not_live", detail: "this camera is not live (LIV-02)", facts: { rule: "LIV-02" } };

describe("ends and refusals", () => {
  beforeEach(() => {
    post.place("a", 0);
    post.said();
  });

  it("asks again soon after a view ended while its camera is on air", () => {
    post.assign(0, "a", "v1");
    post.tell({ t: "ended", worker: 0, slot: 0, view: "v1", reason: "lease" });
    expect(post.said()).toEqual([]);
    post.now += 400;
    post.wall.refresh();
    expect(post.said()).toEqual([assign(0, "a")]);
  });

  it("ignores the end of a view that is not the current one", () => {
    post.assign(0, "a", "v2");
    post.tell({ t: "ended", worker: 0, slot: 0, view: "v1", reason: "" });
    post.now += 5000;
    post.wall.refresh();
    expect(post.said()).toEqual([]);
  });

  it("waits for a lost camera and asks when it is back", () => {
    post.assign(0, "a", "v1");
    post.tell({ t: "camera", camera: camera("a", { state: "lost", worker: null }) });
    post.tell({ t: "ended", worker: 0, slot: 0, view: "v1", reason: "lost" });
    post.now += 10_000;
    post.wall.refresh();
    expect(post.said()).toEqual([]);
    post.tell({ t: "camera", camera: camera("a") });
    expect(post.said()).toEqual([assign(0, "a")]);
  });

  it("shows a refusal and does not insist where only a person can change it", () => {
    post.tell({ t: "refused", worker: 0, slot: 0, camera: "a", kind: "forbidden", ...NO });
    post.now += 60_000;
    post.wall.refresh();
    expect(post.said()).toEqual([]);
    expect(post.kind(0)).toBe("refused");
    expect(post.wall.tiles()[0]?.refusal).toEqual(NO);
    post.wall.retry("a");
    expect(post.said()).toEqual([assign(0, "a")]);
  });

  it("tries again by itself after a refusal that passes", () => {
    post.tell({
      t: "refused",
      worker: 0,
      slot: 0,
      camera: "a",
      kind: "unavailable",
      code: "store_busy",
      detail: "busy",
      facts: {},
    });
    expect(post.kind(0)).toBe("waiting");
    post.now += 1000;
    post.wall.refresh();
    expect(post.said()).toEqual([]);
    post.now += 1100;
    post.wall.refresh();
    expect(post.said()).toEqual([assign(0, "a")]);
  });

  it("asks for a motive when the relay wants one", () => {
    let asked = 0;
    post.wall.onMotiveNeeded = () => {
      asked += 1;
    };
    post.tell({
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

  it("opens a link anew when the relay no longer knows it though the camera is there", () => {
    post.tell({ t: "refused", worker: 0, slot: 0, camera: "a", kind: "not_found", ...GONE });
    expect(post.reopened).toBe(1);
    expect(post.kind(0)).toBe("waiting");
  });

  it("keeps the link, and every other picture on it, when only the camera is no longer live", () => {
    post.tell({
      t: "refused",
      worker: 0,
      slot: 0,
      camera: "a",
      kind: "not_found",
      ...NOT_LIVE,
    });
    expect(post.reopened).toBe(0);
    expect(post.wall.tiles()[0]).toMatchObject({
      liveness: { kind: "waiting" },
      refusal: NOT_LIVE,
    });
    post.now += 2100;
    post.wall.refresh();
    expect(post.said()).toEqual([assign(0, "a")]);
  });

  it("is not confused by the refusal of a camera that was wanted before", () => {
    post.place("b", 0);
    post.tell({ t: "refused", worker: 0, slot: 0, camera: "a", kind: "forbidden", ...NO });
    expect(post.kind(0)).toBe("waiting");
  });
});

describe("a worker that went down", () => {
  const frame = (received: number) => ({ at: received + 30, received, rtp: received * 90 });
  const down: LiveMessage = { t: "worker", worker: 0, up: false };
  const up: LiveMessage = { t: "worker", worker: 0, up: true };

  beforeEach(() => {
    post.place("a", 0);
    post.assign(0, "a");
    post.now = 1100;
    post.wall.presented("a", frame(1060));
    expect(post.kind(0)).toBe("live");
    post.tell(down);
  });

  it("has its tiles stand at once, with the age of the picture, and claims nothing of the recording", () => {
    expect(post.wall.tiles()[0]).toMatchObject({ liveness: { kind: "frozen", cause: "worker", age: 0.01 }, fresh: false });
  });

  it("is not believed live again because of frames that were still on their way to the screen", () => {
    post.now = 1150;
    post.wall.presented("a", frame(1095));
    expect(post.kind(0)).toBe("frozen");
  });

  it("leaves tiles without a picture waiting, and says why", () => {
    post.place("b", 1);
    expect(post.wall.tiles()[1]?.liveness).toMatchObject({ kind: "waiting", cause: "worker" });
  });

  it("leaves the tiles of other workers alone", () => {
    post.tell({ t: "hello", workers: [0, 1], serverMs: null });
    post.tell({ t: "camera", camera: camera("far", { worker: 1 }) });
    post.place("far", 1);
    post.assign(0, "far", "view-far", 1);
    post.now = 1200;
    post.wall.presented("far", frame(1180));
    post.tell(down);
    expect(post.wall.tiles()[1]).toMatchObject({ liveness: { kind: "live" }, fresh: true });
  });

  it("gets its session opened anew at once when it is back, and its pictures are live with their first new frame", () => {
    post.said();
    post.tell(up);
    expect(post.renewed).toBe(1);
    expect(post.kind(0)).toBe("frozen");
    const link = post.links.get(0);
    if (link !== undefined) Object.assign(link, { secret: "wall0b", generation: 2 });
    post.wall.refresh();
    expect(post.said()).toEqual([assign(0, "a")]);
    post.now = 1500;
    post.assign(0, "a", "view-2");
    expect(post.wall.tiles()[0]).toMatchObject({ liveness: { kind: "frozen" }, fresh: true });
    post.now = 1600;
    post.wall.presented("a", frame(1560));
    expect(post.kind(0)).toBe("live");
  });

  it("is not opened twice when its session was opened anew meanwhile", () => {
    const link = post.links.get(0);
    if (link !== undefined) Object.assign(link, { secret: "wall0b", generation: 2 });
    post.tell(up);
    expect(post.renewed).toBe(0);
  });

  it("is up for all that is known once the live socket begins anew", () => {
    post.tell({ t: "hello", workers: [0], serverMs: null });
    expect(post.wall.tiles()[0]?.liveness.cause).not.toBe("worker");
    post.tell(up);
    expect(post.renewed).toBe(0);
  });
});

describe("a worker that is told to be up", () => {
  it("keeps a session that runs: control was started again, the worker was not", () => {
    post.tell({ t: "worker", worker: 0, up: true });
    expect(post.renewed).toBe(0);
  });

  it.each(["interrupted", "down", "refused"] as const)("gets a session that is %s opened anew at once", (state) => {
    const link = post.links.get(0);
    if (link !== undefined) link.state = state;
    post.tell({ t: "worker", worker: 0, up: true });
    expect(post.renewed).toBe(1);
  });
});

describe("a wall that the relay refuses", () => {
  beforeEach(() => {
    const link = post.links.get(0);
    if (link !== undefined)
      Object.assign(link, {
        state: "refused",
        mediaUp: false,
        secret: null,
        refusal: { code: "body_too_large", detail: "too long", facts: {} },
      });
    post.place("a", 0);
  });

  it("is said on its tiles", () => {
    expect(post.wall.tiles()[0]?.liveness).toMatchObject({ kind: "waiting", cause: "media_refused" });
  });

  it("is offered again to a relay that was started again", () => {
    post.tell({ t: "hello", workers: [0], serverMs: null });
    expect(post.renewed).toBe(1);
  });
});

describe("sound", () => {
  it("is asked for once the view runs, moved, and ended", () => {
    post.place("a", 0);
    post.wall.arrange(layout.listen(post.wall.layout, "a"));
    expect(post.said()).toEqual([assign(0, "a")]);
    post.assign(0, "a");
    expect(post.said()).toEqual([{ t: "listen", slot: 0 }]);
    post.wall.arrange(layout.listen(post.wall.layout, "a"));
    expect(post.said()).toEqual([{ t: "listen", slot: null }]);
  });
});

describe("tiles", () => {
  const frame = (at: number) => ({ at, received: at - 30, rtp: 90_000 });

  it("are live with frames of their camera, frozen without, and forget at a switch", () => {
    post.place("a", 0);
    expect(post.kind(0)).toBe("waiting");
    post.wall.presented("a", frame(1040));
    expect(post.kind(0)).toBe("waiting");
    post.assign(0, "a");
    post.now = 1100;
    post.wall.presented("a", frame(1100));
    expect(post.kind(0)).toBe("live");
    post.now = 3100;
    expect(post.wall.tiles()[0]?.liveness).toEqual({ kind: "frozen", cause: "stalled", age: 2 });
    post.place("b", 0);
    expect(post.kind(0)).toBe("waiting");
  });

  it("keep the last picture of a camera that was lost, with its slot", () => {
    post.place("a", 0);
    post.assign(0, "a");
    post.wall.presented("a", frame(1100));
    post.tell({ t: "camera", camera: camera("a", { state: "lost", worker: null }) });
    post.now = 6100;
    expect(post.wall.tiles()[0]).toMatchObject({ slot: 0, liveness: { kind: "frozen", cause: "camera_lost", age: 5 } });
  });

  it("age what was said of the recording, and take it for unknown when nothing more is heard", () => {
    post.place("a", 0);
    post.tell({ t: "camera", camera: camera("a", { sealed_age: 0.5 }) });
    post.now += 3000;
    expect(post.wall.tiles()[0]).toMatchObject({ fresh: true, sealedAge: 3.5 });
    post.now += 3000;
    expect(post.wall.tiles()[0]?.fresh).toBe(false);
    post.tell({ t: "camera", camera: camera("a", { sealed_age: 0.4 }) });
    expect(post.wall.tiles()[0]).toMatchObject({ fresh: true, sealedAge: 0.4 });
    post.socket.state = "closed";
    expect(post.wall.tiles()[0]?.fresh).toBe(false);
  });

  it("tell the end of a transmission from ten minutes before, by the relay's clock", () => {
    post.place("a", 0);
    post.socket.clock.sample(0, 10, 5_000_005);
    const ending = (seconds: number) => camera("a", { ends_ns: (5_000_000 + post.now + seconds * 1000) * 1e6 });
    post.tell({ t: "camera", camera: ending(601) });
    expect(post.wall.tiles()[0]?.ending).toBeNull();
    post.tell({ t: "camera", camera: ending(599) });
    expect(post.wall.tiles()[0]?.ending).toEqual({ at: 5_000_000 + post.now + 599_000, seconds: 599 });
    post.now += 9000;
    expect(post.wall.tiles()[0]?.ending?.seconds).toBe(590);
    post.tell({ t: "camera", camera: camera("a") });
    expect(post.wall.tiles()[0]?.ending).toBeNull();
  });

  it("tell both delays once every part is known", () => {
    post.place("a", 0);
    post.assign(0, "a", "v");
    post.socket.clock.sample(0, 10, 100_005);
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
    post.tell({ t: "leg", leg });
    post.tell({ t: "camera", camera: camera("a", { uplink_ms: 15, clock_uncertainty_ms: 4 }) });
    post.wall.presented("a", frame(1080));
    const view = post.wall.tiles()[0];
    expect(view?.delayMs).toBe(2 + 10 + 30);
    expect(view?.endToEnd).toEqual({ ms: 80 + 15, uncertaintyMs: 5 + 4 });
  });
});
