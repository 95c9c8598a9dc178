/**
 * Alarms of this post: pressed buttons, and what the relay reports by itself.
 *
 * Owns: when an alarm is raised, merged, lowered, and what survives a reload.  Must never know: the socket, elements.
 */

import { DecodeError, fields, flag, list, number, text } from "./decode";
import type { AlarmReason } from "./generated/live";
import type { Camera } from "./model";

/** What the relay reports of a camera by itself: a recording that failed, say. */
export interface AlarmReport {
  readonly camera: string;
  readonly reason: string;
  /** UTC milliseconds; null where the relay does not say. */
  readonly at: number | null;
}

export interface Alarm {
  readonly camera: string;
  readonly reason: string;
  /** UTC milliseconds. */
  readonly at: number;
  /** Somebody at this post has seen it: the sound stops, the mark stays while the button is pressed. */
  readonly seen: boolean;
  /** The button was pressed, whatever was reported beside it. */
  readonly pressed: boolean;
  /** What the relay reported under it, by `eventOf`. */
  readonly events: readonly string[];
}

export interface AlarmState {
  readonly alarms: ReadonlyMap<string, Alarm>;
  /** Dated reports that were seen at this post: the relay tells them again where it is not sure that they arrived. */
  readonly seen: ReadonlySet<string>;
}

export const NO_ALARMS: AlarmState = { alarms: new Map(), seen: new Set() };
/** The relay's announcement of an end (LIV-07). */
export const ENDS_SOON: AlarmReason = "ends_soon";
/** Reports of one camera that are remembered while nobody has seen them, and seen ones that are remembered. */
const MAX_EVENTS = 16;
const MAX_SEEN = 256;
/** The relay tells an end to the second; an end that moved further was confirmed. */
const MOVED_MS = 5000;

/** An emergency is a pressed button; what the relay reports by itself (a failed recording) must not look like one. */
export function isTechnical(alarm: Alarm): boolean {
  return !alarm.pressed && alarm.reason !== "";
}

/** The relay reported something; what was told before and is dated tells nothing new. */
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

/** A pressed button raises an alarm by itself; a released one lowers it once somebody has seen it. */
export function follow(state: AlarmState, camera: Camera, known: Camera | undefined, now: number): AlarmState {
  const alarm = state.alarms.get(camera.camera);
  if (camera.pressed && alarm?.pressed !== true) return press(state, camera, now);
  if (alarm === undefined) return state;
  const over = (!camera.pressed && alarm.seen) || (isEnding(alarm) && endMoved(camera, known));
  return over ? lower(state, camera.camera) : state;
}

/** An alarm was seen at this post. */
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

/** Nothing but the announcement of an end. */
function isEnding(alarm: Alarm): boolean {
  return !alarm.pressed && alarm.events.length > 0 && alarm.events.every((event) => event.endsWith(ENDS_SOON));
}

/** The transmission was confirmed since it was told last, or is over. */
function endMoved(camera: Camera, known: Camera | undefined): boolean {
  if (camera.endsAt === null) return true;
  return known?.endsAt != null && camera.endsAt > known.endsAt + MOVED_MS;
}

/** What a reload of the page keeps. */
export function saveAlarms({ alarms, seen }: AlarmState): string {
  return JSON.stringify({ alarms: [...alarms.values()], seen: [...seen] });
}

/** Read what `saveAlarms` wrote; anything else is no alarm. */
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
