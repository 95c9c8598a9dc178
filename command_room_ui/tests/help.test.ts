import { afterEach, beforeEach, expect, it } from "vitest";
import "../src/elements/help";
import type { HelpDialog } from "../src/elements/help";
import { setLanguage, t } from "../src/i18n";
import { KeyReader } from "../src/keys";
import { mount, part, text } from "./support";

let help: HelpDialog;

beforeEach(async () => {
  setLanguage("en");
  help = await mount<HelpDialog>("help-dialog", {});
});

afterEach(() => {
  document.body.replaceChildren();
  setLanguage("fr");
});

it("opens once, however often it is called", () => {
  const dialog = part<HTMLDialogElement>(help, "dialog");
  expect(dialog.open).toBe(false);
  help.open();
  help.open();
  expect(dialog.open).toBe(true);
  dialog.close();
  expect(dialog.open).toBe(false);
});

it.each([
  ["F", "fullScreen", "help.fullScreen"],
  ["M", "hear", "help.mute"],
  ["A", "alarm", "help.alarm"],
  ["C", "confirm", "help.confirm"],
  ["/", "search", "help.search"],
] as const)("shows %s as what the key does", (shown, kind, words) => {
  const read = new KeyReader().read(new KeyboardEvent("keydown", { key: shown }), 4, 0);
  expect(read).toEqual({ kind });
  const terms = [...(help.shadowRoot?.querySelectorAll("dt") ?? [])];
  const term = terms.find((each) => text(each).trim() === shown);
  expect(term?.nextElementSibling?.textContent).toBe(t(words));
});
