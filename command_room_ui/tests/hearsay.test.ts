import { beforeEach, describe, expect, it } from "vitest";
import { Hearsay, HOLDS_MS } from "../src/hearsay";
import { camera } from "./support";

const live = camera("a", { sealed_age: 0.5 });
const idle = camera("b", { state: "idle", worker: null });
let heard: Hearsay;

beforeEach(() => {
  heard = new Hearsay();
  heard.note({ t: "cameras", cameras: [live, idle] }, 1000);
});

describe("what the relay said of a camera", () => {
  it("holds no longer than a few of its seconds while the camera is on air, and again once it is said again", () => {
    expect(heard.holds(live, 1000 + HOLDS_MS)).toBe(true);
    expect(heard.holds(live, 1001 + HOLDS_MS)).toBe(false);
    heard.note({ t: "camera", camera: live }, 9000);
    expect(heard.holds(live, 9001)).toBe(true);
  });

  it("holds until it changes where nothing is on air: it is said once", () => {
    expect(heard.holds(idle, 1_000_000)).toBe(true);
  });

  it("holds nothing of a camera that was not told since the live socket began anew, nor of one that is gone", () => {
    heard.note({ t: "hello", workers: [0], serverMs: null }, 2000);
    expect(heard.holds(live, 2000)).toBe(false);
    heard.note({ t: "camera", camera: live }, 2000);
    heard.note({ t: "gone", camera: "a" }, 2000);
    expect(heard.holds(live, 2000)).toBe(false);
  });

  it("ages: a seal is as old as it was then, and the time since", () => {
    expect(heard.sealedAge(live, 1000)).toBe(0.5);
    expect(heard.sealedAge(live, 4000)).toBe(3.5);
    expect(heard.sealedAge(camera("a"), 4000)).toBeNull();
  });
});
