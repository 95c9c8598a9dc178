/**
 * When a transmission ends unless a person confirms that the threat lasts (LIV-07).
 *
 * Owns: how long before it the end is announced.  Must never know: elements, the clock but the `now` given (UTC milliseconds).
 */

import { isOnAir } from "./live_state";
import type { Camera } from "./model";

/** Long enough to ask on the radio whether the threat lasts. */
export const NOTICE_MS = 600_000;

export interface TransmissionEnd {
  /** UTC milliseconds. */
  readonly at: number;
  /** From now, never negative. */
  readonly seconds: number;
}

/** Return the end of a camera's transmission once it is near; null where it is not near, or there is none. */
export function upcomingEnd(camera: Camera, now: number): TransmissionEnd | null {
  const at = camera.endsAt;
  if (at === null || !isOnAir(camera) || at - now > NOTICE_MS) return null;
  return { at, seconds: Math.max(0, at - now) / 1000 };
}

/** Return the camera whose transmission ends first among those that end soon; null where none does. */
export function firstToEnd(cameras: Iterable<Camera>, now: number): string | null {
  const ending = [...cameras].filter((camera) => upcomingEnd(camera, now) !== null);
  return ending.sort((left, right) => (left.endsAt ?? 0) - (right.endsAt ?? 0))[0]?.camera ?? null;
}
