import { describe, expect, it } from "vitest";
import { type Alarm, ENDS_SOON, isTechnical, restoreAlarms, saveAlarms } from "../src/alarms";
import { DecodeError } from "../src/decode";
import {
  acknowledge,
  EMPTY_LIVE_STATE,
  isOnAir,
  type LiveMessage,
  type LiveState,
  readMessage,
  reduce,
  sorted,
  standing,
} from "../src/live_state";
import { camera } from "./support";

const told = (...messages: LiveMessage[]): LiveState =>
  messages.reduce((state, message, at) => reduce(state, message, 1000 + at), EMPTY_LIVE_STATE);
const listed = (...cameras: ReturnType<typeof camera>[]): LiveMessage => ({ t: "cameras", cameras });

describe("reading messages", () => {
  it("reads each message of the contract", () => {
    expect(readMessage({ t: "hello", workers: [0, 1], user: "u", role: "operator", server_ns: 1_000_000 })).toEqual({
      t: "hello",
      workers: [0, 1],
      serverMs: 1,
    });
    const alarm = { t: "alarm", camera: "a", reason: "recording_failed" };
    expect(readMessage({ ...alarm, at_ns: 5_000_000 })).toEqual({ ...alarm, at: 5 });
    expect(readMessage(alarm)).toEqual({ ...alarm, at: null });
    expect(readMessage({ t: "assigned", slot: 3, worker: 1, camera: "a", view: "v" })).toEqual({
      t: "assigned",
      slot: 3,
      worker: 1,
      camera: "a",
      view: "v",
    });
    expect(readMessage({ t: "ended", slot: 3, worker: 1, view: "v", reason: "r" })).toEqual({
      t: "ended",
      slot: 3,
      worker: 1,
      view: "v",
      reason: "r",
    });
    expect(readMessage({ t: "worker", worker: 1, up: false })).toEqual({ t: "worker", worker: 1, up: false });
    expect(readMessage({ t: "gone", camera: "a" })).toEqual({ t: "gone", camera: "a" });
    expect(readMessage({ t: "time", server_ns: 2n * 10n ** 18n, echo: 5.5 })).toEqual({ t: "time", serverMs: 2e12, echo: 5.5 });
    expect(readMessage({ t: "interventions" })).toEqual({ t: "interventions" });
    expect(
      readMessage({
        t: "leg",
        view: "v",
        kbps: 1,
        loss: 0,
        rtt_ms: 2,
        layer: "low",
        limited: true,
        delay_ms: 3,
        stamp_ns: 4e6,
        stamp_rtp: 5,
      }),
    ).toEqual({
      t: "leg",
      leg: { view: "v", kbps: 1, loss: 0, rttMs: 2, layer: "low", limited: true, delayMs: 3, stamp: { ms: 4, rtp: 5 } },
    });
  });

  it("reads a refusal that names no worker: of a layer or a sound", () => {
    const reason = { kind: "conflict", code: "wrong_worker", detail: "d", facts: { worker: 2 } };
    expect(readMessage({ t: "refused", slot: 1, worker: null, camera: null, ...reason })).toMatchObject({
      worker: -1,
      slot: 1,
      camera: null,
      ...reason,
    });
  });

  it("keeps a message that is not known yet out of the way", () => {
    expect(readMessage({ t: "started", view: "v" })).toEqual({ t: "unknown", name: "started" });
    expect(reduce(EMPTY_LIVE_STATE, { t: "unknown", name: "started" }, 0)).toBe(EMPTY_LIVE_STATE);
  });

  it.each([
    [null],
    [7],
    [[]],
    [{}],
    [{ t: "camera" }],
    [{ t: "assigned", slot: "x", worker: 0 }],
    [{ t: "hello", workers: [1.5] }],
    [{ t: "cameras", cameras: 3 }],
  ])("refuses %j", (value) => {
    expect(() => readMessage(value)).toThrow(DecodeError);
  });
});

