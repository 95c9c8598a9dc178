import { describe, expect, it } from "vitest";
import { DecodeError, fields, flag, list, moment, number, oneOf, text } from "../src/decode";
import type { CameraState, Cameras, DiskReport } from "../src/generated/live";
import { readMessage } from "../src/live_state";

describe("reading what the relay sends", () => {
  it("reads a field by the relay's own name and type", () => {
    const from = fields<CameraState>({ camera: "pm-1", viewers: 2n, online: true, ends_ns: 1_500_000_000 });
    expect(text(from, "camera")).toBe("pm-1");
    expect(number(from, "viewers")).toBe(2);
    expect(flag(from, "online")).toBe(true);
    expect(moment(from, "ends")).toBe(1500);
  });

  it("fails the compiler, and the reading, for a field that the relay does not send", () => {
    const from = fields<CameraState>({ camera: "pm-1", viewers: 2 });
    // @ts-expect-error the relay calls it `camera`
    expect(() => text(from, "name")).toThrow(DecodeError);
    // @ts-expect-error a number is no string
    expect(() => text(from, "viewers")).toThrow(DecodeError);
    // @ts-expect-error the moment is called `ends`
    expect(moment(from, "end")).toBeNull();
    // @ts-expect-error a string is no list
    expect(() => list(from, "camera", String)).toThrow(DecodeError);
  });

  it("fails the compiler where the relay knows a name that the page does not", () => {
    const from = fields<DiskReport>({ state: "gone" });
    // @ts-expect-error `gone` is missing
    expect(oneOf(from, "state", ["ok", "stalled", "full"], "ok")).toBe("ok");
    expect(oneOf(from, "state", ["ok", "stalled", "full", "gone"], "ok")).toBe("gone");
  });

  it("trusts no type: each value is checked", () => {
    expect(() => list(fields<Cameras>({ cameras: "many" }), "cameras", String)).toThrow(DecodeError);
    expect(() => text(fields<CameraState>({ camera: 7 }), "camera")).toThrow(DecodeError);
    expect(() => fields<CameraState>([])).toThrow(DecodeError);
  });

  it("takes a message named like something of JavaScript's own for one that it does not know", () => {
    for (const name of ["constructor", "toString", "__proto__", "later"]) {
      expect(readMessage({ t: name })).toEqual({ t: "unknown", name });
    }
  });
});
