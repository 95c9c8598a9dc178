/**
 * Why the relay refused a request: a code for programs and translations, the values of its sentence, and a sentence in English.
 *
 * Owns: their shape, and how the values are read.  Must never know: what each code means.
 */

/** The values that a translated sentence needs; `rule` is the requirement that was applied. */
export type Facts = Readonly<Record<string, string | number>>;

export interface Problem {
  /** A code of relay/base/codes.py, or one that a newer relay has. */
  readonly code: string;
  readonly detail: string;
  readonly facts: Facts;
}

/** The members of every problem (RFC 9457); all others are facts. */
const STANDARD: ReadonlySet<string> = new Set(["type", "title", "status", "detail", "instance", "code"]);

/** Return the strings and numbers of a map that are not members of every problem. */
export function readFacts(value: unknown): Facts {
  if (typeof value !== "object" || value === null) return {};
  const plain = (member: [string, unknown]): member is [string, string | number] =>
    !STANDARD.has(member[0]) && (typeof member[1] === "string" || typeof member[1] === "number");
  return Object.fromEntries(Object.entries(value).filter(plain));
}
