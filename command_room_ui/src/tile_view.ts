/**
 * Everything that a tile shows, put together from what the parts of the wall know.
 *
 * Owns: the shape of a tile's view.  Must never know: the socket, elements, how anything was measured.
 */

import type { Uncertain } from "./delay";
import { judge, type Liveness } from "./liveness";
import type { Camera, Leg } from "./model";
import type { PictureTiming } from "./picture_timing";
import type { Problem } from "./problem";
import type { SlotRequest } from "./slot_requests";
import { type TransmissionEnd, upcomingEnd } from "./transmission_end";
import type { SlotStats, ViewerSessionHandle } from "./viewer_session";

export interface TileView {
  readonly tile: number;
  /** Name of the camera on the tile; null where the tile is free. */
  readonly id: string | null;
  readonly camera: Camera | null;
  readonly liveness: Liveness;
  /** Why the relay refused; the tile says *refused* only where a person has to change something. */
  readonly refusal: Problem | null;
  /** The camera is on air, and its state (recording, seal) was received a moment ago. */
  readonly fresh: boolean;
  /** Seconds; null where nothing is sealed yet. */
  readonly sealedAge: number | null;
  readonly stream: MediaStream | null;
  readonly leg: Leg | null;
  readonly stats: SlotStats | null;
  /** Relay to screen. */
  readonly delayMs: number | null;
  /** Camera to screen, milliseconds. */
  readonly endToEnd: Uncertain | null;
  /** The end of the transmission, once it is near. */
  readonly ending: TransmissionEnd | null;
  readonly audible: boolean;
  readonly worker: number | null;
  readonly slot: number | null;
  /** Id of the view. */
  readonly view: string | null;
}

/** The slot that carries a tile's camera. */
export interface Carrier {
  readonly worker: number;
  readonly slot: number;
  readonly viewerSession: ViewerSessionHandle | undefined;
  readonly request: SlotRequest;
  readonly leg: Leg | null;
}

/** What the wall knows of one tile. */
export interface TileSources {
  readonly tile: number;
  readonly id: string | null;
  readonly camera: Camera | null;
  /** Null where no slot carries the tile: it is free, or its camera was never on air here. */
  readonly carrier: Carrier | null;
  /** Null where the tile is free. */
  readonly timing: PictureTiming | null;
  readonly socketUp: boolean;
  readonly workerDown: boolean;
  readonly fresh: boolean;
  readonly sealedAge: number | null;
  readonly audible: boolean;
  readonly clockUncertaintyMs: number | null;
}

/** Return the view of a tile at `now` (milliseconds, the clock of the frames) and `utc` (UTC milliseconds). */
export function tileView(sources: TileSources, now: number, utc: number): TileView {
  const { tile, id, camera, carrier, fresh, sealedAge, audible } = sources;
  const carried = carrier === null ? NOT_CARRIED : carriedPart(carrier, sources);
  return {
    tile,
    id,
    camera,
    liveness: livenessOf(sources, carried.refusal !== null && carrier?.request.final === true, now),
    fresh,
    sealedAge,
    ending: camera === null ? null : upcomingEnd(camera, utc),
    audible,
    ...carried,
  };
}

type CarriedPart = Pick<TileView, "refusal" | "stream" | "leg" | "stats" | "worker" | "slot" | "view" | "delayMs" | "endToEnd">;

const NOT_CARRIED: CarriedPart = {
  refusal: null,
  stream: null,
  leg: null,
  stats: null,
  worker: null,
  slot: null,
  view: null,
  delayMs: null,
  endToEnd: null,
};

function carriedPart(carrier: Carrier, { id, camera, timing, clockUncertaintyMs }: TileSources): CarriedPart {
  const { worker, slot, viewerSession, request, leg } = carrier;
  const iceRoundTripMs = viewerSession?.roundTripMs ?? null;
  return {
    ...NOT_CARRIED,
    ...timing?.delays({ camera, leg, iceRoundTripMs, clockUncertaintyMs }),
    // The slot may still carry the request for the camera before.
    refusal: request.camera === id ? request.refusal : null,
    stream: viewerSession?.stream(slot) ?? null,
    leg,
    stats: viewerSession?.stats.get(slot) ?? null,
    worker,
    slot,
    view: request.view,
  };
}

function livenessOf(sources: TileSources, refused: boolean, now: number): Liveness {
  const { id, camera, carrier, timing, socketUp, workerDown } = sources;
  const session = carrier?.viewerSession;
  const facts = {
    camera: id,
    source: camera?.state ?? "offline",
    refused,
    socketUp,
    mediaUp: session?.mediaUp ?? false,
    mediaRefused: session?.state === "refused",
    workerDown,
    halted: timing?.frames.halted ?? false,
    layer: carrier?.leg?.layer ?? "high",
    lastFrame: timing?.frames.lastFrame ?? null,
    interval: timing?.frames.interval ?? null,
  } as const;
  return judge(facts, now);
}
