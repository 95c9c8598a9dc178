import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RecordingDetail } from "../src/elements/recording_detail";
import "../src/elements/recordings";
import type { RecordingsView } from "../src/elements/recordings";
import { setLanguage } from "../src/i18n";
import type { Recording } from "../src/model";
import { byId, fakeApi, has, mount, ok, part, recording, refused, settle, submit, text } from "./support";

const page = (count: number, from = 0): Recording[] =>
  Array.from({ length: count }, (_, index) => recording(`r${from + index}`));

const rows = (view: RecordingsView): string[] =>
  [...(view.shadowRoot?.querySelectorAll<HTMLElement>('[data-testid="recording"]') ?? [])].map((row) => row.dataset.id ?? "");

/** A view of an operator: no holds, no playback. */
async function view(pages: Recording[][], duty: "operator" | "commander" = "operator") {
  const fake = fakeApi({
    recordings: async () => ok(pages.shift() ?? []),
    recording: async (id) => ok(recording(id)),
    holds: async () => ok([]),
    holdsOf: async () => ok({ holds: [], procedures: [], lost: false }),
  });
  return { view: await mount<RecordingsView>("recordings-view", { api: fake.api, duty }), ...fake };
}

beforeEach(() => setLanguage("fr"));
afterEach(() => document.body.replaceChildren());

describe("the list of recordings", () => {
  it("shows when each began, how long it is, its size, and whether it goes on", async () => {
    const open = recording("r2", { state: "open", ended_at: null });
    const { view: element } = await view([[recording("r1"), open]]);
    expect(text(part(element, '[data-id="r1"]'))).toContain("17,2 Mo");
    expect(text(part(element, '[data-id="r1"]'))).toContain("1 min 30 s");
    expect(text(part(element, '[data-id="r2"]'))).toContain("…");
    expect(text(part(element, '[data-id="r2"]'))).toContain("◉");
  });

  it("says what is wrong with one: gaps, cut short, altered on disk", async () => {
    const { view: element } = await view([
      [
        recording("gaps", { gaps: 3 }),
        recording("short", { recovered: true, reason: "interrupted" }),
        recording("bad", { recovered: true, reason: "damaged" }),
      ],
    ]);
    expect(text(part(element, '[data-id="gaps"]'))).toContain("Lacunes : 3");
    const [short, bad] = ["short", "bad"].map((id) => text(part(element, `[data-id="${id}"]`)));
    expect(short).toContain("⚠");
    expect(bad).toContain("⚠");
    expect(short).not.toBe(bad);
  });

  it("asks for whole days of the local calendar, the last day included", async () => {
    const { view: element, calls } = await view([[], []]);
    await submit(element, "form", { camera: "pm-7", from: "2026-11-22", to: "2026-11-23", state: "closed" });
    const start = new Date("2026-11-22T00:00:00").getTime();
    expect(calls.at(-1)?.[1]).toEqual({
      camera: "pm-7",
      state: "closed",
      from_ns: `${start}000000`,
      to_ns: `${start + 2 * 86_400_000}000000`,
      before: "",
      limit: "100",
    });
  });

  it("goes on after the last one known, with the same filters, and only while pages are full", async () => {
    const { view: element, calls } = await view([page(100), page(2, 100)]);
    await submit(element, "form", {});
    expect(rows(element)).toHaveLength(2);
    expect(text(element)).not.toContain("Afficher la suite");
    const second = await view([page(100), page(2, 100)]);
    part<HTMLButtonElement>(second.view, "p.message button").click();
    await settle(second.view);
    expect(second.calls.at(-1)?.[1]).toMatchObject({ before: "r99" });
    expect(rows(second.view)).toHaveLength(102);
    expect(calls).toHaveLength(2);
  });

  it("says that there is none, or why the relay refused", async () => {
    const { view: element, answers } = await view([[]]);
    expect(text(element)).toContain("Aucun enregistrement.");
    answers.recordings = async () => refused(403, "role_not_allowed");
    await submit(element, "form", {});
    expect(text(part(element, "[role=alert]"))).toContain("Refusé");
  });

  it("shows the chosen recording beside it", async () => {
    const { view: element } = await view([[recording("r1"), recording("r2")]]);
    expect(text(element)).toContain("Choisissez un enregistrement.");
    part(element, '[data-id="r2"]').click();
    await settle(element);
    expect(part<RecordingDetail>(element, "recording-detail").recording.id).toBe("r2");
    expect(part(element, '[data-id="r2"]').getAttribute("aria-selected")).toBe("true");
  });

  it("has the list of holds for those who may hold or check holds, not for an operator", async () => {
    expect((await view([[]])).view.shadowRoot?.querySelector("hold-list")).toBeNull();
    expect((await view([[]], "commander")).view.shadowRoot?.querySelector("hold-list")).not.toBeNull();
  });

  it("opens a held recording that it has not come to yet", async () => {
    const { view: element, calls } = await view([[recording("r1")]], "commander");
    part(element, "hold-list").dispatchEvent(new CustomEvent("hold-chosen", { detail: "old", bubbles: true }));
    await settle(element);
    expect(calls).toContainEqual(["recording", "old"]);
    expect(part<RecordingDetail>(element, "recording-detail").recording.id).toBe("old");
    expect(rows(element)).toEqual(["r1"]);
    expect(has(element, "recordings")).toBe(true);
    expect(byId(element, "recordings-refresh")).not.toBeNull();
  });
});