describe("cameras", () => {
  it("come as a list, change one by one, and go", () => {
    const state = told(
      listed(camera("a"), camera("b")),
      { t: "states", cameras: [camera("b", { state: "lost" })] },
      { t: "gone", camera: "a" },
    );
    expect([...state.cameras.keys()]).toEqual(["b"]);
    expect(state.cameras.get("b")?.state).toBe("lost");
  });

  it("change one by one or several at once", () => {
    const sent = (name: string, viewers: number) => ({ camera: name, label: name, viewers });
    const one = readMessage({ t: "camera", ...sent("a", 1) });
    expect(one).toMatchObject({ t: "states", cameras: [{ camera: "a", viewers: 1 }] });
    const several = readMessage({ t: "states", cameras: [sent("b", 2), sent("c", 0)] });
    const state = told(listed(camera("a"), camera("b")), one, several);
    expect([...state.cameras.values()].map((found) => [found.camera, found.viewers])).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 0],
    ]);
  });

  it("a press that was released in the same message raises its alarm", () => {
    const both: LiveMessage = { t: "states", cameras: [camera("a", { pressed: true }), camera("a")] };
    const state = told(listed(camera("a")), both);
    expect(state.cameras.get("a")?.pressed).toBe(false);
    expect(state.alarms.get("a")?.seen).toBe(false);
  });

  it("a whole list replaces what was known before the socket was cut", () => {
    expect([...told(listed(camera("a")), listed(camera("b"))).cameras.keys()]).toEqual(["b"]);
  });

  it("are on air only with a worker and a session that may still bring a picture", () => {
    expect(isOnAir(camera("a"))).toBe(true);
    expect(isOnAir(camera("a", { state: "frozen" }))).toBe(true);
    expect(isOnAir(camera("a", { state: "lost" }))).toBe(false);
    expect(isOnAir(camera("a", { worker: null }))).toBe(false);
    expect(isOnAir(camera("a", { state: "idle", worker: null }))).toBe(false);
  });
});

describe("alarms", () => {
  const pressed = camera("a", { pressed: true });
  const alarm = (reason: string, at: number | null = null): LiveMessage => ({ t: "alarm", camera: "a", reason, at });

  it("are raised by a pressed button, once, with the time it was first seen", () => {
    const state = told(listed(pressed), { t: "states", cameras: [pressed] }, { t: "states", cameras: [pressed] });
    expect(state.alarms.get("a")).toEqual({ camera: "a", reason: "", at: 1000, seen: false, pressed: true, events: [] });
  });

  it("take the reason from the relay's message, whichever came first", () => {
    expect(told(listed(pressed), alarm("knife")).alarms.get("a")).toMatchObject({
      reason: "knife",
      at: 1000,
    });
    expect(told(alarm("knife"), listed(pressed)).alarms.get("a")).toMatchObject({
      reason: "knife",
      at: 1000,
    });
  });

  it("are as old as the press, not as this page", () => {
    const state = reduce(EMPTY_LIVE_STATE, listed(camera("a", { pressed: true, pressed_age: 90 })), 100_000);
    expect(state.alarms.get("a")?.at).toBe(10_000);
  });

  it("stay marked while pressed, go once seen and released", () => {
    const seen = acknowledge(told(listed(pressed)), "a");
    expect(seen.alarms.get("a")?.seen).toBe(true);
    expect(reduce(seen, { t: "states", cameras: [pressed] }, 2000).alarms.get("a")?.seen).toBe(true);
    expect(reduce(seen, { t: "states", cameras: [camera("a")] }, 2000).alarms.size).toBe(0);
  });

  it("are not lost because the button was released before anybody looked", () => {
    const released = reduce(told(listed(pressed)), { t: "states", cameras: [camera("a")] }, 2000);
    expect(released.alarms.get("a")?.seen).toBe(false);
    expect(acknowledge(released, "a").alarms.size).toBe(0);
  });

  it("ring again when the button is pressed again", () => {
    const seen = acknowledge(told(listed(pressed)), "a");
    const again = reduce(seen, alarm("again"), 3000);
    expect(again.alarms.get("a")).toMatchObject({ reason: "again", at: 3000, seen: false });
  });
});

