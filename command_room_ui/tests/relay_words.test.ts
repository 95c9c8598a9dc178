import { describe, expect, it } from "vitest";
import { CATALOGUES, LANGUAGES } from "../src/i18n";
import { refusalInFrench } from "../src/words/refusals";

/** The relay's own sources: what it can say is read there, so that nothing new stays without words. */
const SOURCES = import.meta.glob<string>("../../relay/{evidence,channel,policy,service,http,worker}/*.py", {
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

const triggers = [
  ...found(source("live/camera_sockets.py"), /Intent\([^"\n(]*"([^"]+)"/g),
  ...found(source("live/camera_sockets.py"), /\btrigger = "([^"]+)"/g),
  ...found(source("live/camera_sockets.py"), /\bor "([^"]+ pressed)"/g),
];
const alarms = [
  ...found(source("live/streams.py"), /_alarm\(live[^,]*, "([^"]+)"/g),
  ...found(source("live/streams.py"), /reason = "([^"]+)"\n\s+self\.(?:_alarm|on\.tell_alarm)/g),
  ...found(source("live/time_limit.py"), /^ENDS_SOON = "([^"]+)"/gm),
];

describe("what the relay can say", () => {
  it.each([
    ["trigger", triggers, "publication without a live socket"],
    ["trigger", alarms, "the recording failed"],
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

  it("has words for a disk that is not well", () => {
    const states = literals("live/disk.py", "DiskState: TypeAlias").filter((state) => state !== "ok");
    expect(states).toContain("full");
    for (const language of LANGUAGES) expect(states.filter((state) => !(`disk.${state}` in CATALOGUES[language]))).toEqual([]);
  });
});

/** Said to cameras, processes, standard WHEP clients and whoever writes requests by hand; no person at a post reads them. */
const NOT_FOR_PEOPLE: readonly RegExp[] = [
  /token/, // of cameras and WHEP clients
  /a (recorder|tap|worker) (does not answer|answers no)/,
  /^a message is a map|^unknown message|^no such request|^malformed/,
  /ICE|sdp|SDP|m-line|offer|packet|fragment/,
  /^layer must|^no slot|^no segment|^no worker|must be a whole number|must be between|^unknown filter|^cannot change/,
  /^the body|page built|^role must be|^unknown regime|^original must be|^(legal_basis|procedure_type) must|^held, or not due/,
  /^this recording is (not open|open already)/,
];

describe("what the relay says when it refuses", () => {
  const said = Object.entries(SOURCES)
    .filter(([path]) => /relay\/(policy|service|http)\//.test(path))
    .flatMap(([, text]) => [
      ...found(text, /TheirError\(\s*Kind\.[A-Z_]+,\s*f?"([^"]+)"/g),
      ...found(text, /Decision\(False, Kind\.[A-Z_]+, "([^"]+)"/g),
    ])
    .filter((sentence) => !NOT_FOR_PEOPLE.some((pattern) => pattern.test(sentence)));

  it.each([...new Set(said)])("is told in French: %s", (sentence) => {
    expect(refusalInFrench(sentence)).not.toBe(sentence);
  });

  it("is read as it is written", () => {
    expect(said).toContain("this camera is not live");
    expect(said).toContain("the motive must say why (JRN-02: R241-5, R241-14)");
  });
});
