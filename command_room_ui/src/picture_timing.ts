/**
 * The frames of one visible camera as this screen presents them, and how late they are.
 *
 * Owns: the measurements of one camera's picture.  Must never know: slots, sockets, elements, the clock but the times given.
 */

import { endToEnd, Median, relayToScreen, sinceStamp, type Uncertain } from "./delay";
import { FrameWatch, type PresentedFrame } from "./liveness";
import type { Camera, Leg, Stamp } from "./model";

/** What the delays need beside the frames. */
export interface DelaySources {
  readonly camera: Camera | null;
  readonly leg: Leg | null;
  /** Round trip that ICE measured, milliseconds; the leg's own (RTCP) is preferred to it. */
  readonly iceRoundTripMs: number | null;
  /** Largest error of the relay's clock as this page knows it, milliseconds. */
  readonly clockUncertaintyMs: number | null;
}

export interface Delays {
  /** Relay to screen. */
  readonly delayMs: number | null;
  /** Camera to screen, where both clocks are known. */
  readonly endToEnd: Uncertain | null;
}

export class PictureTiming {
  readonly frames = new FrameWatch();
  /** From a frame's last packet to its presentation, milliseconds. */
  readonly #receivedToScreen = new Median();
  /** From a frame's stamp in the relay's clock to its presentation, milliseconds. */
  readonly #stampToScreen = new Median();

  /**
   * Take a frame that was presented.  `stamp` is that of its leg, `shownAt` the presentation in the relay's clock (UTC
   * milliseconds); null where unknown.  Return whether the frame is the wanted camera's.
   */
  presented(frame: PresentedFrame, stamp: Stamp | null, shownAt: number | null): boolean {
    if (!this.frames.presented(frame)) return false;
    if (frame.received !== null) this.#receivedToScreen.add(Math.max(0, frame.at - frame.received));
    if (stamp === null || frame.rtp === null || shownAt === null) return true;
    const ms = sinceStamp(stamp, frame.rtp, shownAt);
    if (ms !== null) this.#stampToScreen.add(ms);
    return true;
  }

  /** Return both delays of the last frames. */
  delays({ camera, leg, iceRoundTripMs, clockUncertaintyMs }: DelaySources): Delays {
    const delayMs = relayToScreen({
      relayMs: leg?.delayMs ?? null,
      roundTripMs: leg?.rttMs ?? iceRoundTripMs,
      screenMs: this.#receivedToScreen.value,
    });
    const ms = this.#stampToScreen.value;
    const shown = ms === null || clockUncertaintyMs === null ? null : { ms, uncertaintyMs: clockUncertaintyMs };
    return { delayMs, endToEnd: endToEnd(shown, camera?.uplinkMs ?? null, camera?.clockUncertaintyMs ?? null) };
  }
}
