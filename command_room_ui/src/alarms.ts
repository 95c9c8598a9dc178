/**
 * The alarms of this page: pressed buttons, and what the relay reports by itself.
 *
 * Owns: when an alarm is raised, merged and lowered, and what a reload keeps.  Must never know: the socket, elements.
 */

import { DecodeError, fields, flag, list, number, text } from "./decode";
import type { AlarmReason } from "./generated/live";
import type { Camera } from "./model";

/** An alarm that the relay raises by itself, for example because a recording failed. */
export interface AlarmReport {
  readonly camera: string;
  readonly reason: string;
  /** UTC milliseconds; null where the relay gives none. */
  readonly at: number | null;
}

export interface Alarm {
  readonly camera: string;
  readonly reason: string;
  /** UTC milliseconds. */
  readonly at: number;
  /** A person at this page has seen it: the sound stops; the mark stays while the button is pressed. */
  readonly seen: boolean;
  /** The button was pressed; the relay may have reported other reasons as well. */
  readonly pressed: boolean;
  /** The relay's reports that this alarm merges, each as camera, time and reason. */
  readonly events: readonly string[];
}

export interface AlarmState {
  readonly alarms: ReadonlyMap<string, Alarm>;
  /** Dated reports that were seen at this page.  The relay sends a report again where it is not sure that it arrived. */
  readonly seen: ReadonlySet<string>;
}

export const NO_ALARMS: AlarmState = { alarms: new Map(), seen: new Set() };
/** The relay's announcement of an end (LIV-07). */
export const ENDS_SOON: AlarmReason = "ends_soon";
/** How many unseen reports of one camera are remembered, and how many seen reports of all cameras. */
const MAX_EVENTS = 16;
const MAX_SEEN = 256;
/** The relay gives an end to the second.  An end that moved by more than this was confirmed. */
const MOVED_MS = 5000;

/** Whether an alarm is technical.  Only a pressed button is an emergency; a report of the relay must not look like one. */
export function isTechnical(alarm: Alarm): boolean {
  return !alarm.pressed && alarm.reason !== "";
}

/** Take a report of the relay.  A dated report that was received before changes nothing. */
export function report(state: AlarmState, fact: AlarmReport, now: number): AlarmState {
  const event = `${fact.camera} ${fact.at ?? ""} ${fact.reason}`;
  const before = state.alarms.get(fact.camera);
  if (fact.at !== null && (state.seen.has(event) || before?.events.includes(event))) return state;
  const events = [...(before?.events ?? []), event].slice(-MAX_EVENTS);
  const next: Alarm =
    before === undefined || before.seen
      ? { ...fact, at: fact.at ?? now, seen: false, pressed: before?.pressed ?? false, events }
      : { ...before, reason: fact.reason || before.reason, events };
  return { ...state, alarms: new Map(state.alarms).set(fact.camera, next) };
}

/** Take a camera's state.  A pressed button raises an alarm; a released one lowers it once a person has seen it. */
export function follow(state: AlarmState, camera: Camera, known: Camera | undefined, now: number): AlarmState {
  const alarm = state.alarms.get(camera.camera);
  if (camera.pressed && alarm?.pressed !== true) return press(state, camera, now);
  if (alarm === undefined) return state;
  const over = (!camera.pressed && alarm.seen) || (isEnding(alarm) && endMoved(camera, known));
  return over ? lower(state, camera.camera) : state;
}

/** A person at this page has seen an alarm. */
export function see(state: AlarmState, camera: string, pressed: boolean): AlarmState {
  const alarm = state.alarms.get(camera);
  if (alarm === undefined) return state;
  const seen = new Set([...state.seen, ...alarm.events].slice(-MAX_SEEN));
  if (!pressed) return { ...lower(state, camera), seen };
  return { alarms: new Map(state.alarms).set(camera, { ...alarm, seen: true }), seen };
}

export function lower(state: AlarmState, camera: string): AlarmState {
  if (!state.alarms.has(camera)) return state;
  const alarms = new Map(state.alarms);
  alarms.delete(camera);
  return { ...state, alarms };
}

function press(state: AlarmState, camera: Camera, now: number): AlarmState {
  const at = now - (camera.pressedAge ?? 0) * 1000;
  const before = state.alarms.get(camera.camera);
  const fresh = { camera: camera.camera, reason: "", at, events: [] };
  return { ...state, alarms: new Map(state.alarms).set(camera.camera, { ...fresh, ...before, seen: false, pressed: true }) };
}

/** Whether an alarm only announces an end. */
function isEnding(alarm: Alarm): boolean {
  return !alarm.pressed && alarm.events.length > 0 && alarm.events.every((event) => event.endsWith(ENDS_SOON));
}

/** Whether the transmission was confirmed since its last state, or is over. */
function endMoved(camera: Camera, known: Camera | undefined): boolean {
  if (camera.endsAt === null) return true;
  return known?.endsAt != null && camera.endsAt > known.endsAt + MOVED_MS;
}

/** Return the text that a reload of the page keeps. */
export function saveAlarms({ alarms, seen }: AlarmState): string {
  return JSON.stringify({ alarms: [...alarms.values()], seen: [...seen] });
}

/** Read the text of `saveAlarms`; any other text gives no alarm. */
export function restoreAlarms(kept: string | null): AlarmState {
  try {
    const from = fields(JSON.parse(kept ?? ""));
    const alarms = list(from, "alarms", readAlarm);
    return { alarms: new Map(alarms.map((alarm) => [alarm.camera, alarm])), seen: new Set(list(from, "seen", String)) };
  } catch (error) {
    if (error instanceof DecodeError || error instanceof SyntaxError) return NO_ALARMS;
    throw error;
  }
}

function readAlarm(value: unknown): Alarm {
  const from = fields(value);
  return {
    camera: text(from, "camera"),
    reason: text(from, "reason"),
    at: number(from, "at"),
    seen: flag(from, "seen"),
    pressed: flag(from, "pressed"),
    events: list(from, "events", String),
  };
}
