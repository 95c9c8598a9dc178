/**
 * What each key does in the live view.  Digits are read by their place, so that they work without shift on a French keyboard.
 *
 * Owns: the table of keys.  Must never know: how an action is carried out.
 */

import { type Digits, digit, type Size } from "./layout";

export type KeyAction =
  | { readonly kind: "tile"; readonly tile: number }
  | { readonly kind: "size"; readonly size: Size }
  | { readonly kind: "move"; readonly dx: number; readonly dy: number }
  | { readonly kind: "enlarge" | "hear" | "remove" | "fullScreen" | "search" | "alarm" | "confirm" | "escape" };

const SIZE_OF: Readonly<Record<string, Size>> = { "1": 1, "4": 4, "9": 9, "6": 16 };
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const LETTERS: Readonly<
  Record<string, KeyAction["kind"] & ("hear" | "remove" | "fullScreen" | "search" | "alarm" | "confirm" | "escape")>
> = {
  m: "hear",
  f: "fullScreen",
  a: "alarm",
  c: "confirm",
  delete: "remove",
  backspace: "remove",
  escape: "escape",
  "/": "search",
};

export class KeyReader {
  #digits: Digits | null = null;

  /** Return the action of a key; null where it has none, or where a field or button takes the key. */
  read(event: KeyboardEvent, size: Size, now: number): KeyAction | null {
    if (event.ctrlKey || event.altKey || event.metaKey) return null;
    const on = event.composedPath()[0];
    if (on instanceof HTMLElement && on.matches("input, textarea, select")) return null;
    const number = /^(?:Digit|Numpad)([0-9])$/.exec(event.code)?.[1];
    if (number !== undefined) return this.#onNumber(number, event.shiftKey, size, now);
    const onButton = on instanceof HTMLElement && on.matches("button, a");
    if (event.key === "Enter") return onButton ? null : { kind: "enlarge" };
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) return { kind: "move", dx: arrow[0], dy: arrow[1] };
    const kind = LETTERS[event.key.toLowerCase()];
    return kind === undefined ? null : { kind };
  }

  #onNumber(number: string, shift: boolean, size: Size, now: number): KeyAction | null {
    if (shift) {
      const wanted = SIZE_OF[number];
      return wanted === undefined ? null : { kind: "size", size: wanted };
    }
    const read = digit(this.#digits, number, now, size);
    this.#digits = read.digits;
    return read.tile === null ? null : { kind: "tile", tile: read.tile };
  }
}
