/**
 * What a person has to be shown of the disk of the recordings.
 *
 * Owns: how close to full the disk must be for a line and for a banner.  Must never know: elements, words.
 */

import type { Disk } from "./model";

const DAY_S = 86_400;
const WORTH_A_LINE_S = 14 * DAY_S;
const WORTH_A_BANNER_S = DAY_S;

export type DiskNotice =
  | { readonly level: "none" }
  | { readonly level: "line" | "warn"; readonly fullInS: number; readonly free: number }
  | { readonly level: "bad"; readonly state: "stalled" | "full" | "gone" };

export function diskNotice(disk: Disk | null): DiskNotice {
  if (disk === null) return { level: "none" };
  if (disk.state !== "ok") return { level: "bad", state: disk.state };
  if (disk.fullInS === null || disk.fullInS > WORTH_A_LINE_S) return { level: "none" };
  return { level: disk.fullInS > WORTH_A_BANNER_S ? "line" : "warn", fullInS: disk.fullInS, free: disk.free };
}