describe("alarms of the relay itself", () => {
  const said = (reason: string, at: number | null): LiveMessage => ({ t: "alarm", camera: "a", reason, at });
  const failed = said("recording_failed", 700);
  const absent = said("recording_missing", 800);

  it("are as old as the relay says, also where this page came later", () => {
    expect(told(failed).alarms.get("a")).toMatchObject({ reason: "recording_failed", at: 700, seen: false });
    expect(told(said("recording_failed", null)).alarms.get("a")?.at).toBe(1000);
  });

  it("do not ring again when the relay sends them again after they were all seen at this page", () => {
    const seen = acknowledge(told(failed, absent, listed(camera("a"))), "a");
    expect(reduce(reduce(seen, failed, 5000), absent, 5000).alarms.size).toBe(0);
  });

  it("ring again when they happen again, or may have", () => {
    const seen = acknowledge(told(failed), "a");
    expect(reduce(seen, said("recording_failed", 4000), 5000).alarms.get("a")).toMatchObject({ at: 4000, seen: false });
    const undated = said("recording_failed", null);
    expect(reduce(acknowledge(told(undated), "a"), undated, 5000).alarms.get("a")?.seen).toBe(false);
  });

  it("never turn an emergency that nobody has seen into something technical", () => {
    const pressed = camera("a", { pressed: true });
    for (const state of [told(listed(pressed), failed), told(failed, listed(pressed))]) {
      const released = reduce(state, { t: "states", cameras: [camera("a")] }, 2000);
      expect(isTechnical(released.alarms.get("a") as Alarm)).toBe(false);
    }
    expect(isTechnical(told(failed, listed(camera("a"))).alarms.get("a") as Alarm)).toBe(true);
  });

  it("of an end that is near go by themselves once it was confirmed, at whichever post, or has come", () => {
    const ends = (ms: number | null) => camera("a", { ends_ns: ms === null ? null : ms * 1e6 });
    const soon = told(listed(ends(600_000)), said(ENDS_SOON, 500));
    expect(reduce(soon, { t: "states", cameras: [ends(601_000)] }, 2000).alarms.size).toBe(1);
    expect(reduce(soon, { t: "states", cameras: [ends(7_200_000)] }, 2000).alarms.size).toBe(0);
    expect(reduce(soon, listed(ends(7_200_000)), 2000).alarms.size).toBe(0);
    expect(reduce(soon, { t: "states", cameras: [camera("a", { state: "idle", worker: null })] }, 2000).alarms.size).toBe(0);
    const worse = reduce(soon, failed, 1500);
    expect(reduce(worse, { t: "states", cameras: [ends(7_200_000)] }, 2000).alarms.get("a")?.seen).toBe(false);
  });

  it("survive a reload of the page, and so does what was seen", () => {
    const seen = acknowledge(told(absent), "a");
    const kept = saveAlarms(reduce(seen, { t: "alarm", camera: "b", reason: "recording_failed", at: 900 }, 2000));
    const restored = { ...EMPTY_LIVE_STATE, ...restoreAlarms(kept) };
    expect(restored.alarms.get("b")).toMatchObject({ reason: "recording_failed", at: 900, seen: false });
    expect(reduce(restored, absent, 3000).alarms.has("a")).toBe(false);
    for (const broken of [null, "", "{", "[]", '{"alarms":[{}],"seen":7}'])
      expect(restoreAlarms(broken)).toEqual({ alarms: new Map(), seen: new Set() });
  });
});

describe("the list", () => {
  const state = told(
    listed(
      camera("off", { label: "Alpha", state: "offline", worker: null, online: false }),
      camera("on", { label: "Beta", state: "idle", worker: null }),
      camera("live10", { label: "Gamma 10" }),
      camera("live9", { label: "Gamma 9" }),
      camera("help", { label: "Éclair", pressed: true }),
    ),
  );

  it("puts what needs a person first, then counts as people do", () => {
    expect(sorted(state, "").map((item) => item.camera)).toEqual(["help", "live9", "live10", "on", "off"]);
    expect(sorted(state, "").map((item) => standing(item, state.alarms))).toEqual([
      "alarm",
      "live",
      "live",
      "online",
      "offline",
    ]);
  });

  it("finds by every word, without accents or capitals", () => {
    expect(sorted(state, "gamma 9").map((item) => item.camera)).toEqual(["live9"]);
    expect(sorted(state, "ECLAIR").map((item) => item.camera)).toEqual(["help"]);
    expect(sorted(state, "zzz")).toEqual([]);
  });
});

describe("legs", () => {
  it("are known while their view runs", () => {
    const leg = readMessage({ t: "leg", view: "v", kbps: 1 });
    expect(told(leg).legs.get("v")?.kbps).toBe(1);
    expect(told(leg, { t: "ended", view: "v", worker: 0, slot: 0, reason: "" }).legs.size).toBe(0);
  });
});
