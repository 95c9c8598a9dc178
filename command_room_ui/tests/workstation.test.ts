import { encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { expose } from "../src/debug";
import * as layout from "../src/layout";
import { readSignInSession } from "../src/model";
import { Workstation } from "../src/workstation";
import { FakeSocket, fakeApi, intervention, ok } from "./support";

let fake: ReturnType<typeof fakeApi>;
let workstation: Workstation;

const receive = (message: object): void => FakeSocket.last.deliver(encode(message));
const STATE = { camera: "a", label: "A", state: "live", worker: 0, online: true, rec: "recording" };

function started(): Workstation {
  const made = new Workstation(fake.api);
  made.start();
  FakeSocket.last.open();
  return made;
}

beforeEach(() => {
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.all = [];
  fake = fakeApi({
    interventions: async () => ok([intervention("i1")]),
    session: async () => ok(readSignInSession({ user: "olga", role: "operator", csrf: "c" })),
  });
  workstation = started();
});

afterEach(() => {
  workstation.forget();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a reload of the page", () => {
  it("keeps the cameras on the wall and the alarms, seen ones as seen", () => {
    workstation.wall.arrange(layout.place(layout.EMPTY_WALL, "a", 2));
    receive({ t: "alarm", camera: "a", reason: "recording_failed", at_ns: 1e18 });
    receive({ t: "alarm", camera: "b", reason: "recording_failed", at_ns: 1e18 });
    workstation.acknowledge("b");
    workstation.stop();
    const next = started();
    expect(next.wall.layout.tiles[2]).toBe("a");
    expect([...next.state.alarms.keys()]).toEqual(["a"]);
    receive({ t: "alarm", camera: "b", reason: "recording_failed", at_ns: 1e18 });
    expect([...next.state.alarms.keys()]).toEqual(["a"]);
    next.forget();
  });

  it("keeps nothing for the next person after a sign-out", () => {
    workstation.wall.arrange(layout.place(layout.EMPTY_WALL, "a", 2));
    receive({ t: "alarm", camera: "a", reason: "recording_failed", at_ns: 1e18 });
    workstation.forget();
    const next = started();
    expect(next.wall.layout.tiles).toEqual(layout.EMPTY_WALL.tiles);
    expect(next.state.alarms.size).toBe(0);
    next.forget();
  });
});

describe("the intervention", () => {
  it("is the one that the wall watches under", () => {
    workstation.intervention.enter(intervention("i1"));
    expect(workstation.wall.intervention).toBe("i1");
    workstation.intervention.leave();
    expect(workstation.wall.intervention).toBeNull();
  });

  it("is checked when the relay reports a change of the list, or asks for a motive again", async () => {
    const asked = (): number => fake.calls.filter(([name]) => name === "interventions").length;
    const before = asked();
    receive({ t: "interventions" });
    workstation.wall.onMotiveNeeded();
    expect(asked()).toBe(before + 2);
  });
});

describe("the live socket", () => {
  it("that was lost is known with the time since when, until it is back", () => {
    expect(workstation.downSince).toBeNull();
    vi.useFakeTimers({ now: 50_000 });
    FakeSocket.last.drop();
    vi.advanceTimersByTime(1000);
    expect(workstation.downSince).toBe(50_000);
    FakeSocket.last.open();
    expect(workstation.downSince).toBeNull();
  });

  it("that closes makes the page ask whether the sign-in is still good", () => {
    FakeSocket.last.drop();
    expect(fake.calls).toContainEqual(["session"]);
  });

  it("changes what is shown with each message but the clock's and the figures of a view", () => {
    let changes = 0;
    workstation.changed.add(() => {
      changes += 1;
    });
    receive({ t: "cameras", cameras: [STATE] });
    expect(changes).toBe(1);
    receive({ t: "time", server_ns: 1, echo: 1 });
    receive({ t: "leg", view: "v", kbps: 1, loss: 0, layer: "high", limited: false, delay_ms: 1 });
    expect(changes).toBe(1);
  });
});

describe("window.__relay", () => {
  it("shows the state of the page in numbers", () => {
    expose(workstation);
    receive({ t: "cameras", cameras: [STATE] });
    workstation.intervention.enter(intervention("i1"));
    workstation.wall.arrange(layout.place(layout.EMPTY_WALL, "a", 0));
    const relay = window.__relay;
    expect(relay?.tiles()[0]).toMatchObject({ tile: 0, camera: "a", kind: "waiting", framesPresented: 0, view: null });
    expect(relay?.socket()).toMatchObject({ state: "open", garbled: 0 });
    expect(relay?.cameras()).toHaveLength(1);
    expect([relay?.intervention(), relay?.viewerSessions()]).toEqual(["i1", []]);
  });

  it("gives away no name of a viewer session: who knows it may control it", () => {
    expose(workstation);
    workstation.wall.viewerSessions.set(0, {
      worker: 0,
      state: "up",
      refusal: null,
      secret: "s3cret",
      generation: 1,
      roundTripMs: 10,
      stats: new Map(),
      mediaUp: true,
      audio: null,
      stream: () => null,
      start: () => undefined,
      reopen: () => undefined,
      renew: () => undefined,
      close: () => undefined,
      poll: () => Promise.resolve(),
    });
    const relay = window.__relay;
    expect(relay?.viewerSessions()).toEqual([{ worker: 0, state: "up", opened: 1, roundTripMs: 10 }]);
    expect(JSON.stringify([relay?.tiles(), relay?.socket(), relay?.viewerSessions()])).not.toContain("s3cret");
  });
});
