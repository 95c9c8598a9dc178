import { beforeEach, describe, expect, it } from "vitest";
import type { Leg } from "../src/model";
import { PictureTiming } from "../src/picture_timing";
import { camera } from "./support";

const LEG: Leg = { view: "v", kbps: 1, loss: 0, rttMs: 20, layer: "high", limited: false, delayMs: 2, stamp: null };
const KNOWN = camera("a", { uplink_ms: 15, clock_uncertainty_ms: 4 });
const SOURCES = { camera: KNOWN, leg: LEG, iceRoundTripMs: 60, clockUncertaintyMs: 5 };
const frame = (at: number, received: number | null = at - 30) => ({ at, received, rtp: 90_000 });
let timing: PictureTiming;

beforeEach(() => {
  timing = new PictureTiming();
  timing.frames.assigned(1000);
});

describe("the delays of a picture", () => {
  it("are unknown before its first frame", () => {
    expect(timing.delays(SOURCES)).toEqual({ delayMs: null, endToEnd: null });
  });

  it("are not measured on a frame of the camera before", () => {
    expect(timing.presented(frame(1010), null, null)).toBe(false);
    expect(timing.delays(SOURCES).delayMs).toBeNull();
  });

  it("from the relay are its own share, half the round trip of RTCP, and the way from the last packet to the screen", () => {
    expect(timing.presented(frame(1080), null, null)).toBe(true);
    expect(timing.delays(SOURCES)).toEqual({ delayMs: 2 + 10 + 30, endToEnd: null });
  });

  it("take the round trip of ICE while RTCP has none", () => {
    timing.presented(frame(1080), null, null);
    expect(timing.delays({ ...SOURCES, leg: { ...LEG, rttMs: null } }).delayMs).toBe(2 + 30 + 30);
  });

  it("from the camera are known only with both clocks, and carry the sum of their errors", () => {
    timing.presented(frame(1080), { ms: 5_000_000, rtp: 90_000 }, 5_000_080);
    expect(timing.delays(SOURCES).endToEnd).toEqual({ ms: 80 + 15, uncertaintyMs: 5 + 4 });
    expect(timing.delays({ ...SOURCES, clockUncertaintyMs: null }).endToEnd).toBeNull();
    expect(timing.delays({ ...SOURCES, camera: camera("a") }).endToEnd).toBeNull();
  });
});
