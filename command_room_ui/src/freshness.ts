/**
 * Whether the state of a camera is still known.  The relay sends the state of a camera on air every second.  So a state that
 * has not been sent for a few seconds is unknown, even while the live socket is open.
 *
 * Owns: when each camera's state was received last.  Must never know: elements, the socket, the clock but the `now` given
 * (milliseconds).
 */

import { isOnAir, type LiveMessage } from "./live_state";
import type { Camera } from "./model";

/** Five of the relay's one-second periods: with fewer, a busy relay would count as silent. */
export const FRESH_FOR_MS = 5000;

export class CameraFreshness {
  readonly #receivedAt = new Map<string, number>();

  /** Note a message that was received at `now`. */
  note(message: LiveMessage, now: number): void {
    if (message.t === "hello") this.#receivedAt.clear();
    else if (message.t === "gone") this.#receivedAt.delete(message.camera);
    else if (message.t === "cameras" || message.t === "states")
      for (const camera of message.cameras) this.#receivedAt.set(camera.camera, now);
  }

  /**
   * Whether a camera's state is still known.  The relay sends the state of a camera that is not on air only when it changes.
   */
  isFresh(camera: Camera, now: number): boolean {
    const at = this.#receivedAt.get(camera.camera);
    return at !== undefined && (!isOnAir(camera) || now - at <= FRESH_FOR_MS);
  }

  /** Return the age of the newest seal in seconds: the age that was sent plus the time since; null where there is no seal. */
  sealedAge(camera: Camera, now: number): number | null {
    const at = this.#receivedAt.get(camera.camera);
    return at === undefined || camera.sealedAge === null ? null : camera.sealedAge + (now - at) / 1000;
  }
}
