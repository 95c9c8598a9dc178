import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ExportState } from "../src/api";
import "../src/elements/export_form";
import type { ExportForm } from "../src/elements/export_form";
import { setLanguage } from "../src/i18n";
import { byId, fakeApi, has, mount, ok, part, recording, refused, submit, text } from "./support";

const READY: ExportState = { id: "e1", state: "ready", progress: 1, detail: "" };
const FIELDS = {
  basis: "CPP_60-1",
  procedure: "PV 12/2026",
  agent: "OPJ Bernard",
  service: "Commissariat",
  motive: "réquisition du 22 novembre",
};

async function form(regime = "bodycam_pm") {
  const fake = fakeApi({ startExport: async () => ok(READY), exportFile: (id) => `/api/exports/${id}/file` });
  const shown = recording("r1", { regime, started_at: "2026-11-22T10:00:00.400Z", ended_at: "2026-11-22T10:01:30.200Z" });
  return { form: await mount<ExportForm>("export-form", { api: fake.api, recording: shown }), ...fake };
}

const options = (element: ExportForm): string[] =>
  [...(element.shadowRoot?.querySelectorAll("option") ?? [])].map((option) => option.value);

beforeEach(() => setLanguage("fr"));
afterEach(() => document.body.replaceChildren());

describe("an extraction", () => {
  it("begins as the whole recording, rounded outwards to seconds, and is sent in UTC nanoseconds", async () => {
    const { form: element, calls } = await form();
    await submit(element, "form", FIELDS);
    expect(calls[0]).toEqual([
      "startExport",
      "r1",
      {
        from: Date.UTC(2026, 10, 22, 10, 0, 0) * 1e6,
        to: Date.UTC(2026, 10, 22, 10, 1, 31) * 1e6,
        motive: "réquisition du 22 novembre",
        legal_basis: "CPP_60-1",
        requesting_agent: "OPJ Bernard",
        requesting_service: "Commissariat",
        procedure_no: "PV 12/2026",
      },
    ]);
  });

  it("wants every particular that the journal keeps (R241-2 7°)", async () => {
    const { form: element } = await form();
    const fields = [...(element.shadowRoot?.querySelectorAll("input") ?? [])];
    expect(fields.map((field) => field.name)).toEqual(["from", "to", "procedure", "agent", "service", "motive"]);
    expect(fields.every((field) => field.required)).toBe(true);
  });

  it("offers the access of videoprotection only for its cameras", async () => {
    expect(options((await form()).form)).not.toContain("acces_habilite_L252-3");
    expect(options((await form("videoprotection")).form)).toContain("acces_habilite_L252-3");
  });

  it("can be downloaded once it is there", async () => {
    const { form: element } = await form();
    expect(has(element, "export-download")).toBe(false);
    await submit(element, "form", FIELDS);
    expect(byId<HTMLAnchorElement>(element, "export-download").getAttribute("href")).toBe("/api/exports/e1/file");
  });

  it("that is refused offers nothing, not even the one before", async () => {
    const { form: element, answers } = await form();
    await submit(element, "form", FIELDS);
    answers.startExport = async () => refused(422, "interval_not_recorded");
    await submit(element, "form", FIELDS);
    expect(text(part(element, "[role=alert]"))).toContain("Refusé");
    expect(has(element, "export-download")).toBe(false);
    expect(byId<HTMLButtonElement>(element, "export-submit").disabled).toBe(false);
  });
});
