import { describe, expect, it } from "vitest";
import { CATALOGUES, LANGUAGES } from "../src/i18n";

/** The relay's own sources: what it can say is read there, so that nothing new stays without words. */
const SOURCES = import.meta.glob<string>("../../relay/{base,evidence,channel,policy,live,protocol}/*.py", {
  query: "?raw",
  import: "default",
  eager: true,
});

const source = (name: string): string => SOURCES[`../../relay/${name}`] ?? "";
const found = (text: string, pattern: RegExp): string[] => [
  ...new Set([...text.matchAll(pattern)].map((match) => match[1] ?? "")),
];
/** The values of a Python enumeration. */
const valuesOf = (name: string, type: string): string[] => {
  const body =
    source(name)
      .split(new RegExp(`^class ${type}\\(`, "m"))[1]
      ?.split(/\n(?=\S)/)[0] ?? "";
  return found(body, /^ {4}[A-Z0-9_]+ = "([^"]+)"/gm);
};
/** The values of a `Literal` that stands after `before`. */
const literals = (name: string, before: string): string[] => {
  const text = source(name);
  const body = /^[^\]]*?Literal\[([^\]]+)\]/.exec(text.slice(text.indexOf(before)))?.[1] ?? "";
  return found(body, /"([^"]+)"/g);
};

describe("what the relay can say", () => {
  it.each([
    ["problem", valuesOf("base/codes.py", "Code"), "camera_not_live"],
    ["trigger", valuesOf("live/camera_intents.py", "Trigger"), "publication without a live socket"],
    ["alarm", valuesOf("protocol/page.py", "AlarmReason"), "recording_failed"],
    ["gap", valuesOf("evidence/records.py", "Cause"), "tap_overflow"],
    ["reason", valuesOf("evidence/records.py", "Reason"), "shutdown"],
    ["threat", valuesOf("policy/motives.py", "Threat"), "biens"],
    ["basis", valuesOf("policy/motives.py", "LegalBasis"), "CPP_60-1"],
    ["regime", valuesOf("policy/regimes.py", "Regime"), "bodycam_pm"],
    ["role", valuesOf("policy/roles.py", "Role"), "operator"],
    ["rec", literals("channel/messages.py", 'state: Literal["waiting"'), "stalled"],
  ] as const)("has words in every language: %s", (prefix, codes, one) => {
    expect(codes, "the relay's source is read as it is written").toContain(one);
    for (const language of LANGUAGES) {
      const known = Object.keys(CATALOGUES[language]);
      expect(codes.filter((code) => !known.includes(`${prefix}.${code}`))).toEqual([]);
    }
  });

  it("has no code that the relay does not have: the page would wait for it in vain", () => {
    const known = Object.keys(CATALOGUES.fr).filter((key) => key.startsWith("problem."));
    expect(known.sort()).toEqual(
      valuesOf("base/codes.py", "Code")
        .map((code) => `problem.${code}`)
        .sort(),
    );
  });

  it("has words for a disk that is not well", () => {
    const states = literals("live/disk.py", "DiskState: TypeAlias").filter((state) => state !== "ok");
    expect(states).toContain("full");
    for (const language of LANGUAGES) expect(states.filter((state) => !(`disk.${state}` in CATALOGUES[language]))).toEqual([]);
  });
});
