/**
 * What the page knows from `/live`, as a pure reducer.
 *
 * Owns: cameras, legs, slots as the relay told them, and alarms.  Must never know: the socket, elements, the wall's layout.
 */

import { DecodeError, type Fields, fields, flag, list, moment, number, numberOr, text, textOr } from "./decode";
import { type Camera, type Disk, type Leg, readCamera, readDisk, readLeg } from "./model";

export interface SlotFact {
  readonly worker: number;
  readonly slot: number;
}

/** What the relay reports of a camera by itself: a recording that failed, say. */
export interface AlarmFact {
  readonly camera: string;
  readonly reason: string;
  /** UTC milliseconds; null where the relay does not say. */
  readonly at: number | null;
}

export type LiveMessage =
  | {
      readonly t: "hello";
      readonly workers: readonly number[];
      readonly serverMs: number | null;
      /** Those of before this page came. */
      readonly alarms: readonly AlarmFact[];
    }
  | { readonly t: "cameras"; readonly cameras: readonly Camera[] }
  | { readonly t: "camera"; readonly camera: Camera }
  | { readonly t: "gone"; readonly camera: string }
  | ({ readonly t: "assigned"; readonly camera: string | null; readonly view: string | null } & SlotFact)
  | ({ readonly t: "refused"; readonly camera: string | null; readonly kind: string; readonly detail: string } & SlotFact)
  | ({ readonly t: "ended"; readonly view: string; readonly reason: string } & SlotFact)
  | { readonly t: "leg"; readonly leg: Leg }
  | { readonly t: "time"; readonly serverMs: number; readonly echo: number }
  | ({ readonly t: "alarm" } & AlarmFact)
  | { readonly t: "disk"; readonly disk: Disk }
  | { readonly t: "interventions" }
  | { readonly t: "worker"; readonly worker: number; readonly up: boolean }
  | { readonly t: "bye"; readonly reason: string }
  | { readonly t: "unknown"; readonly name: string };

export interface Alarm {
  readonly camera: string;
  readonly reason: string;
  /** Our clock, milliseconds. */
  readonly at: number;
  /** Somebody at this post has seen it: the sound stops, the mark stays while the button is pressed. */
  readonly seen: boolean;
  /** What the relay reported under it, by `eventOf`. */
  readonly events: readonly string[];
}

export interface LiveState {
  readonly workers: readonly number[];
  /** Workers that the relay said went down and has not said to be back. */
  readonly down: ReadonlySet<number>;
  readonly cameras: ReadonlyMap<string, Camera>;
  readonly legs: ReadonlyMap<string, Leg>;
  readonly alarms: ReadonlyMap<string, Alarm>;
  /** What was seen at this post of the alarms that the relay tells again with each live socket. */
  readonly seen: ReadonlySet<string>;
  /** Null until the relay has told. */
  readonly disk: Disk | null;
  /** Grows each time the list of interventions has to be fetched again. */
  readonly interventions: number;
}

export const NOTHING_KNOWN: LiveState = {
  workers: [],
  down: new Set(),
  cameras: new Map(),
  legs: new Map(),
  alarms: new Map(),
  seen: new Set(),
  disk: null,
  interventions: 0,
};

/** Reports of one camera that are remembered while nobody has seen them. */
const MOST_EVENTS = 16;

/** Read one message; throws DecodeError where it breaks the contract; names that are not known yet are `unknown`. */
export function readMessage(value: unknown): LiveMessage {
  const from = fields(value, "a message");
  const name = text(from, "t");
  const read = READERS[name];
  return read === undefined ? { t: "unknown", name } : read(from);
}

const slotFact = (from: Fields): SlotFact => ({ worker: number(from, "worker"), slot: number(from, "slot") });

