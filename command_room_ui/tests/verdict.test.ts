import { describe, expect, it } from "vitest";
import { DecodeError } from "../src/decode";
import { countMarks, type Mark, readVerdict, strip, tone } from "../src/verdict";

const GIVEN = {
  form: "stored",
  recording: "r",
  camera: "c",
  integrity: "altered",
  completeness: "interrupted",
  origin: "proved",
  time: "suspect",
  words: { fr: { integrity: "ALTÉRÉ" }, en: {} },
  marks: "..XM?-",
  findings: [
    {
      code: "fragment_altered",
      axis: "integrity",
      fragment: 2,
      values: {},
      fr: "fragment 2 altéré",
      en: "fragment 2 was altered",
    },
  ],
  notes: [],
  untold: 3,
  signer: "ab",
  start_ns: 1_000_000,
  end_ns: null,
  fragments: 6,
  exit_code: 1,
};
const marks = (letters: string): Mark[] => [...letters] as Mark[];

describe("reading a verdict", () => {
  it("takes answers, words, marks and findings", () => {
    const verdict = readVerdict(GIVEN);
    expect(verdict.answers).toEqual({ integrity: "altered", completeness: "interrupted", origin: "proved", time: "suspect" });
    expect(verdict.words.fr.integrity).toBe("ALTÉRÉ");
    expect(verdict.words.en.integrity).toBe("altered");
    expect(verdict.marks).toEqual([".", ".", "X", "M", "?", "-"]);
    expect(verdict.findings[0]?.words.fr).toBe("fragment 2 altéré");
    expect([verdict.startAt, verdict.endAt, verdict.omitted, verdict.exitCode]).toEqual([1, null, 3, 1]);
  });

  it("never takes a missing exit code, an unknown mark or an unknown answer for good news", () => {
    const { exit_code: _left_out, ...rest } = GIVEN;
    expect(readVerdict(rest).exitCode).toBe(1);
    expect(readVerdict({ ...GIVEN, marks: ".Z" }).marks).toEqual([".", "?"]);
    expect(tone("splendid", 0)).toBe("bad");
  });

  it("refuses a verdict without answers or marks", () => {
    expect(() => readVerdict({ ...GIVEN, integrity: undefined })).toThrow(DecodeError);
    expect(() => readVerdict({ ...GIVEN, marks: 7 })).toThrow(DecodeError);
  });

  it("distinguishes good, doubtful and bad answers", () => {
    expect(["intact", "complete for this interval", "proved", "consistent"].map((answer) => tone(answer, 1))).toEqual([
      "good",
      "good",
      "good",
      "good",
    ]);
    expect([tone("open", 0), tone("open", 1)]).toEqual(["warn", "bad"]);
    expect(["suspect", "not judged"].map((answer) => tone(answer, 1))).toEqual(["warn", "warn"]);
    expect(["altered", "interrupted", "incomplete", "not proved", "time not proved"].map((answer) => tone(answer, 1))).toEqual([
      "bad",
      "bad",
      "bad",
      "bad",
      "bad",
    ]);
  });
});

describe("the strip", () => {
  it("has one cell per fragment while there is room", () => {
    expect(strip(marks(".X."), 10)).toEqual([
      { first: 0, last: 0, mark: "." },
      { first: 1, last: 1, mark: "X" },
      { first: 2, last: 2, mark: "." },
    ]);
  });

  it("shows the worst of many, so that one altered fragment among thousands stays visible", () => {
    const long = marks(".".repeat(9999));
    long[7777] = "X";
    long[10] = "?";
    const cells = strip(long, 240);
    expect(cells.length).toBeLessThanOrEqual(240);
    expect(cells.filter((cell) => cell.mark === "X")).toHaveLength(1);
    expect(cells.find((cell) => cell.mark === "X")).toSatisfy(
      (cell: { first: number; last: number }) => cell.first <= 7777 && 7777 <= cell.last,
    );
    expect(cells.reduce((sum, cell) => sum + cell.last - cell.first + 1, 0)).toBe(9999);
  });

  it("is empty for a recording without fragments", () => {
    expect(strip([], 240)).toEqual([]);
  });

  it("counts its marks for the legend", () => {
    expect([...countMarks(marks("..X."))]).toEqual([
      [".", 3],
      ["X", 1],
    ]);
  });
});
