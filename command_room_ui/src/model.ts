/**
 * Cameras, legs, people, recordings and journal entries as the relay sends them.
 *
 * Owns: their types, and how each is read.  Must never know: by which way they came or how they are shown.
 */

import { entries, type Fields, fields, flag, list, moment, number, numberOr, oneOf, raw, text, textOr } from "./decode";
import type * as http from "./generated/http";
import type * as live from "./generated/live";

export const ROLES = ["operator", "commander", "auditor", "administrator"] as const;
export type Role = (typeof ROLES)[number];

export const SOURCE_STATES = ["offline", "idle", "connecting", "live", "frozen", "lost", "ended"] as const;
export type SourceState = (typeof SOURCE_STATES)[number];

export const REC_STATES = ["none", "waiting", "recording", "unrecorded", "stalled", "full"] as const;
export const MEDIA_KINDS = ["video", "audio"] as const;
export type MediaKind = (typeof MEDIA_KINDS)[number];
export type RecState = (typeof REC_STATES)[number];

export const STREAM_WARNINGS = ["b_frames", "sound_declined"] as const satisfies live.CameraState["warnings"];
export type StreamWarning = (typeof STREAM_WARNINGS)[number];

export const DISK_STATES = ["ok", "stalled", "full", "gone"] as const;

/** The disk of the recordings; `fullInS` at the present rate, null while it does not fill. */
export interface Disk {
  readonly state: (typeof DISK_STATES)[number];
  readonly free: number;
  readonly fullInS: number | null;
}

export type Layer = live.SetLayer["layer"];

export interface SignInSession {
  readonly user: string;
  readonly name: string;
  readonly role: Role;
  readonly csrf: string;
  readonly expiresAt: number | null;
  /** The password was a one-time password: it must be changed before the relay answers anything else. */
  readonly mustChange: boolean;
}

export interface Camera {
  readonly camera: string;
  readonly label: string;
  readonly state: SourceState;
  readonly worker: number | null;
  readonly regime: string;
  readonly commune: string;
  readonly liveAudio: boolean;
  readonly recording: string | null;
  readonly original: "relay" | "camera";
  readonly bearer: string | null;
  readonly intervention: string | null;
  readonly kbps: number | null;
  readonly fps: number | null;
  readonly loss: number | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly lastFrameAge: number | null;
  /** What its encoder does that spoils live pictures; a word that this page does not know is left out. */
  readonly warnings: readonly StreamWarning[];
  readonly clockOffsetMs: number | null;
  readonly clockUncertaintyMs: number | null;
  /** The shortest time that camera to relay took; null where the camera's clock is unknown. */
  readonly uplinkMs: number | null;
  readonly rec: RecState;
  /** Tracks of which packets arrive and nothing is recorded. */
  readonly unrecorded: readonly MediaKind[];
  readonly sealedAge: number | null;
  readonly battery: number | null;
  readonly viewers: number;
  readonly online: boolean;
  readonly pressed: boolean;
  /** Seconds since the press by the relay's count: this page may have been opened later. */
  readonly pressedAge: number | null;
  readonly revoked: boolean;
  /** When the transmission ends unless it is confirmed (UTC milliseconds); null where it has no end. */
  readonly endsAt: number | null;
}

export interface Intervention {
  readonly id: string;
  readonly label: string;
  readonly openedBy: string;
  readonly openedAt: number | null;
  /** The signed-in person's own motive; null where that person has not joined. */
  readonly motive: string | null;
}

export interface Leg {
  readonly view: string;
  readonly kbps: number;
  readonly loss: number;
  readonly rttMs: number | null;
  readonly layer: Layer;
  readonly limited: boolean;
  readonly delayMs: number;
  /** The leg's last sender report; null before one. */
  readonly stamp: Stamp | null;
}

/** A moment in the relay's clock (UTC milliseconds) and in the leg's RTP time (90 kHz, 32 bits). */
export interface Stamp {
  readonly ms: number;
  readonly rtp: number;
}

