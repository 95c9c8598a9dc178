/**
 * How long what the relay said of a camera holds.  A state is of the moment when it was said: the relay says it again every second
 * while the camera is on air, so silence alone makes it unknown, even where the live socket still stands.
 *
 * Owns: when each camera was told last.  Must never know: elements, the socket, the clock but the `now` given (milliseconds).
 */

import { isOnAir, type LiveMessage } from "./live_state";
import type { Camera } from "./model";

/** A few of the relay's seconds: less would call a busy relay silent. */
export const FRESH_FOR_MS = 5000;

export class CameraFreshness {
  readonly #receivedAt = new Map<string, number>();

  /** Take note of a message that came at `now`. */
  note(message: LiveMessage, now: number): void {
    if (message.t === "hello") this.#receivedAt.clear();
    else if (message.t === "gone") this.#receivedAt.delete(message.camera);
    else if (message.t === "camera") this.#receivedAt.set(message.camera.camera, now);
    else if (message.t === "cameras") for (const camera of message.cameras) this.#receivedAt.set(camera.camera, now);
  }

  /** Whether what was said may still be repeated.  Of a camera that is not on air the relay speaks only when something changes. */
  isFresh(camera: Camera, now: number): boolean {
    const at = this.#receivedAt.get(camera.camera);
    return at !== undefined && (!isOnAir(camera) || now - at <= FRESH_FOR_MS);
  }

  /** How old the newest seal is in seconds, the time since it was said included; null where there is none. */
  sealedAge(camera: Camera, now: number): number | null {
    const at = this.#receivedAt.get(camera.camera);
    return at === undefined || camera.sealedAge === null ? null : camera.sealedAge + (now - at) / 1000;
  }
}
