/**
 * The state that the page builds from the messages of `/live`, as a pure reducer.
 *
 * Owns: the cameras, legs, workers, disk and alarms that the relay reported.  Must never know: the socket, elements, the
 * layout.
 */

import { type Alarm, type AlarmReport, type AlarmState, follow, lower, NO_ALARMS, report, see } from "./alarms";
import { DecodeError, type Fields, fields, flag, list, moment, number, numberOr, raw, text, textOr } from "./decode";
import type { ToPage } from "./generated/live";
import { type Camera, type Disk, type Leg, readCamera, readDisk, readLeg } from "./model";
import { type Problem, readFacts } from "./problem";

export interface SlotRef {
  readonly worker: number;
  readonly slot: number;
}

export type LiveMessage =
  | { readonly t: "hello"; readonly workers: readonly number[]; readonly serverMs: number | null }
  | { readonly t: "cameras"; readonly cameras: readonly Camera[] }
  /** The new states of the cameras that changed; the others are as they were. */
  | { readonly t: "states"; readonly cameras: readonly Camera[] }
  | { readonly t: "gone"; readonly camera: string }
  | ({ readonly t: "assigned"; readonly camera: string | null; readonly view: string | null } & SlotRef)
  | ({ readonly t: "refused"; readonly camera: string | null; readonly kind: string } & Problem & SlotRef)
  | ({ readonly t: "ended"; readonly view: string; readonly reason: string } & SlotRef)
  | { readonly t: "leg"; readonly leg: Leg }
  | { readonly t: "time"; readonly serverMs: number; readonly echo: number }
  | ({ readonly t: "alarm" } & AlarmReport)
  | { readonly t: "disk"; readonly disk: Disk }
  | { readonly t: "cage"; readonly incomplete: readonly string[] }
  | { readonly t: "interventions" }
  | { readonly t: "worker"; readonly worker: number; readonly up: boolean }
  | { readonly t: "bye"; readonly reason: string }
  | { readonly t: "unknown"; readonly name: string };

export interface LiveState extends AlarmState {
  readonly workers: readonly number[];
  /** Workers that the relay reported down and has not reported back. */
  readonly down: ReadonlySet<number>;
  readonly cameras: ReadonlyMap<string, Camera>;
  readonly legs: ReadonlyMap<string, Leg>;
  /** Null until the relay has reported it. */
  readonly disk: Disk | null;
  /** Processes of the relay that run with less protection than they should. */
  readonly uncaged: readonly string[];
  /** Grows each time the list of interventions has to be fetched again. */
  readonly interventions: number;
}

export const EMPTY_LIVE_STATE: LiveState = {
  workers: [],
  down: new Set(),
  cameras: new Map(),
  legs: new Map(),
  ...NO_ALARMS,
  disk: null,
  uncaged: [],
  interventions: 0,
};

/** One of the relay's messages, by its name. */
type Named<T extends ToPage["t"]> = Extract<ToPage, { readonly t: T }>;

/**
 * Read one message; throws DecodeError where it breaks the protocol.  A message with a name that the page does not know is
 * `unknown`.
 */
export function readMessage(value: unknown): LiveMessage {
  const from = fields<ToPage>(value, "a message");
  const name = text(from, "t");
  const read = Object.hasOwn(READERS, name) ? READERS[name as ToPage["t"]] : null;
  return read === null ? { t: "unknown", name } : (read as (from: Fields<ToPage>) => LiveMessage)(from);
}

const slotRef = (from: Fields<{ worker: number | null; slot: number | null }>): SlotRef => ({
  worker: number(from, "worker"),
  slot: number(from, "slot"),
});

