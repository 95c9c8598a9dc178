/**
 * The last request for each slot of each viewer session, and how the relay answered it.
 *
 * Owns: these requests, and when one may be sent again.  Must never know: the socket, tiles, elements, the clock but the `now`
 * given (milliseconds).
 */

import type { LiveMessage } from "./live_state";
import type { Layer } from "./model";
import type { Problem } from "./problem";

/** The camera that was asked for on a slot, and the relay's answer. */
export interface SlotRequest {
  camera: string | null;
  /** Id of the view; null until the relay has assigned the slot. */
  view: string | null;
  layer: Layer;
  /** The earliest time at which to ask again, after an end or after a refusal that may pass. */
  retryAt: number;
  refusal: Problem | null;
  /** The refusal stands until a person changes something. */
  final: boolean;
  /** Send it again although it is the same: the relay may have forgotten it, or the motive changed. */
  resend: boolean;
}

const RETRY_AFTER_END_MS = 300;
const RETRY_AFTER_REFUSAL_MS = 2000;
/** Kinds of refusal that time alone does not change. */
const FINAL: ReadonlySet<string> = new Set(["forbidden", "incomplete", "invalid", "not_acceptable", "gone"]);

export class SlotRequests {
  readonly #bySlot = new Map<string, SlotRequest>();

  /** Return the request of a slot; an empty one before the first. */
  of(worker: number, slot: number): SlotRequest {
    const key = `${worker}/${slot}`;
    const known = this.#bySlot.get(key);
    if (known !== undefined) return known;
    const made: SlotRequest = { layer: "high", ...empty() };
    this.#bySlot.set(key, made);
    return made;
  }

  /** Return the id of the view of a camera; null where none runs. */
  viewOf(camera: string): string | null {
    return [...this.#bySlot.values()].find((request) => request.camera === camera)?.view ?? null;
  }

  /** Note that a request was sent. */
  sent(worker: number, slot: number, camera: string | null, layer: Layer): void {
    Object.assign(this.of(worker, slot), { ...empty(), camera, layer });
  }

  /** The relay assigned a slot; return whether it is what was asked for last. */
  assigned(worker: number, slot: number, camera: string, view: string | null): boolean {
    const request = this.of(worker, slot);
    if (request.camera !== camera) return false;
    request.view = view;
    request.refusal = null;
    return true;
  }

  /** The relay refused what was asked for last on a slot. */
  refused({ worker, slot, kind, code, detail, facts }: Extract<LiveMessage, { t: "refused" }>, now: number): void {
    const final = FINAL.has(kind);
    const retryAt = final ? Number.POSITIVE_INFINITY : now + RETRY_AFTER_REFUSAL_MS;
    Object.assign(this.of(worker, slot), { refusal: { code, detail, facts }, view: null, final, retryAt });
  }

  /** The relay ended a view; the end of an earlier view of the slot changes nothing. */
  ended(worker: number, slot: number, view: string, now: number): void {
    const request = this.of(worker, slot);
    if (request.view === view) Object.assign(request, { ...empty(), retryAt: now + RETRY_AFTER_END_MS });
  }

  /** A person asks again for a camera that was refused or ended. */
  retry(camera: string): void {
    for (const request of this.#bySlot.values()) if (request.camera === camera) Object.assign(request, empty());
  }

  /** Send every request again, although it is the same. */
  resendAll(): void {
    for (const request of this.#bySlot.values()) request.resend = true;
  }

  /** The viewer session on a worker is new: all of its slots are empty. */
  forgetWorker(worker: number): void {
    for (const [key, request] of this.#bySlot) if (key.startsWith(`${worker}/`)) Object.assign(request, empty());
  }
}

/** Whether a slot that shows the wanted camera needs no request for it. */
export function isSettled(request: SlotRequest, now: number): boolean {
  if (request.camera === null) return true;
  return !request.resend && (request.refusal === null || request.retryAt > now);
}

/** Whether a camera may be asked for now on a slot. */
export function mayAsk(request: SlotRequest, camera: string, now: number): boolean {
  const other = request.camera !== null && request.camera !== camera;
  return other || request.resend || request.retryAt <= now;
}

function empty(): Omit<SlotRequest, "layer"> {
  return { camera: null, view: null, retryAt: 0, refusal: null, final: false, resend: false };
}
