/**
 * What a key means on the live page.  Digits are read by their place on the keyboard, so that they work unshifted on a French one.
 *
 * Owns: the table of keys.  Must never know: what is done with a meaning.
 */

import { type Digits, digit, type Size } from "./layout";

export type KeyMeaning =
  | { readonly does: "tile"; readonly tile: number }
  | { readonly does: "size"; readonly size: Size }
  | { readonly does: "move"; readonly dx: number; readonly dy: number }
  | { readonly does: "enlarge" | "hear" | "remove" | "fullScreen" | "search" | "alarm" | "confirm" | "escape" };

const SIZE_OF: Readonly<Record<string, Size>> = { "1": 1, "4": 4, "9": 9, "6": 16 };
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const LETTERS: Readonly<
  Record<string, KeyMeaning["does"] & ("hear" | "remove" | "fullScreen" | "search" | "alarm" | "confirm" | "escape")>
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

  /** Return what a key means now, null where it is nobody's (or a field's, or a button's). */
  read(event: KeyboardEvent, size: Size, now: number): KeyMeaning | null {
    if (event.ctrlKey || event.altKey || event.metaKey) return null;
    const on = event.composedPath()[0];
    if (on instanceof HTMLElement && on.matches("input, textarea, select")) return null;
    const number = /^(?:Digit|Numpad)([0-9])$/.exec(event.code)?.[1];
    if (number !== undefined) return this.#onNumber(number, event.shiftKey, size, now);
    const onButton = on instanceof HTMLElement && on.matches("button, a");
    if (event.key === "Enter") return onButton ? null : { does: "enlarge" };
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) return { does: "move", dx: arrow[0], dy: arrow[1] };
    const does = LETTERS[event.key.toLowerCase()];
    return does === undefined ? null : { does };
  }

  #onNumber(number: string, shift: boolean, size: Size, now: number): KeyMeaning | null {
    if (shift) {
      const wanted = SIZE_OF[number];
      return wanted === undefined ? null : { does: "size", size: wanted };
    }
    const read = digit(this.#digits, number, now, size);
    this.#digits = read.digits;
    return read.tile === null ? null : { does: "tile", tile: read.tile };
  }
}