/** A reader for every message that the relay may send; null for one that the page does not need. */
const READERS: { readonly [T in ToPage["t"]]: ((from: Fields<Named<T>>) => LiveMessage) | null } = {
  hello: (from) => ({ t: "hello", workers: list(from, "workers", integer), serverMs: milliseconds(from) }),
  cameras: (from) => ({ t: "cameras", cameras: list(from, "cameras", readCamera) }),
  camera: (from) => ({ t: "states", cameras: [readCamera(from)] }),
  states: (from) => ({ t: "states", cameras: list(from, "cameras", readCamera) }),
  gone: (from) => ({ t: "gone", camera: text(from, "camera") }),
  assigned: (from) => ({
    t: "assigned",
    ...slotRef(from),
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
    code: textOr(from, "code", "unknown"),
    detail: textOr(from, "detail", ""),
    facts: readFacts(raw(from, "facts")),
  }),
  ended: (from) => ({ t: "ended", ...slotRef(from), view: text(from, "view"), reason: textOr(from, "reason", "") }),
  started: null,
  leg: (from) => ({ t: "leg", leg: readLeg(from) }),
  time: (from) => ({ t: "time", serverMs: number(from, "server_ns") / 1e6, echo: number(from, "echo") }),
  alarm: (from) => ({ t: "alarm", camera: text(from, "camera"), reason: textOr(from, "reason", ""), at: moment(from, "at") }),
  disk: (from) => ({ t: "disk", disk: readDisk(from) }),
  cage: (from) => ({ t: "cage", incomplete: list(from, "incomplete", String) }),
  interventions: () => ({ t: "interventions" }),
  worker: (from) => ({ t: "worker", worker: number(from, "worker"), up: flag(from, "up") }),
  bye: (from) => ({ t: "bye", reason: textOr(from, "reason", "") }),
};

function milliseconds(from: Fields<Named<"hello">>): number | null {
  const nanoseconds = numberOr(from, "server_ns", null);
  return nanoseconds === null ? null : nanoseconds / 1e6;
}

function integer(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value)) throw new DecodeError("an integer expected");
  return value;
}

/** Return the state after a message that was received at `now` (milliseconds since 1970). */
export function reduce(state: LiveState, message: LiveMessage, now: number): LiveState {
  switch (message.t) {
    case "hello":
      // The relay does not report at the start which workers are down; the pictures show it.
      return { ...state, workers: message.workers, down: new Set(), uncaged: [] };
    case "worker":
      return { ...state, down: withWorker(state.down, message.worker, message.up) };
    case "cameras":
      return withCameras(state, new Map(message.cameras.map((camera) => [camera.camera, camera])), message.cameras, now);
    case "states":
      return withCameras(state, merged(state.cameras, message.cameras), message.cameras, now);
    case "gone":
      return { ...state, ...lower(state, message.camera), cameras: without(state.cameras, message.camera) };
    case "leg":
      return { ...state, legs: put(state.legs, message.leg.view, message.leg) };
    case "ended":
      return { ...state, legs: without(state.legs, message.view) };
    case "alarm":
      return { ...state, ...report(state, { camera: message.camera, reason: message.reason, at: message.at }, now) };
    case "disk":
      return { ...state, disk: message.disk };
    case "cage":
      return { ...state, uncaged: message.incomplete };
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

/** A person at this page has seen an alarm. */
export function acknowledge(state: LiveState, camera: string): LiveState {
  return { ...state, ...see(state, camera, state.cameras.get(camera)?.pressed === true) };
}

/** Take the states of cameras, and raise and lower their alarms. */
function withCameras(
  state: LiveState,
  cameras: ReadonlyMap<string, Camera>,
  updated: readonly Camera[],
  now: number,
): LiveState {
  const { alarms, seen } = updated.reduce<AlarmState>(
    (before, camera) => follow(before, camera, state.cameras.get(camera.camera), now),
    state,
  );
  return { ...state, cameras, alarms, seen };
}

function merged(cameras: ReadonlyMap<string, Camera>, changed: readonly Camera[]): ReadonlyMap<string, Camera> {
  const next = new Map(cameras);
  for (const camera of changed) next.set(camera.camera, camera);
  return next;
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

/** Return how a camera stands in the list: what needs a person comes first. */
export function standing(camera: Camera, alarms: ReadonlyMap<string, Alarm>): Standing {
  if (alarms.has(camera.camera) || camera.pressed) return "alarm";
  if (isOnAir(camera)) return "live";
  return camera.online ? "online" : "offline";
}

/** Whether a camera has a publish session that can be watched, even if its picture stands still. */
export function isOnAir(camera: Camera): boolean {
  return camera.worker !== null && (camera.state === "live" || camera.state === "frozen" || camera.state === "connecting");
}

/** Return the cameras that match every word of the search, alarms first, then by name. */
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

/** Return lower case without accents, so that « Émile » is found by "emile". */
function plain(words: string): string {
  return words
    .normalize("NFD")
    .replace(/\p{Diacritic}/gu, "")
    .toLowerCase();
}
