/**
 * `window.__relay`: what the page believes, in numbers, for tests and for whoever looks after the installation.
 *
 * Owns: the shape of these numbers.  Must never know: secrets (a wall's name is one and is left out).
 */

import type { Desk } from "./desk";
import type { TileView } from "./wall";
import type { SlotStats } from "./whep";

export interface TileFacts {
  readonly tile: number;
  readonly camera: string | null;
  readonly kind: string;
  readonly cause: string;
  readonly ageSeconds: number | null;
  readonly refusal: string | null;
  readonly worker: number | null;
  readonly slot: number | null;
  readonly view: string | null;
  readonly framesPresented: number;
  readonly lastFrameAt: number | null;
  readonly pauses: number;
  readonly longestPauseMs: number;
  readonly framesDecoded: number;
  readonly freezeCount: number;
  readonly freezeSeconds: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly width: number;
  readonly height: number;
  readonly kbps: number;
  readonly delayMs: number | null;
  readonly endToEndMs: number | null;
  readonly endToEndUncertaintyMs: number | null;
  readonly audible: boolean;
  readonly layer: string | null;
}

export interface RelayDebug {
  tiles(): TileFacts[];
  links(): { worker: number; state: string; opened: number; tripMs: number | null }[];
  socket(): { state: string; garbled: number; clockOffsetMs: number | null };
  cameras(): unknown[];
  intervention(): string | null;
}

declare global {
  interface Window {
    __relay?: RelayDebug;
  }
}

export function expose(desk: Desk): void {
  window.__relay = {
    tiles: () => desk.wall.tiles().map((view) => tileFacts(desk, view)),
    links: () =>
      [...desk.wall.links.values()].map((link) => ({
        worker: link.worker,
        state: link.state,
        opened: link.generation,
        tripMs: link.tripMs,
      })),
    socket: () => ({
      state: desk.socket.state,
      garbled: desk.socket.garbled,
      clockOffsetMs: desk.socket.clock.offset?.ms ?? null,
    }),
    cameras: () => [...desk.state.cameras.values()],
    intervention: () => desk.wall.intervention,
  };
}

function tileFacts(desk: Desk, view: TileView): TileFacts {
  const watch = view.id === null ? null : desk.wall.frames(view.id);
  return {
    tile: view.tile,
    camera: view.id,
    kind: view.liveness.kind,
    cause: view.liveness.cause,
    ageSeconds: view.liveness.age,
    refusal: view.refusal?.code ?? null,
    worker: view.worker,
    slot: view.slot,
    view: view.view,
    framesPresented: watch?.frames ?? 0,
    lastFrameAt: watch?.lastFrame ?? null,
    pauses: watch?.freezes.count ?? 0,
    longestPauseMs: watch?.freezes.longestMs ?? 0,
    ...received(view.stats),
    delayMs: view.delayMs,
    endToEndMs: view.endToEnd?.ms ?? null,
    endToEndUncertaintyMs: view.endToEnd?.uncertaintyMs ?? null,
    audible: view.audible,
    layer: view.leg?.layer ?? null,
  };
}

function received(stats: SlotStats | null) {
  return {
    framesDecoded: stats?.framesDecoded ?? 0,
    freezeCount: stats?.freezeCount ?? 0,
    freezeSeconds: stats?.freezeSeconds ?? 0,
    packetsReceived: stats?.packetsReceived ?? 0,
    packetsLost: stats?.packetsLost ?? 0,
    width: stats?.width ?? 0,
    height: stats?.height ?? 0,
    kbps: stats?.kbps ?? 0,
  };
}
