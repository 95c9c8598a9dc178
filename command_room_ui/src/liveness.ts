/**
 * Whether a tile's picture is live: the only place where the page decides what it may claim of a picture.
 *
 * Owns: the states of a tile and the rules between them.  Must never know: elements, sockets, the clock but the `now` given.
 *
 * Rules: (1) A picture is *live* only while frames of the wanted camera are being presented.  (2) A picture that stands still
 * is *frozen*, with the age of its last frame, even while every socket is open.  (3) After a switch nothing of the camera
 * before is shown under the new name: a frame counts only if it was received after the relay's `assigned`.  (4) A cause that
 * the relay knows (lost, ended, refused) is named; the picture stays frozen under it.  (5) Once the relay reports the worker
 * down, the picture is frozen until a frame of a new view is presented, even if the browser still presents frames that it had
 * buffered.
 */

import type { Layer, SourceState } from "./model";

export type TileKind = "empty" | "asleep" | "waiting" | "live" | "frozen" | "refused";

/** Why a tile is not live, as far as the page knows. */
export type Cause =
  | "none"
  | "relay"
  | "media"
  | "media_refused"
  | "worker"
  | "camera_lost"
  | "camera_ended"
  | "camera_frozen"
  | "camera_offline"
  | "camera_idle"
  | "stalled";

export interface Liveness {
  readonly kind: TileKind;
  readonly cause: Cause;
  /** Seconds since the last frame was presented; null where none was. */
  readonly age: number | null;
}

export interface LivenessFacts {
  readonly camera: string | null;
  readonly source: SourceState;
  readonly refused: boolean;
  readonly socketUp: boolean;
  readonly mediaUp: boolean;
  /** The relay refused the connection for good. */
  readonly mediaRefused: boolean;
  /** The relay reported the worker down, and has not yet reported it back. */
  readonly workerDown: boolean;
  /** The view ended with its worker, and no frame of a new view was presented yet. */
  readonly halted: boolean;
  readonly layer: Layer;
  /** Milliseconds; null: no frame of this camera was presented yet. */
  readonly lastFrame: number | null;
  /** Usual time between two frames in milliseconds, null while unknown. */
  readonly interval: number | null;
}

/** A picture that has not moved for this long is not live. */
export const FREEZE_AFTER_MS = 1000;
/** The same for a view of keyframes only: one arrives about every two seconds. */
export const FREEZE_AFTER_KEY_MS = 4500;
const FRAMES_MISSED = 4;
const MAX_TOLERATED_MS = 2500;

/** Return the milliseconds without a frame after which a picture is frozen. */
export function freezeAfter(layer: Layer, interval: number | null): number {
  if (layer === "key") return FREEZE_AFTER_KEY_MS;
  const slow = Math.min(MAX_TOLERATED_MS, (interval ?? 0) * FRAMES_MISSED);
  return Math.max(FREEZE_AFTER_MS, slow);
}

/** Decide what a tile may claim at `now` (milliseconds, same clock as `lastFrame`). */
export function judge(facts: LivenessFacts, now: number): Liveness {
  if (facts.camera === null) return { kind: "empty", cause: "none", age: null };
  if (facts.refused) return { kind: "refused", cause: "none", age: null };
  if (facts.lastFrame === null) return notYet(facts);
  const still = now - facts.lastFrame;
  if (!facts.halted && still < freezeAfter(facts.layer, facts.interval))
    return { kind: "live", cause: "none", age: still / 1000 };
  return { kind: "frozen", cause: whyStill(facts), age: still / 1000 };
}

function notYet(facts: LivenessFacts): Liveness {
  const cause = whyStill(facts);
  const idle = facts.source === "offline" || facts.source === "idle" || facts.source === "ended";
  return { kind: idle && facts.socketUp ? "asleep" : "waiting", cause: cause === "stalled" ? "none" : cause, age: null };
}

const CAUSES: Readonly<Partial<Record<SourceState, Cause>>> = {
  lost: "camera_lost",
  ended: "camera_ended",
  offline: "camera_offline",
  idle: "camera_idle",
  frozen: "camera_frozen",
};

