import { describe, expect, it } from "vitest";
import { endToEnd, Median, relayToScreen, ServerClock, sinceStamp } from "../src/delay";

describe("the relay's clock", () => {
  it("comes from the echo with the shortest round trip, wrong by at most half of it", () => {
    const clock = new ServerClock();
    expect(clock.offset).toBeNull();
    clock.sample(0, 100, 5_080);
    clock.sample(1000, 1010, 6_004);
    clock.sample(2000, 2400, 7_300);
    expect(clock.offset).toEqual({ ms: 4999, uncertaintyMs: 5 });
    expect(clock.at(2000)).toBe(6999);
  });

  it("forgets what is old, so that a clock that was set is followed", () => {
    const clock = new ServerClock();
    clock.sample(0, 2, 1_001);
    clock.sample(130_000, 130_010, 3_130_005);
    expect(clock.offset?.ms).toBe(3_000_000);
  });

  it("ignores an echo from the future", () => {
    const clock = new ServerClock();
    clock.sample(10, 5, 0);
    expect(clock.at(0)).toBeNull();
  });
});

describe("relay to screen", () => {
  it("adds the relay's share, half the round trip and what happens here", () => {
    expect(relayToScreen({ relayMs: 2, roundTripMs: 40, screenMs: 55 })).toBe(77);
  });

  it("is not guessed while a part is unknown", () => {
    expect(relayToScreen({ relayMs: 2, roundTripMs: null, screenMs: 55 })).toBeNull();
    expect(relayToScreen({ relayMs: 2, roundTripMs: 40, screenMs: null })).toBeNull();
  });
});

describe("a frame's stamp", () => {
  const stamp = { ms: 1_000_000, rtp: 0xffffff00 };

  it("is dated by the leg's sender report, across the wrap of RTP time", () => {
    expect(sinceStamp(stamp, (stamp.rtp + 9000) >>> 0, 1_000_150)).toBeCloseTo(50);
    expect(sinceStamp(stamp, stamp.rtp - 9000, 1_000_000)).toBeCloseTo(100);
  });

  it("is unknown when the two belong to different streams", () => {
    expect(sinceStamp(stamp, (stamp.rtp + 0x40000000) >>> 0, 1_000_000)).toBeNull();
  });
});

describe("camera to screen", () => {
  const shown = { ms: 90, uncertaintyMs: 3 };

  it("adds the way to the relay, and the uncertainties", () => {
    expect(endToEnd(shown, 20, 12)).toEqual({ ms: 110, uncertaintyMs: 15 });
  });

  it("is known only where the camera's clock is known", () => {
    expect(endToEnd(shown, null, 12)).toBeNull();
    expect(endToEnd(shown, 20, null)).toBeNull();
    expect(endToEnd(null, 20, 12)).toBeNull();
  });

  it("is unknown where the clocks contradict each other", () => {
    expect(endToEnd({ ms: -80, uncertaintyMs: 3 }, 0, 12)).toBeNull();
    expect(endToEnd({ ms: -10, uncertaintyMs: 3 }, 0, 12)).toEqual({ ms: 0, uncertaintyMs: 15 });
  });
});

describe("the running median", () => {
  it("does not jump for one late frame and follows a lasting change", () => {
    const median = new Median(5);
    for (const value of [40, 41, 900, 42, 40]) median.add(value);
    expect(median.value).toBe(41);
    for (const value of [80, 80, 80]) median.add(value);
    expect(median.value).toBe(80);
    median.clear();
    expect(median.value).toBeNull();
  });
});