const READERS: Readonly<Record<string, (from: Fields) => LiveMessage>> = {
  hello: (from) => ({
    t: "hello",
    workers: list(from, "workers", integer),
    serverMs: milliseconds(from),
    alarms: list(from, "alarms", (item) => alarmFact(fields(item, "an alarm"))),
  }),
  cameras: (from) => ({ t: "cameras", cameras: list(from, "cameras", readCamera) }),
  camera: (from) => ({ t: "camera", camera: readCamera(from) }),
  gone: (from) => ({ t: "gone", camera: text(from, "camera") }),
  assigned: (from) => ({
    t: "assigned",
    ...slotFact(from),
    camera: textOr(from, "camera", null),
    view: textOr(from, "view", null),
  }),
  refused: (from) => ({
    t: "refused",
    // A refused `layer` or `listen` names no worker.
    worker: numberOr(from, "worker", -1),
    slot: numberOr(from, "slot", -1),
    camera: textOr(from, "camera", null),
    kind: textOr(from, "kind", "unknown"),
    detail: textOr(from, "detail", ""),
  }),
  ended: (from) => ({ t: "ended", ...slotFact(from), view: text(from, "view"), reason: textOr(from, "reason", "") }),
  leg: (from) => ({ t: "leg", leg: readLeg(from) }),
  time: (from) => ({ t: "time", serverMs: number(from, "server_ns") / 1e6, echo: number(from, "echo") }),
  alarm: (from) => ({ t: "alarm", ...alarmFact(from) }),
  disk: (from) => ({ t: "disk", disk: readDisk(from) }),
  interventions: () => ({ t: "interventions" }),
  worker: (from) => ({ t: "worker", worker: number(from, "worker"), up: flag(from, "up") }),
  bye: (from) => ({ t: "bye", reason: textOr(from, "reason", "") }),
};

function alarmFact(from: Fields): AlarmFact {
  return { camera: text(from, "camera"), reason: textOr(from, "reason", ""), at: moment(from, "at") };
}

function milliseconds(from: Fields): number | null {
  const nanoseconds = numberOr(from, "server_ns", null);
  return nanoseconds === null ? null : nanoseconds / 1e6;
}

function integer(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value)) throw new DecodeError("an integer expected");
  return value;
}

/** Return the state after a message that came at `now` (our milliseconds). */
export function reduce(state: LiveState, message: LiveMessage, now: number): LiveState {
  switch (message.t) {
    case "hello":
      // Of what went down before, the relay tells nothing at the start: the pictures themselves say it.
      return toldAgain({ ...state, workers: message.workers, down: new Set() }, message.alarms, now);
    case "worker":
      return { ...state, down: withWorker(state.down, message.worker, message.up) };
    case "cameras":
      return withAlarms({ ...state, cameras: new Map(message.cameras.map((camera) => [camera.camera, camera])) }, now);
    case "camera":
      return withAlarms({ ...state, cameras: put(state.cameras, message.camera.camera, message.camera) }, now);
    case "gone":
      return { ...state, cameras: without(state.cameras, message.camera), alarms: without(state.alarms, message.camera) };
    case "leg":
      return { ...state, legs: put(state.legs, message.leg.view, message.leg) };
    case "ended":
      return { ...state, legs: without(state.legs, message.view) };
    case "alarm":
      return { ...state, alarms: report(state.alarms, message, now) };
    case "disk":
      return { ...state, disk: message.disk };
    case "interventions":
      return { ...state, interventions: state.interventions + 1 };
    default:
      return state;
  }
}

function withWorker(down: ReadonlySet<number>, worker: number, up: boolean): ReadonlySet<number> {
  const next = new Set(down);
  if (up) next.delete(worker);
  else next.add(worker);
  return next;
}

/** An alarm was seen at this post. */
export function acknowledge(state: LiveState, camera: string): LiveState {
  const alarm = state.alarms.get(camera);
  if (alarm === undefined) return state;
  const pressed = state.cameras.get(camera)?.pressed === true;
  const alarms = pressed ? put(state.alarms, camera, { ...alarm, seen: true }) : without(state.alarms, camera);
  return { ...state, alarms, seen: new Set([...state.seen, ...alarm.events]) };
}

/** What makes two reports the same one. */
function eventOf(fact: AlarmFact): string {
  return `${fact.camera} ${fact.at ?? ""} ${fact.reason}`;
}

