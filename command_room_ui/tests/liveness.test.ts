import { describe, expect, it } from "vitest";
import {
  FREEZE_AFTER_KEY_MS,
  FREEZE_AFTER_MS,
  FrameWatch,
  freezeAfter,
  judge,
  type LivenessFacts,
  shownAt,
} from "../src/liveness";

const playing: LivenessFacts = {
  camera: "a",
  source: "live",
  refused: false,
  socketUp: true,
  mediaUp: true,
  workerDown: false,
  halted: false,
  mediaRefused: false,
  layer: "high",
  lastFrame: 10_000,
  interval: 33,
};

describe("when a frame counts as shown", () => {
  it("is never in the future, and not young because the browser held it back", () => {
    expect(shownAt(1000, null)).toBe(1000);
    expect(shownAt(1000, 900)).toBe(1000);
    expect(shownAt(21_000, 1000)).toBe(1500);
  });
});

describe("judging a tile", () => {
  it("says live only while frames are presented", () => {
    expect(judge(playing, 10_050).kind).toBe("live");
    expect(judge(playing, 10_000 + FREEZE_AFTER_MS - 1).kind).toBe("live");
    expect(judge(playing, 10_000 + FREEZE_AFTER_MS)).toEqual({ kind: "frozen", cause: "stalled", age: 1 });
  });

  it("calls a still picture frozen even if relay, connection and camera report it live", () => {
    for (const source of ["live", "connecting", "frozen", "lost", "ended", "offline", "idle"] as const) {
      for (const up of [true, false]) {
        expect(judge({ ...playing, source, socketUp: up, mediaUp: up }, 15_000).kind).toBe("frozen");
      }
    }
  });

  it("keeps counting the age of the last frame", () => {
    expect(judge(playing, 75_000).age).toBe(65);
  });

  it("stays live while frames come although the live socket is cut", () => {
    expect(judge({ ...playing, socketUp: false }, 10_100).kind).toBe("live");
  });

  it("calls a picture frozen at once when its view ended with its worker", () => {
    expect(judge({ ...playing, halted: true, workerDown: true }, 10_010)).toEqual({
      kind: "frozen",
      cause: "worker",
      age: 0.01,
    });
  });

  it.each([
    [{ socketUp: false }, "relay"],
    [{ workerDown: true, mediaUp: false, source: "lost" }, "worker"],
    [{ mediaUp: false }, "media"],
    [{ mediaUp: false, mediaRefused: true }, "media_refused"],
    [{ source: "lost" }, "camera_lost"],
    [{ source: "ended" }, "camera_ended"],
    [{ source: "frozen" }, "camera_frozen"],
    [{ source: "offline" }, "camera_offline"],
    [{}, "stalled"],
  ] as [Partial<LivenessFacts>, string][])("names why: %o is %s", (facts, cause) => {
    expect(judge({ ...playing, ...facts }, 20_000).cause).toBe(cause);
  });

  it("waits for a first frame, sleeps where there is nothing to wait for", () => {
    expect(judge({ ...playing, lastFrame: null }, 1).kind).toBe("waiting");
    expect(judge({ ...playing, lastFrame: null, source: "idle" }, 1)).toEqual({
      kind: "asleep",
      cause: "camera_idle",
      age: null,
    });
    expect(judge({ ...playing, lastFrame: null, source: "offline", socketUp: false }, 1).kind).toBe("waiting");
  });

  it("shows a refusal before anything else, and nothing on an empty tile", () => {
    expect(judge({ ...playing, refused: true }, 10_001).kind).toBe("refused");
    expect(judge({ ...playing, camera: null }, 10_001).kind).toBe("empty");
  });
});

describe("the patience before a picture is called frozen", () => {
  it("is a second, longer for slow cameras, bounded, and longest with keyframes only", () => {
    expect(freezeAfter("high", null)).toBe(FREEZE_AFTER_MS);
    expect(freezeAfter("high", 33)).toBe(FREEZE_AFTER_MS);
    expect(freezeAfter("high", 400)).toBe(1600);
    expect(freezeAfter("low", 60_000)).toBe(2500);
    expect(freezeAfter("key", null)).toBe(FREEZE_AFTER_KEY_MS);
  });
});

describe("watching frames", () => {
  const frame = (at: number, received: number | null = at - 20) => ({ at, received, rtp: null });

  it("counts no frame before the relay has assigned the slot", () => {
    const watch = new FrameWatch();
    expect(watch.presented(frame(100))).toBe(false);
    watch.assigned(200);
    expect(watch.presented(frame(230))).toBe(true);
    expect(watch.lastFrame).toBe(230);
  });

  it("never takes a frame of the camera before for one of the new camera", () => {
    const watch = new FrameWatch();
    watch.assigned(0);
    watch.presented(frame(50));
    watch.expect();
    expect(watch.presented(frame(70))).toBe(false);
    watch.assigned(100);
    expect(watch.presented(frame(150, 99))).toBe(false);
    expect(watch.lastFrame).toBeNull();
    expect(watch.presented(frame(150, 101))).toBe(true);
  });

  it("waits until the buffer has run dry where the browser does not report when a frame was received", () => {
    const watch = new FrameWatch();
    watch.assigned(1000);
    expect(watch.presented(frame(1000 + FrameWatch.SETTLE_MS - 1, null))).toBe(false);
    expect(watch.presented(frame(1000 + FrameWatch.SETTLE_MS, null))).toBe(true);
  });

  it("keeps its first `assigned` when the relay repeats it for the same view", () => {
    const watch = new FrameWatch();
    watch.assigned(0);
    watch.presented(frame(40));
    watch.assigned(1000);
    expect(watch.presented(frame(1001, 990))).toBe(true);
  });

  it("is not fooled by a browser that paints the last frame once more, or an ended track", () => {
    const watch = new FrameWatch();
    watch.assigned(0);
    expect(watch.presented({ at: 100, received: 80, rtp: 9000 })).toBe(true);
    expect(watch.presented({ at: 900, received: 80, rtp: 9000 })).toBe(false);
    expect(watch.presented({ at: 1800, received: null, rtp: null })).toBe(false);
    expect(watch.lastFrame).toBe(100);
    expect(watch.presented({ at: 1900, received: 1880, rtp: 12000 })).toBe(true);
  });

  it("counts two frames that came in the same packet burst", () => {
    const watch = new FrameWatch();
    watch.assigned(0);
    watch.presented({ at: 100, received: 80, rtp: 9000 });
    expect(watch.presented({ at: 133, received: 80, rtp: 12000 })).toBe(true);
  });

  it("learns the pace and counts pauses over half a second", () => {
    const watch = new FrameWatch();
    watch.assigned(0);
    for (let at = 40; at <= 400; at += 40) watch.presented(frame(at));
    expect(watch.interval).toBeCloseTo(40);
    watch.presented(frame(1100));
    expect(watch.freezes).toEqual({ count: 1, longestMs: 700 });
    expect(watch.interval).toBeCloseTo(40);
    expect(watch.frames).toBe(11);
  });
});