function whyStill(facts: LivenessFacts): Cause {
  if (!facts.socketUp) return "relay";
  if (facts.workerDown) return "worker";
  if (facts.mediaRefused) return "media_refused";
  return CAUSES[facts.source] ?? (facts.mediaUp ? "stalled" : "media");
}

/** A presented frame as requestVideoFrameCallback reports it; times in milliseconds. */
export interface PresentedFrame {
  readonly at: number;
  /** When its last packet was received; null where the browser does not report it. */
  readonly received: number | null;
  /** The frame's RTP time; null where the browser does not report it. */
  readonly rtp: number | null;
}

/** How long a browser may hold a frame back to play smoothly.  A frame held longer is old when it is shown. */
export const BUFFER_MS = 500;

/**
 * Return when a frame counts as shown, for a callback at `now`: not in the future, and not later because the browser held it
 * back.
 */
export function shownAt(now: number, received: number | null): number {
  return received === null ? now : Math.min(now, received + BUFFER_MS);
}

/** The frames of one tile: which belong to the wanted camera, when the last was presented, how often one is presented. */
export class FrameWatch {
  #since: number | null = null;
  #last: number | null = null;
  #interval: number | null = null;
  #before: PresentedFrame | null = null;
  #frames = 0;
  #freezes = 0;
  #longest = 0;
  #halted = false;

  /** Where the browser reports no receive time: a frame this long after `assigned` cannot be of the camera before. */
  static readonly SETTLE_MS = 450;

  get lastFrame(): number | null {
    return this.#last;
  }

  get interval(): number | null {
    return this.#interval;
  }

  /** Whether the view is over and no frame of a new one was presented yet. */
  get halted(): boolean {
    return this.#halted;
  }

  get frames(): number {
    return this.#frames;
  }

  /** Pauses of more than 500 ms between two frames, and the longest of them. */
  get freezes(): { readonly count: number; readonly longestMs: number } {
    return { count: this.#freezes, longestMs: this.#longest };
  }

  /** Another camera is wanted: no frame seen so far counts. */
  expect(): void {
    this.#since = null;
    this.#last = null;
    this.#interval = null;
    this.#before = null;
    this.#frames = 0;
    this.#freezes = 0;
    this.#longest = 0;
    this.#halted = false;
  }

  /**
   * The view ended with its worker.  Frames that the browser still presents are old; frames count again after the next
   * `assigned`.
   */
  halt(): void {
    this.#since = null;
    this.#halted = true;
  }

  /** The relay's `assigned` was received at `now`. */
  assigned(now: number): void {
    this.#since ??= now;
  }

  /** Take a presented frame.  Return whether it is the wanted camera's. */
  presented(frame: PresentedFrame): boolean {
    if (!this.#belongs(frame) || !this.#isNew(frame)) return false;
    this.#before = frame;
    this.#halted = false;
    if (this.#last !== null) this.#pace(Math.max(0, frame.at - this.#last));
    this.#last = frame.at;
    this.#frames += 1;
    return true;
  }

  #belongs(frame: PresentedFrame): boolean {
    if (this.#since === null) return false;
    if (frame.received !== null) return frame.received >= this.#since;
    return frame.at >= this.#since + FrameWatch.SETTLE_MS;
  }

  /**
   * A browser paints the last frame once more when a track ends or an element changes.  Such a frame has the times of the frame
   * before, or no receive time although the frame before had one.
   */
  #isNew(frame: PresentedFrame): boolean {
    const before = this.#before;
    if (before === null || before.received === null) return true;
    if (frame.received === null) return false;
    return frame.received !== before.received || frame.rtp !== before.rtp;
  }

  #pace(pause: number): void {
    if (pause > 500) {
      this.#freezes += 1;
      this.#longest = Math.max(this.#longest, pause);
      return;
    }
    this.#interval = this.#interval === null ? pause : this.#interval + (pause - this.#interval) / 8;
  }
}
