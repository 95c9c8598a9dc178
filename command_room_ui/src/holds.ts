/**
 * Holds as the relay sends them: recordings kept past their term for a procedure.
 *
 * Owns: their fields, and whether a term is over.  Must never know: elements, who may open a hold.
 */

import { fields, flag, list, moment, text, textOr } from "./decode";
import type * as http from "./generated/http";

/** The kinds of procedure that R241-4 and R241-13 name. */
export const PROCEDURES = ["judiciaire", "administrative", "disciplinaire"] as const;

export interface Hold {
  readonly id: string;
  readonly recording: string;
  readonly label: string;
  readonly startedAt: number | null;
  /** The day, YYYY-MM-DD, on which the recording would be erased without the hold. */
  readonly expiresOn: string;
  readonly type: string;
  readonly procedure: string;
  readonly authority: string;
  readonly requestedBy: string;
  readonly openedBy: string;
  readonly openedAt: number | null;
  readonly reviewOn: string;
  readonly overdue: boolean;
  readonly liftedBy: string | null;
  readonly liftedAt: number | null;
}

export interface RecordingHolds {
  readonly holds: readonly Hold[];
  /** Procedures for which an extraction was handed over whole: only for these may the recording be held. */
  readonly procedures: readonly string[];
  /** A restored catalogue has lost a hold: a hold may be opened again for any procedure. */
  readonly lost: boolean;
}

export type HoldRequest = http.HoldOpen;

export function readHold(value: unknown): Hold {
  const from = fields<http.HoldOut>(value, "a hold");
  return {
    id: text(from, "hold"),
    recording: text(from, "recording"),
    label: textOr(from, "camera_label", ""),
    startedAt: moment(from, "started"),
    expiresOn: textOr(from, "expires_on", ""),
    type: textOr(from, "procedure_type", ""),
    procedure: textOr(from, "procedure_no", ""),
    authority: textOr(from, "authority", ""),
    requestedBy: textOr(from, "requested_by", ""),
    openedBy: textOr(from, "opened_by", ""),
    openedAt: moment(from, "opened"),
    reviewOn: textOr(from, "review_on", ""),
    overdue: flag(from, "overdue"),
    liftedBy: textOr(from, "lifted_by", null),
    liftedAt: moment(from, "lifted"),
  };
}

export function readRecordingHolds(value: unknown): RecordingHolds {
  const from = fields<http.RecordingHolds>(value, "holds");
  return { holds: list(from, "holds", readHold), procedures: list(from, "procedures", String), lost: flag(from, "lost") };
}

/** Whether a term is over: it is from the beginning of its day in Paris, wherever the browser is. */
export function isPast(expiresOn: string, now: number): boolean {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: "Europe/Paris",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  }).formatToParts(now);
  const part = (type: string): string => parts.find((found) => found.type === type)?.value ?? "";
  return `${part("year")}-${part("month")}-${part("day")}` >= expiresOn;
}