export interface Recording {
  readonly id: string;
  readonly camera: string;
  readonly label: string;
  readonly regime: string;
  readonly original: string;
  readonly bearer: string | null;
  readonly intervention: string | null;
  readonly trigger: string;
  readonly threat: string;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly expiresOn: string;
  readonly state: "open" | "closed" | "erased" | "unknown";
  readonly reason: string | null;
  readonly recovered: boolean;
  readonly durationMs: number;
  readonly storedBytes: number;
  readonly gaps: number;
  /** Sent with a single recording, not in lists. */
  readonly segments: readonly Segment[];
  readonly gapList: readonly Gap[];
  readonly held: boolean;
}

export interface Segment {
  readonly segment: number;
  readonly startAt: number | null;
  readonly endAt: number | null;
}

export interface Gap {
  readonly startAt: number | null;
  readonly seconds: number;
  readonly cause: string;
}

export interface Person {
  readonly user: string;
  readonly name: string;
  readonly role: Role;
  readonly disabled: boolean;
  readonly mustChange: boolean;
  readonly actRef: string;
}

export interface JournalEntry {
  readonly leaf: number;
  readonly at: number | null;
  readonly hash: string;
  /** Null after three years: then only the hash is kept. */
  readonly body: JournalBody | null;
}

export interface JournalBody {
  readonly operation: string;
  readonly author: string;
  readonly role: string;
  readonly motive: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly result: string;
  readonly recipients: readonly string[];
  readonly details: Readonly<Record<string, string>>;
}

export function readSignInSession(value: unknown): SignInSession {
  const from = fields<http.Session>(value, "a session");
  const role = oneOf(from, "role", ROLES, null);
  return {
    user: text(from, "user"),
    name: textOr(from, "name", text(from, "user")),
    role: role ?? "auditor",
    csrf: text(from, "csrf"),
    expiresAt: moment(from, "expires"),
    mustChange: flag(from, "must_change"),
  };
}

export function readDisk(from: Fields<live.DiskReport>): Disk {
  return {
    state: oneOf(from, "state", DISK_STATES, "ok"),
    free: numberOr(from, "free", 0),
    fullInS: numberOr(from, "full_in_s", null),
  };
}

export function readCamera(value: unknown): Camera {
  // A live state, or an enrolment as the relay sends it to administrators.
  const from = fields<live.CameraState & http.CameraEnrolment>(value, "a camera");
  const camera = text(from, "camera");
  return {
    camera,
    label: textOr(from, "label", camera),
    state: oneOf(from, "state", SOURCE_STATES, "offline"),
    worker: numberOr(from, "worker", null),
    regime: textOr(from, "regime", ""),
    commune: textOr(from, "commune", ""),
    liveAudio: flag(from, "live_audio"),
    recording: textOr(from, "recording", null),
    original: oneOf(from, "original", ["relay", "camera"], "relay"),
    bearer: textOr(from, "bearer", null),
    intervention: textOr(from, "intervention", null),
    kbps: numberOr(from, "kbps", null),
    fps: numberOr(from, "fps", null),
    loss: numberOr(from, "loss", null),
    width: numberOr(from, "width", null),
    height: numberOr(from, "height", null),
    lastFrameAge: numberOr(from, "last_frame_age", null),
    warnings: list(from, "warnings", String).flatMap((word) => STREAM_WARNINGS.filter((known) => known === word)),
    clockOffsetMs: numberOr(from, "clock_offset_ms", null),
    clockUncertaintyMs: numberOr(from, "clock_uncertainty_ms", null),
    uplinkMs: numberOr(from, "uplink_ms", null),
    rec: oneOf(from, "rec", REC_STATES, "none"),
    unrecorded: mediaKinds(raw(from, "unrecorded")),
    sealedAge: numberOr(from, "sealed_age", null),
    battery: numberOr(from, "battery", null),
    viewers: numberOr(from, "viewers", 0),
    online: flag(from, "online"),
    pressed: flag(from, "pressed"),
    pressedAge: numberOr(from, "pressed_age", null),
    revoked: moment(from, "revoked") !== null,
    endsAt: moment(from, "ends"),
  };
}

/** Read a list of kinds; an enrolment has none. */
function mediaKinds(value: unknown): readonly MediaKind[] {
  return Array.isArray(value) ? MEDIA_KINDS.filter((kind) => value.includes(kind)) : [];
}

