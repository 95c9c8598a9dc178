import { afterEach, beforeEach, describe, expect, it } from "vitest";
import "../src/elements/verdict_strip";
import type { VerdictStrip } from "../src/elements/verdict_strip";
import { setLanguage } from "../src/i18n";
import { readVerdict } from "../src/verdict";
import { byId, has, mount, part, settle, text } from "./support";

const GOOD = {
  recording: "r1",
  marks: "....",
  integrity: "intact",
  completeness: "complete",
  origin: "proved",
  time: "consistent",
  words: { fr: { integrity: "intègre" }, en: { integrity: "intact as recorded" } },
  signer: "ab12",
  exit_code: 0,
};
const BAD = {
  ...GOOD,
  marks: ".XM.D",
  integrity: "altered",
  time: "suspect",
  findings: [{ code: "digest", axis: "integrity", fragment: 1, fr: "empreinte fausse", en: "wrong digest" }],
  notes: [{ code: "clock", axis: "time", fragment: null, fr: "horloge douteuse", en: "clock in doubt" }],
  untold: 3,
  exit_code: 1,
};

const shown = (given: object): Promise<VerdictStrip> => mount<VerdictStrip>("verdict-strip", { verdict: readVerdict(given) });
const cells = (element: VerdictStrip): string[] =>
  [...(element.shadowRoot?.querySelectorAll(".strip .cell") ?? [])].map((cell) => cell.className.replace("cell ", ""));

beforeEach(() => setLanguage("fr"));

afterEach(() => {
  document.body.replaceChildren();
  setLanguage("fr");
});

describe("a verdict", () => {
  it("without an anomaly says so, and shows every fragment as intact", async () => {
    const element = await shown(GOOD);
    expect(text(byId(element, "verdict"))).toContain("✓ Aucune anomalie relevée.");
    expect(byId(element, "verdict").dataset.exit).toBe("0");
    expect(cells(element)).toEqual(["ok", "ok", "ok", "ok"]);
    expect(has(element, "verify.findings")).toBe(false);
    expect(text(element)).toContain("ab12");
  });

  it("with an anomaly is never shown as good, and marks its fragments by sign as well as by colour", async () => {
    const element = await shown(BAD);
    expect(text(byId(element, "verdict"))).toContain("✕ Anomalie relevée.");
    expect(cells(element)).toEqual(["ok", "altered", "missing", "ok", "misplaced"]);
    const signs = [...(element.shadowRoot?.querySelectorAll(".strip .cell") ?? [])].map((cell) => text(cell));
    expect(signs).toEqual(["", "✕", "∅", "", "⇄"]);
  });

  it("answers four questions, each with its own weight", async () => {
    const element = await shown(BAD);
    const tone = (axis: string): string => part(element, `[data-testid="answer-${axis}"] dd`).className;
    expect(["integrity", "completeness", "origin", "time"].map(tone)).toEqual(["bad", "good", "good", "warn"]);
  });

  it("is shown in the language of the page, also when that changes", async () => {
    const element = await shown(BAD);
    expect(text(byId(element, "verify.findings"))).toBe("empreinte fausse");
    expect(text(byId(element, "verify.notes"))).toBe("horloge douteuse");
    setLanguage("en");
    await settle(element);
    expect(text(byId(element, "verify.findings"))).toBe("wrong digest");
    expect(text(byId(element, "answer-integrity"))).toContain("intact as recorded");
  });

  it("names the bearer, the trigger and who ended the recording, as the signed start and end say", async () => {
    const recorded = { label: "Caméra 07", bearer: "0042\u202e", trigger: "chute" };
    const element = await shown({
      ...GOOD,
      recorded,
      closed: { how: "end", reason: "stopped", author: "op-1" },
      trusted_key: "cd34",
    });
    for (const words of ["Caméra 07", "0042", "chute", "arrêt volontaire · op-1"]) {
      expect(text(byId(element, "said"))).toContain(words);
    }
    expect(text(element)).toContain("cd34");
    expect(text(element)).not.toContain("n'est pas prouvée");
    const open = await shown({ ...GOOD, recorded: { ...recorded, trigger: "button pressed" }, completeness: "open" });
    expect(text(byId(open, "said"))).toContain("bouton d'alerte actionné");
    expect(text(byId(open, "said"))).not.toContain("arrêté net");
    const interrupted = await shown({ ...GOOD, recorded, origin: "not proved", closed: { how: "recovery", cause: "x" } });
    expect(text(byId(interrupted, "said"))).toContain("enregistreur arrêté net, repris");
    expect(text(interrupted)).toContain("dont l'origine n'est pas prouvée");
    expect(has(await shown(GOOD), "said")).toBe(false);
  });

  it("says how many findings it leaves out", async () => {
    expect(text(await shown(BAD))).toContain("et 3 autres");
    expect(text(await shown(GOOD))).not.toContain("autres");
  });

  it("is summed up for a person who does not see the strip", async () => {
    const element = await shown(BAD);
    const label = byId(element, "strip").getAttribute("aria-label") ?? "";
    for (const words of ["intact : 2", "altéré : 1"]) expect(label).toContain(words);
  });

  it("names the fragments of a cell under the pointer", async () => {
    const element = await shown({ ...BAD, marks: `${".".repeat(299)}X` });
    const last = [...(element.shadowRoot?.querySelectorAll<HTMLElement>(".strip .cell") ?? [])].at(-1);
    last?.dispatchEvent(new Event("pointerenter"));
    await settle(element);
    expect(text(element)).toContain("fragments 298 à 299 : altéré");
  });
});
