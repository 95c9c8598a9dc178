/**
 * The page's words in two languages.  The person's choice decides, else the browser's preference, else French.
 *
 * Owns: the current language, how a text is filled in, how times and ages are written.  Must never know: elements.
 */

import { Listeners } from "./listeners";
import type { Problem } from "./problem";
import type { Catalogue, Key } from "./words/catalogue";
import { en } from "./words/en";
import { fr } from "./words/fr";

export type { Catalogue, Key };
export const LANGUAGES = ["fr", "en"] as const;
export type Language = (typeof LANGUAGES)[number];

export const CATALOGUES: Readonly<Record<Language, Catalogue>> = { fr, en };
const STORAGE_KEY = "relay.language";

let current: Language = "fr";
export const languageChanged = new Listeners();

export function language(): Language {
  return current;
}

/** Return the language to begin with: the person's choice, else English where the browser prefers it to French, else French. */
export function chooseLanguage(kept: string | null, preferred: readonly string[]): Language {
  const known = (tag: string): Language | undefined => LANGUAGES.find((name) => tag.toLowerCase().split("-")[0] === name);
  if (kept !== null && known(kept) !== undefined) return known(kept) as Language;
  return preferred.map(known).find((name) => name !== undefined) ?? "fr";
}

export function startLanguage(): void {
  setLanguage(chooseLanguage(localStorage.getItem(STORAGE_KEY), navigator.languages));
}

/** Change the language; `keep` remembers it for the next visit. */
export function setLanguage(name: Language, keep = false): void {
  current = name;
  document.documentElement.lang = name;
  document.title = t("app.title");
  if (keep) localStorage.setItem(STORAGE_KEY, name);
  languageChanged.fire();
}

/** Return a text in the current language with its places filled in. */
export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  return fill(CATALOGUES[current][key], values);
}

/** Return the text of `<prefix>.<code>`, or the code itself where the catalogue has none. */
export function tCode(prefix: string, code: string): string {
  const catalogue: Readonly<Record<string, string>> = CATALOGUES[current];
  return catalogue[`${prefix}.${code}`] ?? code;
}

/**
 * Return why the relay refused, in the current language, with the rule that it applied; the relay's own sentence for an unknown
 * code.
 */
export function refusal(why: Problem): string {
  const catalogue: Readonly<Record<string, string>> = CATALOGUES[current];
  const pattern = catalogue[`problem.${why.code}`];
  if (pattern === undefined) return why.detail || why.code;
  const sentence = fill(pattern, { ...why.facts, detail: why.detail });
  return why.facts.rule === undefined ? sentence : `${sentence} (${why.facts.rule})`;
}

export function fill(pattern: string, values: Readonly<Record<string, string | number>>): string {
  return pattern.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));
}

/** Return an age that is read at a glance: `4 s`, `2 min 05 s`, `3 h 12 min`. */
export function age(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return t("age.seconds", { n: whole });
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole < 3600) return t("age.minutes", { m: Math.floor(whole / 60), s: two(whole % 60) });
  return t("age.hours", { h: Math.floor(whole / 3600), m: two(Math.floor((whole % 3600) / 60)) });
}

/** Return a forecast, as roughly as it is known: `3 days`, `20 h`, `45 min`. */
export function span(seconds: number): string {
  const hours = seconds / 3600;
  if (hours >= 48) return t("span.days", { n: Math.floor(hours / 24) });
  if (hours >= 2) return t("span.hours", { n: Math.floor(hours) });
  return t("span.minutes", { n: Math.max(0, Math.floor(seconds / 60)) });
}

/** Return date and time to the second on a 24-hour clock, with the zone. */
export function dateTime(ms: number | null): string {
  if (ms === null) return "—";
  const format = new Intl.DateTimeFormat(current === "fr" ? "fr-FR" : "en-GB", {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  });
  return format.format(ms);
}

/** Return the time of day to the second. */
export function clock(ms: number | null): string {
  if (ms === null) return "—";
  return new Intl.DateTimeFormat(current === "fr" ? "fr-FR" : "en-GB", { timeStyle: "medium", hourCycle: "h23" }).format(ms);
}

/** Return a number with `digits` decimals, after a comma in French. */
export function decimal(value: number, digits: number): string {
  return new Intl.NumberFormat(current, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Return a day given as `YYYY-MM-DD`, in the order of the language. */
export function day(iso: string): string {
  const ms = Date.parse(`${iso}T12:00:00Z`);
  if (Number.isNaN(ms)) return iso;
  return new Intl.DateTimeFormat(current === "fr" ? "fr-FR" : "en-GB", { dateStyle: "short", timeZone: "UTC" }).format(ms);
}

export function bytes(count: number): string {
  const units = current === "fr" ? ["o", "ko", "Mo", "Go", "To"] : ["B", "kB", "MB", "GB", "TB"];
  const step = count > 0 ? Math.min(units.length - 1, Math.floor(Math.log10(count) / 3)) : 0;
  const number = new Intl.NumberFormat(current, { maximumFractionDigits: step === 0 ? 0 : 1 });
  return `${number.format(count / 1000 ** step)} ${units[step]}`;
}
