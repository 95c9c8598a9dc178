import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JournalPage } from "../src/api";
import "../src/elements/journal";
import type { JournalView } from "../src/elements/journal";
import { setLanguage } from "../src/i18n";
import { type JournalEntry, readJournalEntry } from "../src/model";
import { readVerdict } from "../src/verdict";
import { byId, click, fakeApi, has, mount, ok, part, refused, settle, text } from "./support";

const entry = (leaf: number, given: Readonly<Record<string, unknown>> = {}): JournalEntry =>
  readJournalEntry({
    leaf,
    at: "2026-11-22T10:00:00Z",
    leaf_hash: `hash${leaf}`,
    body: {
      operation: "consultation",
      author: "olga",
      role: "operator",
      motive: "renfort",
      object_type: "camera",
      object_id: "pm-7",
      result: "ok",
      details: { view: "v1" },
      ...given,
    },
  });

const leaves = (view: JournalView): string[] =>
  [...(view.shadowRoot?.querySelectorAll("tbody tr td:first-child") ?? [])].map((cell) => text(cell));

/** A journal of `size` entries; each page ends with the newest that it may hold. */
async function journal(size: number, given: (leaf: number) => JournalEntry = (leaf) => entry(leaf)) {
  const page = (after: number, limit: number): JournalPage => ({
    size,
    leaves: Array.from({ length: Math.max(0, Math.min(limit, size - after - 1)) }, (_, index) => given(after + 1 + index)),
  });
  const fake = fakeApi({
    journal: async (after, limit) => ok(page(after, limit)),
    checkpoint: async () => ok("relay journal\n500\nroot"),
    verify: async () =>
      ok(
        readVerdict({
          recording: "r1",
          marks: ".",
          integrity: "intact",
          completeness: "complete",
          origin: "proved",
          time: "?",
        }),
      ),
  });
  const view = await mount<JournalView>("journal-view", { api: fake.api });
  await settle(view);
  return { view, ...fake };
}

beforeEach(() => setLanguage("fr"));
afterEach(() => document.body.replaceChildren());

describe("the journal", () => {
  it("begins with its newest page, newest first", async () => {
    const { view, calls } = await journal(500);
    expect(calls).toEqual([
      ["journal", -1, 1],
      ["journal", 300, 200],
    ]);
    expect(leaves(view).slice(0, 2)).toEqual(["499", "498"]);
    expect(leaves(view)).toHaveLength(199);
  });

  it("is turned back to its first entry, and no further", async () => {
    const { view, calls } = await journal(250);
    const [, older, newer] = [...(view.shadowRoot?.querySelectorAll<HTMLButtonElement>("button") ?? [])];
    expect(newer?.disabled).toBe(true);
    older?.click();
    await settle(view);
    expect(calls.at(-1)).toEqual(["journal", -1, 200]);
    expect(leaves(view).at(-1)).toBe("0");
    expect(older?.disabled).toBe(true);
    expect(newer?.disabled).toBe(false);
    newer?.click();
    await settle(view);
    expect(calls.at(-1)).toEqual(["journal", 199, 200]);
    expect(leaves(view)[0]).toBe("249");
  });

  it("shows who did what, to what, why and how it ended", async () => {
    const { view } = await journal(1);
    for (const words of ["consultation", "olga", "renfort", "pm-7", "ok", "view : v1"]) expect(text(view)).toContain(words);
  });

  it("keeps the digest of an entry whose content was erased", async () => {
    const { view } = await journal(1, (leaf) => readJournalEntry({ leaf, at: null, leaf_hash: "d1gest", body: null }));
    expect(text(view)).toContain("contenu effacé à son terme, empreinte conservée : d1gest");
  });

  it("is filtered by any of its words, within the page", async () => {
    const { view } = await journal(3, (leaf) =>
      entry(leaf, { author: ["olga", "carl", "anne"][leaf] ?? "", details: { n: leaf } }),
    );
    const field = part<HTMLInputElement>(view, 'input[type="search"]');
    field.value = "CARL";
    field.dispatchEvent(new InputEvent("input"));
    await settle(view);
    expect(leaves(view)).toEqual(["1"]);
    field.value = "nobody";
    field.dispatchEvent(new InputEvent("input"));
    await settle(view);
    expect(text(view)).toContain("Aucune inscription.");
  });

  it("gives a signed checkpoint when asked", async () => {
    const { view } = await journal(1);
    expect(has(view, "checkpoint-note")).toBe(false);
    await click(view, "checkpoint");
    expect(text(byId(view, "checkpoint-note"))).toBe("relay journal 500 root");
  });

  it("offers the verification of the recording of an entry, and of no other object", async () => {
    const { view, calls } = await journal(2, (leaf) =>
      entry(leaf, leaf === 0 ? { object_type: "recording", object_id: "r1" } : {}),
    );
    const buttons = [...(view.shadowRoot?.querySelectorAll<HTMLButtonElement>("td button") ?? [])];
    expect(buttons).toHaveLength(1);
    buttons[0]?.click();
    await settle(view);
    expect(calls.at(-1)).toEqual(["verify", "r1"]);
    expect(part(view, "verdict-strip")).not.toBeNull();
  });

  it("says why the relay refused, and keeps the page that it has", async () => {
    const { view, answers } = await journal(2);
    answers.journal = async () => refused(403, "role_not_allowed");
    await click(view, "journal-latest");
    expect(text(part(view, "[role=alert]"))).toContain("Refusé");
    expect(leaves(view)).toEqual(["1", "0"]);
  });
});