export function readIntervention(value: unknown): Intervention {
  const from = fields<http.InterventionOut>(value, "an intervention");
  return {
    id: text(from, "intervention"),
    label: textOr(from, "label", ""),
    openedBy: textOr(from, "opened_by", ""),
    openedAt: moment(from, "opened"),
    motive: textOr(from, "motive", null),
  };
}

export function readLeg(value: unknown): Leg {
  const from = fields<live.LegReport>(value, "a leg");
  return {
    view: text(from, "view"),
    kbps: numberOr(from, "kbps", 0),
    loss: numberOr(from, "loss", 0),
    rttMs: numberOr(from, "rtt_ms", null),
    layer: oneOf(from, "layer", ["high", "low", "key"], "high"),
    limited: flag(from, "limited"),
    delayMs: numberOr(from, "delay_ms", 0),
    stamp: readStamp(from),
  };
}

function readStamp(from: Fields<live.LegReport>): Stamp | null {
  const nanoseconds = numberOr(from, "stamp_ns", null);
  const rtp = numberOr(from, "stamp_rtp", null);
  return nanoseconds === null || rtp === null ? null : { ms: nanoseconds / 1e6, rtp };
}

export function readRecording(value: unknown): Recording {
  const from = fields<http.RecordingDetail>(value, "a recording");
  const camera = text(from, "camera");
  return {
    id: text(from, "recording"),
    camera,
    label: textOr(from, "camera_label", camera),
    regime: textOr(from, "regime", ""),
    original: textOr(from, "original", "relay"),
    bearer: textOr(from, "bearer", null),
    intervention: textOr(from, "intervention", null),
    trigger: textOr(from, "trigger", ""),
    threat: textOr(from, "threat", ""),
    startedAt: moment(from, "started"),
    endedAt: moment(from, "ended"),
    expiresOn: textOr(from, "expires_on", ""),
    state: oneOf(from, "state", ["open", "closed", "erased"], "unknown"),
    reason: textOr(from, "reason", null),
    recovered: flag(from, "recovered"),
    durationMs: numberOr(from, "duration_s", 0) * 1000,
    storedBytes: numberOr(from, "stored_bytes", 0),
    gaps: numberOr(from, "gaps", 0),
    segments: list(from, "segments", readSegment),
    gapList: list(from, "gap_list", readGap),
    held: flag(from, "held"),
  };
}

function readSegment(value: unknown): Segment {
  const from = fields<http.SegmentOut>(value, "a segment");
  return { segment: number(from, "segment"), startAt: moment(from, "start"), endAt: moment(from, "end") };
}

function readGap(value: unknown): Gap {
  const from = fields<http.GapOut>(value, "a gap");
  return { startAt: moment(from, "start"), seconds: numberOr(from, "seconds", 0), cause: textOr(from, "cause", "") };
}

export function readPerson(value: unknown): Person {
  const from = fields<http.UserOut>(value, "a person");
  const user = text(from, "user");
  return {
    user,
    name: textOr(from, "name", user),
    role: oneOf(from, "role", ROLES, "operator"),
    disabled: flag(from, "disabled"),
    mustChange: flag(from, "must_change"),
    actRef: textOr(from, "act_ref", ""),
  };
}

export function readJournalEntry(value: unknown): JournalEntry {
  const from = fields<http.JournalLeaf>(value, "an entry");
  return {
    leaf: number(from, "leaf"),
    at: moment(from, "at"),
    hash: textOr(from, "leaf_hash", ""),
    body: raw(from, "body") == null ? null : readJournalBody(fields(raw(from, "body"), "a body")),
  };
}

function readJournalBody(from: Fields): JournalBody {
  const details = entries(fields(raw(from, "details") ?? {}, "details"));
  return {
    operation: textOr(from, "operation", "?"),
    author: textOr(from, "author", ""),
    role: textOr(from, "role", ""),
    motive: textOr(from, "motive", ""),
    objectType: textOr(from, "object_type", ""),
    objectId: textOr(from, "object_id", ""),
    result: textOr(from, "result", ""),
    recipients: list(from, "recipients", String),
    details: Object.fromEntries(details.filter(([, value]) => value !== null).map(([key, value]) => [key, String(value)])),
  };
}
