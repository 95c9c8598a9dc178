import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import "../src/elements/intervention";
import type { InterventionGate } from "../src/elements/intervention";
import { setLanguage } from "../src/i18n";
import type { Intervention } from "../src/model";
import { byId, click, emitted, fakeApi, intervention, mount, ok, part, refused, settle, submit, text } from "./support";

const OPEN = [
  intervention("mine"),
  intervention("other", { motive: null }),
  intervention("button", { motive: null, opened_by: "camera:pm-7" }),
];

beforeEach(() => setLanguage("fr"));

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

describe("before any picture", () => {
  it("the open interventions are listed with who opened them", async () => {
    const { api } = fakeApi({ interventions: async () => ok(OPEN) });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    expect(text(part(gate, '[data-id="other"]'))).toContain("ouverte par olga");
    expect(text(part(gate, '[data-id="button"]'))).toContain("ouverte par la caméra pm-7");
  });

  it("a person opens one with a title and a motive", async () => {
    const opened = intervention("new");
    const { api, calls } = fakeApi({ interventions: async () => ok([]), openIntervention: async () => ok(opened) });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    const entered = emitted<Intervention>(gate, "entered");
    await submit(gate, '[data-testid="open-intervention"]', { label: "Place d'Armes", motive: "rixe signalée" });
    expect(calls).toContainEqual(["openIntervention", "Place d'Armes", "rixe signalée"]);
    expect(entered).toEqual([opened]);
  });

  it("or joins one with a motive of her own", async () => {
    const joined = intervention("other", { motive: "renfort" });
    const { api, calls } = fakeApi({ interventions: async () => ok(OPEN), joinIntervention: async () => ok(joined) });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    const entered = emitted<Intervention>(gate, "entered");
    await submit(gate, '[data-id="other"] form', { motive: "renfort" });
    expect(calls).toContainEqual(["joinIntervention", "other", "renfort"]);
    expect(entered).toEqual([joined]);
  });

  it("or goes on with one that she has joined, without another motive", async () => {
    const { api, calls } = fakeApi({ interventions: async () => ok(OPEN) });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    const entered = emitted<Intervention>(gate, "entered");
    expect(text(part(gate, '[data-id="mine"]'))).toContain("Motif : renfort");
    await click(gate, "resume");
    expect(entered).toEqual([OPEN[0]]);
    expect(calls).toEqual([["interventions"]]);
  });

  it("every motive is required and has at least three characters", async () => {
    const { api } = fakeApi({ interventions: async () => ok(OPEN) });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    const motives = [...(gate.shadowRoot?.querySelectorAll<HTMLInputElement>('[data-testid="motive"]') ?? [])];
    expect(motives.map((field) => [field.required, field.minLength])).toEqual([
      [true, 3],
      [true, 3],
      [true, 3],
    ]);
  });

  it("a refused motive lets nobody in, and says why", async () => {
    const { api } = fakeApi({
      interventions: async () => ok([]),
      openIntervention: async () => refused(422, "motive_too_vague", { rule: "JRN-02" }),
    });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    const entered = emitted(gate, "entered");
    await submit(gate, '[data-testid="open-intervention"]', { label: "x", motive: "xxx" });
    expect(text(gate)).toContain("le motif doit dire pourquoi (JRN-02)");
    expect(entered).toEqual([]);
  });
});

describe("the list of interventions", () => {
  it("is fetched again when it has changed", async () => {
    const { api, calls } = fakeApi({ interventions: async () => ok(OPEN) });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    gate.revision = 1;
    await settle(gate);
    expect(calls).toEqual([["interventions"], ["interventions"]]);
  });

  it("lets a person close one only after asking", async () => {
    const { api, calls } = fakeApi({ interventions: async () => ok(OPEN), closeIntervention: async () => ok(null) });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    vi.stubGlobal("confirm", () => false);
    await click(gate, "close");
    expect(calls).toEqual([["interventions"]]);
    vi.stubGlobal("confirm", () => true);
    await click(gate, "close");
    expect(calls.slice(1)).toEqual([["closeIntervention", "mine"], ["interventions"]]);
  });

  it("says that the last one was closed", async () => {
    const { api } = fakeApi({ interventions: async () => ok([]) });
    const gate = await mount<InterventionGate>("intervention-gate", { api, closed: true });
    expect(text(gate)).toContain("L'intervention a été close");
    gate.closed = false;
    await settle(gate);
    expect(text(gate)).not.toContain("L'intervention a été close");
  });
});

describe("a call for a motive", () => {
  it("puts the cursor into the field of its intervention, else into that of a new one", async () => {
    const { api } = fakeApi({ interventions: async () => ok(OPEN) });
    const gate = await mount<InterventionGate>("intervention-gate", { api });
    gate.ask("button");
    expect(gate.shadowRoot?.activeElement).toBe(part(gate, '[data-id="button"] input'));
    gate.ask("mine");
    expect(gate.shadowRoot?.activeElement).toBe(byId(gate, "resume"));
    gate.ask(null);
    expect(gate.shadowRoot?.activeElement).toBe(byId(gate, "intervention-label"));
  });
});
