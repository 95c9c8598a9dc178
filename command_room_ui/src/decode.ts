/**
 * Reading untrusted values: what arrives over HTTP or `/live` is `unknown` until it went through here.
 *
 * Owns: the small readers.  Must never know: a single message or resource.
 */

export class DecodeError extends Error {}

export type Fields = Readonly<Record<string, unknown>>;

/** Return the value as a map; throws DecodeError for anything else. */
export function fields(value: unknown, what = "an object"): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new DecodeError(`${what} expected`);
  return value as Fields;
}

/** Return a required string; throws DecodeError. */
export function text(from: Fields, key: string): string {
  const value = from[key];
  if (typeof value !== "string") throw new DecodeError(`${key}: a string expected`);
  return value;
}

/** Return a required finite number; throws DecodeError.  msgpack's 64-bit integers arrive as bigint. */
export function number(from: Fields, key: string): number {
  const value = numberOr(from, key, null);
  if (value === null) throw new DecodeError(`${key}: a number expected`);
  return value;
}

/** Return a string, or `other` where it is missing or of another type. */
export function textOr<T>(from: Fields, key: string, other: T): string | T {
  const value = from[key];
  return typeof value === "string" ? value : other;
}

/** Return a finite number, or `other`. */
export function numberOr<T>(from: Fields, key: string, other: T): number | T {
  const value = from[key];
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : other;
}

/** Return a boolean; missing means false. */
export function flag(from: Fields, key: string): boolean {
  return from[key] === true;
}

/** Return one of the names, or `other` for anything else. */
export function oneOf<T extends string, U>(from: Fields, key: string, names: readonly T[], other: U): T | U {
  const value = from[key];
  return names.find((name) => name === value) ?? other;
}

/** Return a list with every item read by `read`; missing means empty; throws DecodeError when it is no list. */
export function list<T>(from: Fields, key: string, read: (item: unknown) => T): T[] {
  const value = from[key] ?? [];
  if (!Array.isArray(value)) throw new DecodeError(`${key}: a list expected`);
  return value.map(read);
}

/** Return a moment in milliseconds since 1970 from `<key>_ns`, an ISO text or a number of seconds under `key`, else null. */
export function moment(from: Fields, key: string): number | null {
  const nanoseconds = numberOr(from, `${key}_ns`, null);
  if (nanoseconds !== null) return nanoseconds / 1e6;
  const value = from[key] ?? from[`${key}_at`];
  if (typeof value === "string") {
    const parsed = Date.parse(value);
    return Number.isNaN(parsed) ? null : parsed;
  }
  return typeof value === "number" ? value * 1000 : null;
}
