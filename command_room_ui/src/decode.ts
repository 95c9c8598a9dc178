/**
 * Readers of untrusted values: a value from HTTP or `/live` is `unknown` until one of these readers has checked it.
 *
 * Owns: the readers of single fields.  Must never know: any message or resource.
 *
 * A reader is given the relay's own type of the map that it reads (`src/generated`), so that a field that the relay renamed or
 * gave another type fails the compiler.  The type is not trusted: each value is checked.
 */

export class DecodeError extends Error {}

declare const wire: unique symbol;

/** A map of unchecked values that the relay sends as a `T`. */
export interface Fields<T = Readonly<Record<string, unknown>>> {
  readonly [wire]?: T;
}

/** The fields of `T` that may hold a `V`; all fields where their types are unknown. */
export type KeyOf<T, V> = {
  [K in keyof T & string]-?: unknown extends T[K] ? K : [Extract<T[K], V>] extends [never] ? never : K;
}[keyof T & string];

/** The moments in `T`: a field `ended_ns` or `ended_at` is the moment `ended`. */
export type MomentOf<T> = {
  [K in keyof T & string]-?: K extends `${infer Name}_ns` ? Name : K extends `${infer Name}_at` ? Name : K;
}[keyof T & string];

/** `never` where the relay knows a name that is not among `N`; a plain string may hold any name. */
type Complete<V, N> = string extends V ? unknown : [Exclude<Extract<V, string>, N>] extends [never] ? unknown : never;

/** Return the value as a map; throws DecodeError for anything else. */
export function fields<T = Readonly<Record<string, unknown>>>(value: unknown, what = "an object"): Fields<T> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new DecodeError(`${what} expected`);
  return value as Fields<T>;
}

/** Return a field's value as it came. */
export function raw<T>(from: Fields<T>, key: keyof T & string): unknown {
  return at(from, key);
}

/** Return all fields of a map as they came. */
export function entries<T>(from: Fields<T>): [string, unknown][] {
  return Object.entries(from);
}

/** Return a required string; throws DecodeError. */
export function text<T>(from: Fields<T>, key: KeyOf<T, string>): string {
  const value = at(from, key);
  if (typeof value !== "string") throw new DecodeError(`${key}: a string expected`);
  return value;
}

/** Return a required finite number; throws DecodeError.  msgpack's 64-bit integers arrive as bigint. */
export function number<T>(from: Fields<T>, key: KeyOf<T, number>): number {
  const value = numberOr(from, key, null);
  if (value === null) throw new DecodeError(`${key}: a number expected`);
  return value;
}

/** Return a string, or `other` where it is missing or of another type. */
export function textOr<T, U>(from: Fields<T>, key: KeyOf<T, string>, other: U): string | U {
  const value = at(from, key);
  return typeof value === "string" ? value : other;
}

/** Return a finite number, or `other`. */
export function numberOr<T, U>(from: Fields<T>, key: KeyOf<T, number>, other: U): number | U {
  return finite(at(from, key)) ?? other;
}

/** Return a boolean; missing means false. */
export function flag<T>(from: Fields<T>, key: KeyOf<T, boolean>): boolean {
  return at(from, key) === true;
}

/** Return one of the names, or `other` for anything else.  The compiler holds that no name of the relay is missing. */
export function oneOf<T, K extends KeyOf<T, string>, const N extends string, U>(
  from: Fields<T>,
  key: K,
  names: readonly N[] & Complete<T[K & keyof T], N>,
  other: U,
): N | U {
  const value = at(from, key);
  return (names as readonly N[]).find((name) => name === value) ?? other;
}

/** Return a list with every item read by `read`; missing means empty; throws DecodeError when it is no list. */
export function list<T, I>(from: Fields<T>, key: KeyOf<T, readonly unknown[]>, read: (item: unknown) => I): I[] {
  const value = at(from, key) ?? [];
  if (!Array.isArray(value)) throw new DecodeError(`${key}: a list expected`);
  return value.map(read);
}

/** Return a moment in milliseconds since 1970 from `<key>_ns`, an ISO text or a number of seconds under `key`, else null. */
export function moment<T>(from: Fields<T>, key: MomentOf<T>): number | null {
  const nanoseconds = finite(at(from, `${key}_ns`));
  if (nanoseconds !== null) return nanoseconds / 1e6;
  const value = at(from, key) ?? at(from, `${key}_at`);
  if (typeof value === "string") {
    const parsed = Date.parse(value);
    return Number.isNaN(parsed) ? null : parsed;
  }
  return typeof value === "number" ? value * 1000 : null;
}

function at(from: object, key: string): unknown {
  return (from as Readonly<Record<string, unknown>>)[key];
}

function finite(value: unknown): number | null {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
