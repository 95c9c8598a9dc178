import { beforeEach, describe, expect, it } from "vitest";
import { CameraFreshness, FRESH_FOR_MS } from "../src/freshness";
import { camera } from "./support";

const live = camera("a", { sealed_age: 0.5 });
const idle = camera("b", { state: "idle", worker: null });
let freshness: CameraFreshness;

beforeEach(() => {
  freshness = new CameraFreshness();
  freshness.note({ t: "cameras", cameras: [live, idle] }, 1000);
});

describe("the state of a camera", () => {
  it("is fresh for five seconds while the camera is on air, and again once it is sent again", () => {
    expect(freshness.isFresh(live, 1000 + FRESH_FOR_MS)).toBe(true);
    expect(freshness.isFresh(live, 1001 + FRESH_FOR_MS)).toBe(false);
    freshness.note({ t: "states", cameras: [live] }, 9000);
    expect(freshness.isFresh(live, 9001)).toBe(true);
  });

  it("stays fresh while the camera is not on air: it is sent only when it changes", () => {
    expect(freshness.isFresh(idle, 1_000_000)).toBe(true);
  });

  it("is not fresh where none was sent since the live socket began anew, nor once the camera is gone", () => {
    freshness.note({ t: "hello", workers: [0], serverMs: null }, 2000);
    expect(freshness.isFresh(live, 2000)).toBe(false);
    freshness.note({ t: "states", cameras: [live] }, 2000);
    freshness.note({ t: "gone", camera: "a" }, 2000);
    expect(freshness.isFresh(live, 2000)).toBe(false);
  });

  it("ages: a seal is as old as it was then, and the time since", () => {
    expect(freshness.sealedAge(live, 1000)).toBe(0.5);
    expect(freshness.sealedAge(live, 4000)).toBe(3.5);
    expect(freshness.sealedAge(camera("a"), 4000)).toBeNull();
  });
});
