import { describe, expect, it } from "vitest";
import { Backoff } from "../src/backoff";
import { type KeyAction, KeyReader } from "../src/keys";

function press(init: KeyboardEventInit, on: HTMLElement = document.createElement("div")): KeyAction | null {
  let action: KeyAction | null = null;
  const reader = new KeyReader();
  on.addEventListener(
    "keydown",
    (event) => {
      action = reader.read(event, 9, 0);
    },
    { once: true },
  );
  document.body.append(on);
  on.dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, composed: true, ...init }));
  return action;
}

describe("keys of the wall", () => {
  it("read digits by their place, so that a French keyboard needs no shift", () => {
    expect(press({ code: "Digit4", key: "'" })).toEqual({ kind: "tile", tile: 3 });
    expect(press({ code: "Numpad4", key: "4" })).toEqual({ kind: "tile", tile: 3 });
    expect(press({ code: "Digit4", key: "4", shiftKey: true })).toEqual({ kind: "size", size: 4 });
    expect(press({ code: "Digit6", key: "6", shiftKey: true })).toEqual({ kind: "size", size: 16 });
    expect(press({ code: "Digit7", key: "7", shiftKey: true })).toBeNull();
  });

  it.each([
    ["m", "hear"],
    ["F", "fullScreen"],
    ["a", "alarm"],
    ["c", "confirm"],
    ["Delete", "remove"],
    ["Escape", "escape"],
    ["/", "search"],
    ["Enter", "enlarge"],
  ])("%s is %s", (key, kind) => {
    expect(press({ key })).toEqual({ kind });
  });

  it("move with arrows", () => {
    expect(press({ key: "ArrowUp" })).toEqual({ kind: "move", dx: 0, dy: -1 });
  });

  it("leave fields, buttons and the browser's own shortcuts alone", () => {
    expect(press({ key: "m" }, document.createElement("input"))).toBeNull();
    expect(press({ code: "Digit1", key: "1" }, document.createElement("textarea"))).toBeNull();
    expect(press({ key: "Enter" }, document.createElement("button"))).toBeNull();
    expect(press({ code: "Digit1", key: "1" }, document.createElement("button"))).toEqual({ kind: "tile", tile: 0 });
    expect(press({ key: "f", ctrlKey: true })).toBeNull();
  });
});

describe("waiting before the next try", () => {
  it("doubles up to a bound, is shortened by chance, and begins anew after success", () => {
    const calm = new Backoff(250, 4000, () => 0);
    expect([1, 2, 3, 4, 5, 6].map(() => calm.next())).toEqual([250, 500, 1000, 2000, 4000, 4000]);
    calm.reset();
    expect(calm.next()).toBe(250);
    expect(new Backoff(300, 4000, () => 1).next()).toBeCloseTo(200);
  });
});
