import { describe, expect, it } from "vitest";
import { firstToEnd, NOTICE_MS, upcomingEnd } from "../src/transmission_end";
import { camera } from "./support";

const NOW = 1_800_000_000_000;
const ends = (name: string, inMs: number, given = {}) => camera(name, { ends_ns: (NOW + inMs) * 1e6, ...given });

describe("the end of a transmission", () => {
  it("is announced from ten minutes before until it has come", () => {
    expect(upcomingEnd(ends("a", NOTICE_MS + 1), NOW)).toBeNull();
    expect(upcomingEnd(ends("a", NOTICE_MS), NOW)).toEqual({ at: NOW + NOTICE_MS, seconds: 600 });
    expect(upcomingEnd(ends("a", -5000), NOW)).toEqual({ at: NOW - 5000, seconds: 0 });
  });

  it("is not announced where there is none, or the camera is not on air", () => {
    expect(upcomingEnd(camera("a"), NOW)).toBeNull();
    expect(upcomingEnd(camera("a", { ends_ns: null }), NOW)).toBeNull();
    expect(upcomingEnd(ends("a", 1000, { state: "ended", worker: null }), NOW)).toBeNull();
  });

  it("that comes first is known, for the key", () => {
    const cameras = [ends("late", 500_000), ends("soon", 100_000), camera("never"), ends("far", NOTICE_MS * 2)];
    expect(firstToEnd(cameras, NOW)).toBe("soon");
    expect(firstToEnd([camera("never")], NOW)).toBeNull();
  });
});
