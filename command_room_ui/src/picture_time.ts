/** The time at which a picture of a recording was taken.  Owns: the arithmetic.  Must never know: the player. */

import type { Segment } from "./model";

/** A segment on the time line of the player; `start` in seconds. */
export interface Span {
  readonly segment: number;
  readonly start: number;
}

/**
 * Return the UTC milliseconds of the picture at `mediaTime` (seconds); null where its segment or that segment's start is
 * unknown.
 */
export function pictureTime(mediaTime: number, spans: readonly Span[], segments: readonly Segment[]): number | null {
  const span = spans.findLast((candidate) => candidate.start <= mediaTime + 0.001);
  const startAt = segments.find((segment) => segment.segment === span?.segment)?.startAt ?? null;
  return span === undefined || startAt === null ? null : startAt + (mediaTime - span.start) * 1000;
}