/** Raise what the relay tells at the start of a live socket, but for what was seen here; what it tells no more is forgotten. */
function toldAgain(state: LiveState, facts: readonly AlarmFact[], now: number): LiveState {
  const seen = new Set(facts.map(eventOf).filter((event) => state.seen.has(event)));
  const shown = new Set([...state.alarms.values()].flatMap((alarm) => alarm.events));
  const news = facts.filter((fact) => !seen.has(eventOf(fact)) && !shown.has(eventOf(fact)));
  return { ...state, seen, alarms: news.reduce((alarms, fact) => report(alarms, fact, now), state.alarms) };
}

function report(alarms: ReadonlyMap<string, Alarm>, fact: AlarmFact, now: number): ReadonlyMap<string, Alarm> {
  return raise(alarms, fact.camera, fact.reason, fact.at ?? now, eventOf(fact));
}

/** A pressed button raises an alarm by itself; a released one lowers it once somebody has seen it. */
function withAlarms(state: LiveState, now: number): LiveState {
  let alarms = state.alarms;
  for (const camera of state.cameras.values()) {
    const alarm = alarms.get(camera.camera);
    if (camera.pressed && alarm === undefined) alarms = raise(alarms, camera.camera, "", now - (camera.pressedAge ?? 0) * 1000);
    if (!camera.pressed && alarm?.seen === true) alarms = without(alarms, camera.camera);
  }
  return alarms === state.alarms ? state : { ...state, alarms };
}

function raise(
  alarms: ReadonlyMap<string, Alarm>,
  camera: string,
  reason: string,
  at: number,
  event?: string,
): ReadonlyMap<string, Alarm> {
  const before = alarms.get(camera);
  const events = [...(before?.events ?? []), ...(event === undefined ? [] : [event])].slice(-MOST_EVENTS);
  if (before !== undefined && !before.seen) return put(alarms, camera, { ...before, reason: reason || before.reason, events });
  return put(alarms, camera, { camera, reason, at, seen: false, events });
}

function put<T>(map: ReadonlyMap<string, T>, key: string, value: T): ReadonlyMap<string, T> {
  return new Map(map).set(key, value);
}

function without<T>(map: ReadonlyMap<string, T>, key: string): ReadonlyMap<string, T> {
  if (!map.has(key)) return map;
  const rest = new Map(map);
  rest.delete(key);
  return rest;
}

export type Standing = "alarm" | "live" | "online" | "offline";
const ORDER: readonly Standing[] = ["alarm", "live", "online", "offline"];

/** How a camera stands in the list: what needs a person first. */
export function standing(camera: Camera, alarms: ReadonlyMap<string, Alarm>): Standing {
  if (alarms.has(camera.camera) || camera.pressed) return "alarm";
  if (isOnAir(camera)) return "live";
  return camera.online ? "online" : "offline";
}

/** An emergency is a pressed button; what the relay reports by itself (a failed recording) must not look like one. */
export function isTechnical(alarm: Alarm, camera: Camera | undefined): boolean {
  return alarm.reason !== "" && camera?.pressed !== true;
}

/** Whether there is a session to look at, even if its picture stands still. */
export function isOnAir(camera: Camera): boolean {
  return camera.worker !== null && (camera.state === "live" || camera.state === "frozen" || camera.state === "connecting");
}

/** Cameras for the list: those that match every word of the search, alarms first, then by name. */
export function sorted(state: LiveState, search: string): Camera[] {
  const words = plain(search).split(/\s+/).filter(Boolean);
  const matches = (camera: Camera): boolean => {
    const where = plain(`${camera.label} ${camera.camera} ${camera.bearer ?? ""} ${camera.commune}`);
    return words.every((word) => where.includes(word));
  };
  const rank = (camera: Camera): number => ORDER.indexOf(standing(camera, state.alarms));
  return [...state.cameras.values()]
    .filter((camera) => !camera.revoked && matches(camera))
    .sort((left, right) => rank(left) - rank(right) || left.label.localeCompare(right.label, undefined, { numeric: true }));
}

/** Lower case without accents, so that « Émile » is found by "emile". */
function plain(words: string): string {
  return words
    .normalize("NFD")
    .replace(/\p{Diacritic}/gu, "")
    .toLowerCase();
}
