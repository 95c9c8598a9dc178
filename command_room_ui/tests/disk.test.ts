import { describe, expect, it } from "vitest";
import { diskNotice } from "../src/disk";
import { setLanguage, span } from "../src/i18n";
import { EMPTY_LIVE_STATE, readMessage, reduce } from "../src/live_state";

const HOUR = 3600;
const disk = (fullInS: number | null, state: "ok" | "stalled" | "full" | "gone" = "ok") => ({ state, free: 5e9, fullInS });

describe("the disk of the recordings", () => {
  it("is kept as the relay reported it", () => {
    const message = readMessage({ t: "disk", state: "full", free: 10n, full_in_s: null });
    expect(reduce(EMPTY_LIVE_STATE, message, 0).disk).toEqual({ state: "full", free: 10, fullInS: null });
  });

  it.each([
    [null, "none"],
    [15 * 24 * HOUR, "none"],
    [3 * 24 * HOUR, "line"],
    [23 * HOUR, "warn"],
    [0, "warn"],
  ])("full in %s s: %s", (seconds, level) => {
    expect(diskNotice(disk(seconds)).level).toBe(level);
  });

  it.each(["stalled", "full", "gone"] as const)("%s is a banner, also with a forecast of a month", (state) => {
    expect(diskNotice(disk(30 * 24 * HOUR, state))).toEqual({ level: "bad", state });
  });

  it("shows nothing before the relay has reported it", () => {
    expect(diskNotice(null).level).toBe("none");
  });

  it.each([
    [3.9 * 24 * HOUR, "3 days"],
    [47 * HOUR, "47 h"],
    [119 * 60, "119 min"],
    [0, "0 min"],
  ])("%s s to come are read as %s", (seconds, words) => {
    setLanguage("en");
    expect(span(seconds)).toBe(words);
  });
});
