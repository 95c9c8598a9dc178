/** When a picture of a recording was taken.  Owns: the arithmetic.  Must never know: the player. */

import type { Segment } from "./model";

/** A segment as the player has it on its time line, seconds. */
export interface Span {
  readonly segment: number;
  readonly start: number;
}

/** Return UTC milliseconds of what is shown at `mediaTime`, null where the segment or its start is unknown. */
export function pictureTime(mediaTime: number, spans: readonly Span[], segments: readonly Segment[]): number | null {
  const span = spans.findLast((candidate) => candidate.start <= mediaTime + 0.001);
  const startAt = segments.find((segment) => segment.segment === span?.segment)?.startAt ?? null;
  return span === undefined || startAt === null ? null : startAt + (mediaTime - span.start) * 1000;
}
