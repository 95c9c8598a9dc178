/**
 * The verdict of a verification: four answers in words, one mark for each fragment, findings and notes.
 *
 * Owns: how a verdict is read, and how its marks are gathered to a strip.  Must never know: how anything was checked.
 */

import { type Fields, fields, list, moment, numberOr, oneOf, raw, text, textOr } from "./decode";

export const AXES = ["integrity", "completeness", "origin", "time"] as const;
export type Axis = (typeof AXES)[number];

export const MARKS = [".", "X", "M", "D", "?", "-"] as const;
export type Mark = (typeof MARKS)[number];

const REASONS = ["stopped", "lost", "shutdown", "revoked", "refused", "interrupted"] as const;

export interface Finding {
  readonly code: string;
  readonly axis: Axis;
  readonly fragment: number | null;
  readonly words: Readonly<Record<"fr" | "en", string>>;
}

export interface Verdict {
  readonly form: string;
  readonly recording: string;
  /** The answers as keys, for example `intact` or `interrupted`. */
  readonly answers: Readonly<Record<Axis, string>>;
  readonly words: Readonly<Record<"fr" | "en", Readonly<Record<Axis, string>>>>;
  readonly marks: readonly Mark[];
  readonly findings: readonly Finding[];
  readonly notes: readonly Finding[];
  readonly omitted: number;
  readonly signer: string;
  /** Fingerprint of the key that was trusted. */
  readonly trustedKey: string;
  /** What the signed start and end say; null where there is no genuine start. */
  readonly said: Said | null;
  readonly startAt: number | null;
  readonly endAt: number | null;
  readonly exitCode: number;
}

export interface Said {
  readonly label: string;
  readonly bearer: string;
  readonly trigger: string;
  /** Why the recording ended, as a key; `interrupted` where a recovery closed it, null where nothing did. */
  readonly reason: (typeof REASONS)[number] | null;
  /** The person who ended it. */
  readonly author: string;
}

/** One cell of the strip: the fragments from `first` to `last`, with the worst mark among them. */
export interface Cell {
  readonly first: number;
  readonly last: number;
  readonly mark: Mark;
}

/** Answers that do not speak against the recording. */
const GOOD: ReadonlySet<string> = new Set([
  "intact",
  "intact as stored",
  "complete",
  "complete for this interval",
  "proved",
  "consistent",
]);
const SEVERITY: Readonly<Record<Mark, number>> = { X: 5, M: 4, D: 3, "?": 2, "-": 1, ".": 0 };

export function readVerdict(value: unknown): Verdict {
  const from = fields(value, "a verdict");
  return {
    form: textOr(from, "form", ""),
    recording: textOr(from, "recording", ""),
    answers: readAnswers(from),
    words: readWords(from),
    marks: [...text(from, "marks")].map(readMark),
    findings: list(from, "findings", readFinding),
    notes: list(from, "notes", readFinding),
    omitted: numberOr(from, "untold", 0),
    signer: textOr(from, "signer", ""),
    trustedKey: textOr(from, "trusted_key", ""),
    said: readSaid(from),
    startAt: moment(from, "start"),
    endAt: moment(from, "end"),
    exitCode: numberOr(from, "exit_code", 1),
  };
}

/**
 * Whether an answer is good, a warning or speaks against the recording.
 *
 * An end that is not there yet (`open`, exit code 0) speaks against nothing: the recording goes on.
 */
export function tone(answer: string, exitCode: number): "good" | "warn" | "bad" {
  if (GOOD.has(answer)) return "good";
  if (answer === "open" && exitCode === 0) return "warn";
  return answer === "suspect" || answer === "not judged" ? "warn" : "bad";
}

/**
 * Gather marks to at most `maxCells` cells.  A cell shows the worst of its fragments, so that no bad one disappears in an
 * average.
 */
export function strip(marks: readonly Mark[], maxCells: number): Cell[] {
  const per = Math.max(1, Math.ceil(marks.length / Math.max(1, maxCells)));
  const cells: Cell[] = [];
  for (let first = 0; first < marks.length; first += per) {
    const last = Math.min(first + per, marks.length) - 1;
    cells.push({ first, last, mark: worst(marks.slice(first, last + 1)) });
  }
  return cells;
}

/** Return how many fragments carry each mark that occurs. */
export function countMarks(marks: readonly Mark[]): ReadonlyMap<Mark, number> {
  const counts = new Map<Mark, number>();
  for (const mark of marks) counts.set(mark, (counts.get(mark) ?? 0) + 1);
  return counts;
}

function worst(marks: readonly Mark[]): Mark {
  return marks.reduce((left, right) => (SEVERITY[right] > SEVERITY[left] ? right : left), "." as Mark);
}

function readMark(letter: string): Mark {
  return MARKS.find((mark) => mark === letter) ?? "?";
}

function readAnswers(from: Fields): Record<Axis, string> {
  return {
    integrity: text(from, "integrity"),
    completeness: text(from, "completeness"),
    origin: text(from, "origin"),
    time: text(from, "time"),
  };
}

function readWords(from: Fields): Verdict["words"] {
  const answers = readAnswers(from);
  const words = fields(raw(from, "words") ?? {}, "words");
  const of = (language: string): Record<Axis, string> => {
    const translated = fields(raw(words, language) ?? {}, language);
    const word = (axis: Axis): string => textOr(translated, axis, answers[axis]);
    return { integrity: word("integrity"), completeness: word("completeness"), origin: word("origin"), time: word("time") };
  };
  return { fr: of("fr"), en: of("en") };
}

function readSaid(from: Fields): Said | null {
  const start = raw(from, "recorded") ?? null;
  if (start === null) return null;
  const said = fields(start, "recorded");
  const end = fields(raw(from, "closed") ?? {}, "closed");
  return {
    label: textOr(said, "label", ""),
    bearer: textOr(said, "bearer", ""),
    trigger: textOr(said, "trigger", ""),
    reason: readReason(end),
    author: textOr(end, "author", ""),
  };
}

/** A recording that nothing closes has no reason: it goes on, or its end is missing, which the answers say. */
function readReason(end: Fields): Said["reason"] {
  const how = textOr(end, "how", "");
  if (how === "recovery") return "interrupted";
  return how === "end" ? oneOf(end, "reason", REASONS, null) : null;
}

function readFinding(value: unknown): Finding {
  const from = fields(value, "a finding");
  const code = textOr(from, "code", "?");
  return {
    code,
    axis: oneOf(from, "axis", AXES, "integrity"),
    fragment: numberOr(from, "fragment", null),
    words: { fr: textOr(from, "fr", code), en: textOr(from, "en", code) },
  };
}
