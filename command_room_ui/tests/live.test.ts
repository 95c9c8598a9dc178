import { decode, encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LiveSocket } from "../src/live";
import type { LiveMessage } from "../src/live_state";
import { FakeSocket } from "./support";

let messages: LiveMessage[];
let states: string[];
let live: LiveSocket;

const sent = (): unknown[] => FakeSocket.last.sent.map((bytes) => decode(bytes));
const receive = (message: object): void => FakeSocket.last.deliver(encode(message));

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  [FakeSocket.all, messages, states] = [[], [], []];
  live = new LiveSocket("ws://relay/live", {
    message: (message) => messages.push(message),
    state: (state) => states.push(state),
  });
  live.start();
});

afterEach(() => {
  live.stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the live socket", () => {
  it("speaks msgpack both ways", () => {
    FakeSocket.last.open();
    expect(live.send({ t: "time", echo: 5 })).toBe(true);
    expect(sent().at(-1)).toEqual({ t: "time", echo: 5 });
    receive({ t: "worker", worker: 1, up: false });
    expect(messages).toEqual([{ t: "worker", worker: 1, up: false }]);
  });

  it("sends nothing before it is open: the caller tries again", () => {
    expect(live.send({ t: "time", echo: 5 })).toBe(false);
    expect(FakeSocket.last.sent).toEqual([]);
  });

  it("counts messages that break the contract, and goes on", () => {
    FakeSocket.last.open();
    receive({ t: "worker", worker: "one", up: true });
    FakeSocket.last.deliver(new Uint8Array([0xc1]));
    FakeSocket.last.deliver(new Uint8Array([0x81]));
    receive({ t: "interventions" });
    expect(live.garbled).toBe(3);
    expect(messages).toEqual([{ t: "interventions" }]);
  });

  it("measures the relay's clock as soon as it is open, and every two seconds", () => {
    FakeSocket.last.open();
    vi.advanceTimersByTime(2000);
    const times = sent() as { t: string; echo: number }[];
    expect(times.map(({ t }) => t)).toEqual(["time", "time"]);
    expect(live.clock.offset).toBeNull();
    receive({ t: "time", server_ns: 5_000_000_000_000, echo: times[1]?.echo });
    expect(live.clock.at(performance.now())).toBeCloseTo(5_000_000, 0);
  });
});

describe("a live socket that is lost", () => {
  it("is opened again, at first at once and then ever more rarely", () => {
    FakeSocket.last.drop();
    vi.advanceTimersByTime(250);
    expect(FakeSocket.all).toHaveLength(2);
    for (let round = 0; round < 8; round++) {
      FakeSocket.last.drop();
      vi.advanceTimersByTime(4000);
    }
    FakeSocket.last.drop();
    const before = FakeSocket.all.length;
    vi.advanceTimersByTime(2000);
    expect(FakeSocket.all).toHaveLength(before);
    vi.advanceTimersByTime(2000);
    expect(FakeSocket.all).toHaveLength(before + 1);
  });

  it("is given up after 6.5 seconds of silence, even while TCP keeps it open", () => {
    FakeSocket.last.open();
    const first = FakeSocket.last;
    vi.advanceTimersByTime(6000);
    expect(live.state).toBe("open");
    vi.advanceTimersByTime(2500);
    expect(first.closed).toBe(true);
    expect(states).toEqual(["connecting", "open", "closed", "connecting"]);
  });

  it("is kept while the relay answers", () => {
    FakeSocket.last.open();
    for (let round = 0; round < 10; round++) {
      vi.advanceTimersByTime(2000);
      receive({ t: "time", server_ns: 1, echo: 0 });
    }
    expect(FakeSocket.all).toHaveLength(1);
    expect(live.state).toBe("open");
  });

  it("is ignored once another has taken its place", () => {
    const first = FakeSocket.last;
    first.open();
    vi.advanceTimersByTime(9000);
    expect(FakeSocket.last).not.toBe(first);
    first.deliver(encode({ t: "interventions" }));
    first.drop();
    expect(messages).toEqual([]);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("stays closed after the page has left", () => {
    FakeSocket.last.open();
    live.stop();
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.all).toHaveLength(1);
    expect(states.at(-1)).toBe("closed");
  });
});
