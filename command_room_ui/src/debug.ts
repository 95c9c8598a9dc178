/**
 * `window.__relay`: the state of the page in numbers, for tests and for the people who maintain the installation.
 *
 * Owns: the shape of these numbers.  Must never know: secrets (the name of a viewer session is one and is left out).
 */

import type { TileView } from "./tile_view";
import type { SlotStats } from "./viewer_session";
import type { Workstation } from "./workstation";

export interface TileReport {
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
  tiles(): TileReport[];
  viewerSessions(): { worker: number; state: string; opened: number; roundTripMs: number | null }[];
  socket(): { state: string; garbled: number; clockOffsetMs: number | null };
  cameras(): unknown[];
  intervention(): string | null;
}

declare global {
  interface Window {
    __relay?: RelayDebug;
  }
}

export function expose(workstation: Workstation): void {
  window.__relay = {
    tiles: () => workstation.wall.tiles().map((view) => tileReport(workstation, view)),
    viewerSessions: () =>
      [...workstation.wall.viewerSessions.values()].map((viewerSession) => ({
        worker: viewerSession.worker,
        state: viewerSession.state,
        opened: viewerSession.generation,
        roundTripMs: viewerSession.roundTripMs,
      })),
    socket: () => ({
      state: workstation.socket.state,
      garbled: workstation.socket.garbled,
      clockOffsetMs: workstation.socket.clock.offset?.ms ?? null,
    }),
    cameras: () => [...workstation.state.cameras.values()],
    intervention: () => workstation.wall.intervention,
  };
}

function tileReport(workstation: Workstation, view: TileView): TileReport {
  const frames = view.id === null ? null : workstation.wall.frames(view.id);
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
    framesPresented: frames?.frames ?? 0,
    lastFrameAt: frames?.lastFrame ?? null,
    pauses: frames?.freezes.count ?? 0,
    longestPauseMs: frames?.freezes.longestMs ?? 0,
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
