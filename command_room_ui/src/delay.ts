/**
 * How late a picture is: from relay to screen, and from camera to screen where the camera's clock is known.
 *
 * Owns: the arithmetic over clocks.  Must never know: sockets, elements, the clock but the times given.
 */

/**
 * The offset between the relay's clock and the page's, from `time` echoes: the echo with the shortest round trip is used (RFC
 * 5905 §10).
 */
export class ServerClock {
  #samples: { offset: number; trip: number; at: number }[] = [];
  static readonly KEEP_MS = 120_000;
  static readonly MAX_SAMPLES = 32;

  /** Take an echo: `sent` and `received` in milliseconds of the page's clock, `server` in the relay's UTC milliseconds. */
  sample(sent: number, received: number, server: number): void {
    const trip = received - sent;
    if (trip < 0) return;
    const offset = server - (sent + trip / 2);
    this.#samples = this.#samples.filter((item) => received - item.at < ServerClock.KEEP_MS).slice(1 - ServerClock.MAX_SAMPLES);
    this.#samples.push({ offset, trip, at: received });
  }

  /** Milliseconds to add to the page's clock to get the relay's, with its largest error; null before the first echo. */
  get offset(): { readonly ms: number; readonly uncertaintyMs: number } | null {
    const best = this.#samples.reduce<{ offset: number; trip: number } | null>(
      (left, right) => (left === null || right.trip < left.trip ? right : left),
      null,
    );
    return best === null ? null : { ms: best.offset, uncertaintyMs: best.trip / 2 };
  }

  /** Return the relay's UTC milliseconds at `now` of the page's clock; null while unknown. */
  at(now: number): number | null {
    const offset = this.offset;
    return offset === null ? null : now + offset.ms;
  }
}

export interface DelayParts {
  /** From the arrival of a packet at the relay to its departure (leg report). */
  readonly relayMs: number | null;
  /** Round trip between relay and page (RTCP or ICE). */
  readonly roundTripMs: number | null;
  /** From the last packet of a frame to its presentation here. */
  readonly screenMs: number | null;
}

/**
 * Return relay to screen in milliseconds: the relay's part, half a round trip, and reassembly, decoding and display; null while
 * a part is unknown.
 */
export function relayToScreen(parts: DelayParts): number | null {
  if (parts.screenMs === null || parts.roundTripMs === null) return null;
  return Math.max(0, (parts.relayMs ?? 0) + parts.roundTripMs / 2 + parts.screenMs);
}

export interface Uncertain {
  readonly ms: number;
  readonly uncertaintyMs: number;
}

/**
 * Return camera to screen, where both clocks are known.  `shown` is the time from the frame's stamp to its presentation.  The
 * stamp is in the relay's clock; the leg's sender reports count it from the shortest time that camera to relay took.
 * `uplinkMs` is that shortest time; the relay knows it only where it knows the camera's clock.  Null where a part is unknown
 * or the parts contradict each other.
 */
export function endToEnd(
  shown: Uncertain | null,
  uplinkMs: number | null,
  cameraUncertaintyMs: number | null,
): Uncertain | null {
  if (shown === null || uplinkMs === null || cameraUncertaintyMs === null) return null;
  const ms = shown.ms + uplinkMs;
  const uncertaintyMs = shown.uncertaintyMs + cameraUncertaintyMs;
  return ms < -uncertaintyMs ? null : { ms: Math.max(0, ms), uncertaintyMs };
}

/**
 * Return the milliseconds from a frame's stamp to its presentation.  `stamp` pairs the relay's clock with the leg's RTP time,
 * `rtp` is the frame's RTP time, `shownAt` its presentation in the relay's clock.  Null where they are more than a minute
 * apart, because then they are not of the same stream.
 */
export function sinceStamp(stamp: { readonly ms: number; readonly rtp: number }, rtp: number, shownAt: number): number | null {
  // The difference of two 32-bit RTP times, as a signed number.
  const ticks = (rtp - stamp.rtp) | 0;
  const ms = shownAt - (stamp.ms + ticks / VIDEO_TICKS_PER_MS);
  return Math.abs(ms) > 60_000 ? null : ms;
}

const VIDEO_TICKS_PER_MS = 90;

/** The median of the last few values, so that one late frame does not make the figure jump. */
export class Median {
  #values: number[] = [];

  constructor(private readonly most = 15) {}

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > this.most) this.#values.shift();
  }

  clear(): void {
    this.#values = [];
  }

  get value(): number | null {
    const sorted = [...this.#values].sort((left, right) => left - right);
    return sorted[Math.floor(sorted.length / 2)] ?? null;
  }
}
