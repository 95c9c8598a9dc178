import { afterEach, beforeEach, describe, expect, it } from "vitest";
import "../src/elements/recording_detail";
import type { RecordingPlayer } from "../src/elements/player";
import type { RecordingDetail } from "../src/elements/recording_detail";
import type { VerdictStrip } from "../src/elements/verdict_strip";
import { setLanguage } from "../src/i18n";
import type { Role } from "../src/model";
import { readVerdict } from "../src/verdict";
import { click, fakeApi, has, mount, ok, part, recording, refused, settle, submit, text } from "./support";

const VERDICT = readVerdict({
  marks: "...",
  integrity: "intact",
  completeness: "complete",
  origin: "proved",
  time: "consistent",
  exit_code: 0,
});

async function detail(duty: Role, given: Readonly<Record<string, unknown>> = {}) {
  const shown = recording("r1", given);
  const fake = fakeApi({
    recording: async () => ok(shown),
    holdsOf: async () => ok({ holds: [], procedures: [], lost: false }),
    openPlayback: async () => ok({ view: "v1", playlist: "/api/views/v1/index.m3u8" }),
    closePlayback: async () => ok(null),
    verify: async () => ok(VERDICT),
    media: async () => refused(404, "playback_not_found"),
  });
  const properties = { api: fake.api, duty, recording: shown, intervention: "i1" };
  return { detail: await mount<RecordingDetail>("recording-detail", properties), ...fake };
}

beforeEach(() => setLanguage("fr"));
afterEach(() => document.body.replaceChildren());

describe("a recording", () => {
  it("is described in full: times, cause, gaps with their causes", async () => {
    const { detail: element } = await detail("commander", {
      gap_list: [{ start_at: "2026-11-22T10:00:10Z", seconds: 2.25, cause: "radio" }],
    });
    const words = text(element);
    for (const part of ["Patrouille 7", "1 min 30 s", "17,2 Mo", "bouton d'alerte actionné", "les agents", "2,3 s"])
      expect(words).toContain(part);
  });

  it("says that a procedure holds it past its term", async () => {
    expect(has((await detail("commander")).detail, "recording-held")).toBe(false);
    expect(has((await detail("commander", { held: true })).detail, "recording-held")).toBe(true);
  });

  it.each([
    ["commander", "closed", { play: true, verify: true, export: true, hold: true }],
    ["commander", "open", { play: true, verify: true, export: false, hold: true }],
    ["commander", "erased", { play: false, verify: false, export: false, hold: true }],
    ["operator", "closed", { play: false, verify: false, export: false, hold: false }],
    ["auditor", "closed", { play: false, verify: false, export: false, hold: true }],
  ] as const)("offers a %s, while it is %s, what that role may do", async (duty, state, may) => {
    const { detail: element } = await detail(duty, { state });
    expect({
      play: has(element, "play"),
      verify: has(element, "verify"),
      export: element.shadowRoot?.querySelector("export-form") != null,
      hold: element.shadowRoot?.querySelector("hold-panel") != null,
    }).toEqual(may);
  });

  it("is not described by the answer for another, which arrives late", async () => {
    const { detail: element, answers } = await detail("operator");
    let late: () => void = () => {};
    answers.recording = (id) =>
      new Promise((resolve) => {
        late = () => resolve(ok(recording(id, { camera_label: "Late" })));
      });
    element.recording = recording("r2");
    await settle(element);
    const answerForR2 = late;
    element.recording = recording("r3");
    await settle(element);
    answerForR2();
    await settle(element);
    expect(text(element)).not.toContain("Late");
  });
});

describe("the picture of a recording", () => {
  it("is played only with a motive, under the intervention that is current", async () => {
    const { detail: element, calls } = await detail("commander");
    expect(element.shadowRoot?.querySelector("recording-player")).toBeNull();
    await submit(element, "form.motive", { motive: "réquisition" });
    expect(calls).toContainEqual(["openPlayback", "r1", "réquisition", "i1"]);
    expect(part<RecordingPlayer>(element, "recording-player").playlist).toBe("/api/views/v1/index.m3u8");
  });

  it("is not shown where the relay refuses the motive", async () => {
    const { detail: element, answers } = await detail("commander");
    answers.openPlayback = async () => refused(422, "motive_too_vague");
    await submit(element, "form.motive", { motive: "xxx" });
    expect(element.shadowRoot?.querySelector("recording-player")).toBeNull();
    expect(text(part(element, "[role=alert]"))).toContain("le motif doit dire pourquoi");
  });

  it.each([
    ["ended by the person", (element: RecordingDetail) => click(element, "play-stop")],
    ["left for another recording", (element: RecordingDetail) => Object.assign(element, { recording: recording("r2") })],
    ["left with the page", (element: RecordingDetail) => element.remove()],
  ] as const)("is closed at the relay once it is %s", async (_how, leave) => {
    const { detail: element, calls } = await detail("commander");
    await submit(element, "form.motive", { motive: "réquisition" });
    await leave(element);
    await settle(element);
    expect(calls).toContainEqual(["closePlayback", "v1"]);
  });
});

describe("its verification", () => {
  it("shows the verdict, and that an open recording has no signed end yet", async () => {
    const { detail: element } = await detail("commander", { state: "open" });
    await click(element, "verify");
    expect(part<VerdictStrip>(element, "verdict-strip").verdict).toBe(VERDICT);
    expect(text(element)).toContain("sa fin sera signée à la clôture");
  });

  it("can be tried again where the relay refuses", async () => {
    const { detail: element, answers } = await detail("commander");
    answers.verify = async () => refused(503, "too_many_verifications");
    await click(element, "verify");
    expect(text(part(element, "[role=alert]"))).toContain("Refusé");
    expect(element.shadowRoot?.querySelector("verdict-strip")).toBeNull();
    expect(part<HTMLButtonElement>(element, '[data-testid="verify"]').disabled).toBe(false);
  });

  it("of another recording is not shown under this one", async () => {
    const { detail: element, answers } = await detail("commander");
    let finish: () => void = () => {};
    answers.verify = () =>
      new Promise((resolve) => {
        finish = () => resolve(ok(VERDICT));
      });
    await click(element, "verify");
    element.recording = recording("r2");
    await settle(element);
    finish();
    await settle(element);
    expect(element.shadowRoot?.querySelector("verdict-strip")).toBeNull();
  });
});
