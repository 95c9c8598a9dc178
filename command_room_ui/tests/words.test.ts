import { describe, expect, it } from "vitest";
import { age, bytes, CATALOGUES, chooseLanguage, fill, LANGUAGES, refusal, setLanguage, t, tCode } from "../src/i18n";

const keys = (language: keyof typeof CATALOGUES): string[] => Object.keys(CATALOGUES[language]).sort();
const places = (pattern: string): string[] => (pattern.match(/\{\w+\}/g) ?? []).sort();

describe("catalogues", () => {
  it("have the same keys in every language", () => {
    for (const language of LANGUAGES) expect(keys(language)).toEqual(keys("fr"));
  });

  it("have the same places to fill in for every key", () => {
    for (const key of Object.keys(CATALOGUES.fr) as (keyof typeof CATALOGUES.fr)[]) {
      expect([key, places(CATALOGUES.en[key])]).toEqual([key, places(CATALOGUES.fr[key])]);
    }
  });

  it("leave nothing empty but the cause that needs no words", () => {
    for (const language of LANGUAGES) {
      const empty = Object.entries(CATALOGUES[language]).filter(([, words]) => words === "");
      expect(empty.map(([key]) => key)).toEqual(["cause.none"]);
    }
  });

  it("speak the law's French", () => {
    const words = Object.values(CATALOGUES.fr).join(" ").toLowerCase();
    for (const word of [
      "caméras individuelles",
      "intervention",
      "consultation",
      "transmission en temps réel",
      "enregistrement",
      "extraction",
    ]) {
      expect(words).toContain(word);
    }
  });
});

describe("language", () => {
  it.each([
    [null, ["de-DE"], "fr"],
    [null, ["en-US", "fr"], "en"],
    [null, ["fr-CA"], "fr"],
    ["en", ["fr"], "en"],
    ["xx", [], "fr"],
  ])("kept %s, browser %s: %s", (kept, preferred, expected) => {
    expect(chooseLanguage(kept, preferred)).toBe(expected);
  });

  it("is set on the document", () => {
    setLanguage("en");
    expect(document.documentElement.lang).toBe("en");
    expect(t("tile.live")).toBe("LIVE");
    setLanguage("fr");
    expect(t("tile.live")).toBe("DIRECT");
  });

  it("fills what it knows and leaves the rest visible", () => {
    expect(fill("{a} {b}", { a: 1 })).toBe("1 {b}");
  });

  it("shows a code that the catalogue does not know as it is", () => {
    expect(tCode("reason", "stopped")).toBe("arrêt volontaire");
    expect(tCode("reason", "meteorite")).toBe("meteorite");
  });

  it("writes ages that are read at a glance", () => {
    expect([0.4, 59.9, 60, 3599, 3600, -1].map((seconds) => age(seconds).replaceAll("\u00a0", " "))).toEqual([
      "0 s",
      "59 s",
      "1 min 00 s",
      "59 min 59 s",
      "1 h 00 min",
      "0 s",
    ]);
  });

  it("writes sizes in the units of the language", () => {
    expect(bytes(0)).toBe("0 o");
    expect(bytes(17_200_000)).toBe("17,2 Mo");
  });
});

describe("refusals", () => {
  it("are in French with the rule that they cite", () => {
    const open = { code: "intervention_open", detail: "its intervention is still open (ACC-03)", facts: { rule: "ACC-03" } };
    expect(refusal(open)).toContain("encore ouverte");
    expect(refusal(open)).toMatch(/\(ACC-03\)$/);
    const vague = { code: "motive_too_vague", detail: "the motive must say why", facts: { rule: "JRN-02: R241-5, R241-14" } };
    expect(refusal(vague)).toBe("le motif doit dire pourquoi (JRN-02: R241-5, R241-14)");
  });

  it("are in the current language with the values that they carry", () => {
    const long = { code: "text_too_long", detail: "label is longer than 80 characters", facts: { field: "label", max: 80 } };
    expect(refusal(long)).toBe("le texte est trop long (80 octets au plus ; une lettre accentuée en prend deux)");
    setLanguage("en");
    expect(refusal(long)).toBe("this text is longer than 80 bytes (an accented letter takes two)");
    setLanguage("fr");
  });

  it("without a code of their own carry the relay's sentence", () => {
    expect(refusal({ code: "conflict", detail: "two of them", facts: {} })).toBe("cela contredit l'état présent : two of them");
  });

  it("that nobody translated stay readable", () => {
    expect(refusal({ code: "moon", detail: "the moon is in the way", facts: {} })).toBe("the moon is in the way");
    expect(refusal({ code: "moon", detail: "", facts: {} })).toBe("moon");
  });
});
