/**
 * The wall as it runs: what the person wants on screen against what the relay carries, brought together again and again.
 *
 * Owns: the viewerSessions to the workers, what was said to the relay for each slot, the frames seen of each camera.  Must never know:
 * elements (it is given frames, it gives tiles).
 *
 * `#sync` is the only place that says anything to the relay.  It compares, for each slot, the camera that the plan wants with the
 * camera that was said last, and says the difference; every event (a link opened anew, a socket back, a view ended, a refusal)
 * only changes one of the two sides.  So whatever was lost on the way is said again.
 */

import { endToEnd, Median, relayToScreen, sinceStamp, type Uncertain } from "./delay";
import { CameraFreshness } from "./freshness";
import type { Assign, Code } from "./generated/live";
import * as layout from "./layout";
import { Listeners } from "./listeners";
import type { LiveSocket } from "./live";
import { isOnAir, type LiveMessage, type LiveState } from "./live_state";
import { FrameWatch, judge, type Liveness, type PresentedFrame } from "./liveness";
import type { Camera, Layer, Leg } from "./model";
import type { Problem } from "./problem";
import { find, type Pools, plan, type Wanted } from "./slots";
import { type TransmissionEnd, upcomingEnd } from "./transmission_end";
import { type SlotStats, ViewerSession, type ViewerSessionApi, type ViewerSessionState } from "./viewer_session";

/** Everything a tile shows. */
export interface TileView {
  readonly tile: number;
  readonly id: string | null;
  readonly camera: Camera | null;
  readonly liveness: Liveness;
  /** Why the relay refused; shown as *refused* where only a person can change it. */
  readonly refusal: Problem | null;
  /** What the relay says of the camera (recording, seal) is of now, and the camera is on air. */
  readonly fresh: boolean;
  /** Seconds; null where nothing is sealed yet. */
  readonly sealedAge: number | null;
  readonly stream: MediaStream | null;
  readonly leg: Leg | null;
  readonly stats: SlotStats | null;
  readonly delayMs: number | null;
  readonly endToEnd: Uncertain | null;
  /** Once the end of the transmission is near. */
  readonly ending: TransmissionEnd | null;
  readonly audible: boolean;
  readonly worker: number | null;
  readonly slot: number | null;
  readonly view: string | null;
}

/** How a link to a worker is made. */
export type CreateViewerSession = (worker: number, changed: () => void) => ViewerSessionHandle;
export type ViewerSessionHandle = Pick<
  ViewerSession,
  | "worker"
  | "state"
  | "refusal"
  | "secret"
  | "generation"
  | "roundTripMs"
  | "stats"
  | "mediaUp"
  | "audio"
  | "stream"
  | "start"
  | "reopen"
  | "renew"
  | "close"
  | "poll"
>;

interface SlotRequest {
  camera: string | null;
  view: string | null;
  layer: Layer;
  /** Not before this time again (milliseconds); after a refusal that may pass, or an end. */
  retryAt: number;
  refusal: Problem | null;
  /** The refusal stands until a person changes something. */
  final: boolean;
  /** Say it again even though it is the same: the relay may have forgotten, or the motive changed. */
  resend: boolean;
}

interface PictureTiming {
  readonly watch: FrameWatch;
  readonly receivedToScreen: Median;
  /** From a frame's stamp to its presentation. */
  readonly stampToScreen: Median;
}

const RETRY_AFTER_END_MS = 300;
const RETRY_AFTER_REFUSAL_MS = 2000;
const TICK_MS = 250;
/** States of a link that is better opened anew than waited for, once its worker is said to be up. */
const BROKEN: ReadonlySet<ViewerSessionState> = new Set(["interrupted", "down", "refused"]);
/** The relay no longer knows a wall; its other `not_found` (a camera that has just ended) leaves the wall alone. */
const SESSION_GONE: Code = "session_not_found";
/** Refusals that something else than the passing of time must change. */
const FINAL: ReadonlySet<string> = new Set(["forbidden", "incomplete", "invalid", "not_acceptable", "gone"]);

export class Wall {
  layout: layout.WallState = layout.EMPTY_WALL;
  intervention: string | null = null;
  readonly changed = new Listeners();
  readonly viewerSessions = new Map<number, ViewerSessionHandle>();
  /** Called when the relay wants a motive again (the intervention was closed, say). */
  onMotiveNeeded: () => void = () => {};
  #pools: Pools = new Map();
  readonly #requests = new Map<string, SlotRequest>();
  readonly #listened = new Map<number, number | null>();
  readonly #timings = new Map<string, PictureTiming>();
  readonly #freshness = new CameraFreshness();
  readonly #generations = new Map<number, number>();
  /** Workers that went down, with the generation that their link had then. */
  readonly #generationWhenDown = new Map<number, number>();
  readonly #players = new Map<number, HTMLAudioElement>();
  #timers: ReturnType<typeof setInterval>[] = [];

  constructor(
    api: ViewerSessionApi,
    private readonly socket: Pick<LiveSocket, "send" | "state" | "clock">,
    private readonly live: () => LiveState,
    private readonly now: () => number = () => performance.now(),
    private readonly createViewerSession: CreateViewerSession = (worker, changed) => new ViewerSession(worker, api, changed),
  ) {}

  start(): void {
    this.#timers = [setInterval(() => this.refresh(), TICK_MS), setInterval(() => this.#poll(), 1000)];
  }

  /** Leave: every view ends at the relay. */
  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const viewerSession of this.viewerSessions.values()) viewerSession.close();
    for (const player of this.#players.values()) player.srcObject = null;
    this.viewerSessions.clear();
  }

  /** Change what is wanted on screen. */
  arrange(next: layout.WallState): void {
    this.layout = next;
    this.refresh();
  }

  /** Watch under another intervention: every view begins anew under its motive. */
  setIntervention(intervention: string | null): void {
    if (intervention === this.intervention) return;
    this.intervention = intervention;
    for (const request of this.#requests.values()) request.resend = true;
    this.refresh();
  }

  /** Ask again for a tile that was refused or ended. */
  retry(camera: string): void {
    for (const request of this.#requests.values()) if (request.camera === camera) clearRequest(request);
    this.refresh();
  }

  /** A message of the live socket that concerns slots; the reducer has seen it already. */
  take(message: LiveMessage): void {
    this.#freshness.note(message, this.now());
    if (message.t === "hello") this.#onHello(message.workers);
    else if (message.t === "assigned") this.#onAssigned(message.worker, message.slot, message.camera, message.view);
    else if (message.t === "refused") this.#onRefused(message);
    else if (message.t === "ended") this.#onEnded(message.worker, message.slot, message.view);
    else if (message.t === "worker") this.#onWorker(message.worker, message.up);
    else if (message.t !== "camera") return;
    this.refresh();
  }

  /** A frame of a camera's tile was presented. */
  presented(camera: string, frame: PresentedFrame): void {
    const timing = this.#timings.get(camera);
    if (timing === undefined) return;
    const first = timing.watch.lastFrame === null;
    if (!timing.watch.presented(frame)) return;
    if (frame.received !== null) timing.receivedToScreen.add(Math.max(0, frame.at - frame.received));
    this.#date(camera, timing, frame);
    if (first) this.changed.fire();
  }

  #date(camera: string, timing: PictureTiming, frame: PresentedFrame): void {
    const view = [...this.#requests.values()].find((request) => request.camera === camera)?.view ?? "";
    const stamp = this.live().legs.get(view)?.stamp ?? null;
    const shownAt = this.socket.clock.at(frame.at);
    if (stamp === null || frame.rtp === null || shownAt === null) return;
    const ms = sinceStamp(stamp, frame.rtp, shownAt);
    if (ms !== null) timing.stampToScreen.add(ms);
  }

  /** Bring plan, relay and screen together. */
  refresh(): void {
    this.#trackVisible();
    const next = plan(this.#pools, this.#wanted());
    this.#pools = next.pools;
    this.#sync();
    this.#syncSound();
    this.changed.fire();
  }

  tiles(): TileView[] {
    return Array.from({ length: this.layout.size }, (_, tile) => this.#tile(tile));
  }

  #onHello(workers: readonly number[]): void {
    for (const worker of workers) {
      const known = this.viewerSessions.get(worker);
      // Another relay may take the offer that this one refused.
      if (known?.state === "refused") known.renew();
      if (known !== undefined) continue;
      const viewerSession = this.createViewerSession(worker, () => this.refresh());
      this.viewerSessions.set(worker, viewerSession);
      viewerSession.start();
    }
    // The relay may have been restarted: say everything again.
    for (const request of this.#requests.values()) request.resend = true;
    this.#listened.clear();
    this.#generationWhenDown.clear();
  }

  /**
   * A worker that went down took its walls along: its pictures stand, and it is asked for new ones once it is back.  One that was
   * only told to be up (control was started again) still has its walls.
   */
  #onWorker(worker: number, up: boolean): void {
    const viewerSession = this.viewerSessions.get(worker);
    if (viewerSession === undefined) return;
    if (!up) {
      this.#generationWhenDown.set(worker, viewerSession.generation);
      for (const placement of this.#pools.get(worker) ?? []) this.#timings.get(placement?.camera ?? "")?.watch.halt();
      return;
    }
    const gone = this.#generationWhenDown.get(worker) === viewerSession.generation;
    this.#generationWhenDown.delete(worker);
    if (gone || BROKEN.has(viewerSession.state)) viewerSession.renew();
  }

  #onAssigned(worker: number, slot: number, camera: string | null, view: string | null): void {
    const request = this.#slot(worker, slot);
    if (camera === null || request.camera !== camera) return;
    request.view = view;
    request.refusal = null;
    this.#timings.get(camera)?.watch.assigned(this.now());
    this.#listened.delete(worker);
  }

  #onRefused(message: Extract<LiveMessage, { t: "refused" }>): void {
    if (message.camera === null) return;
    const request = this.#slot(message.worker, message.slot);
    if (message.camera !== request.camera) return;
    if (message.code === SESSION_GONE) {
      this.viewerSessions.get(message.worker)?.reopen();
      return;
    }
    request.refusal = { code: message.code, detail: message.detail, facts: message.facts };
    request.view = null;
    request.final = FINAL.has(message.kind);
    request.retryAt = request.final ? Number.POSITIVE_INFINITY : this.now() + RETRY_AFTER_REFUSAL_MS;
    if (message.kind === "incomplete") this.onMotiveNeeded();
  }

  #onEnded(worker: number, slot: number, view: string): void {
    const request = this.#slot(worker, slot);
    if (request.view !== view) return;
    clearRequest(request);
    request.retryAt = this.now() + RETRY_AFTER_END_MS;
  }

  #slot(worker: number, slot: number): SlotRequest {
    const key = `${worker}/${slot}`;
    const known = this.#requests.get(key);
    if (known !== undefined) return known;
    const made: SlotRequest = {
      camera: null,
      view: null,
      layer: "high",
      retryAt: 0,
      refusal: null,
      final: false,
      resend: false,
    };
    this.#requests.set(key, made);
    return made;
  }

  /** Have an eye on each visible camera, and on no other. */
  #trackVisible(): void {
    const shown = new Set(layout.visible(this.layout).map((item) => item.camera));
    for (const camera of this.#timings.keys()) if (!shown.has(camera)) this.#timings.delete(camera);
    for (const camera of shown) {
      if (!this.#timings.has(camera))
        this.#timings.set(camera, { watch: new FrameWatch(), receivedToScreen: new Median(), stampToScreen: new Median() });
    }
  }

  /** Each visible camera on the worker that has it; one that went away keeps its slot, so that its last picture stays. */
  #wanted(): Wanted[] {
    return layout.visible(this.layout).flatMap(({ tile, camera }) => {
      const known = this.live().cameras.get(camera);
      const held = this.#holder(camera);
      const worker = known !== undefined && isOnAir(known) ? known.worker : held;
      return worker === null ? [] : [{ tile, camera, worker }];
    });
  }

  #holder(camera: string): number | null {
    for (const [worker, pool] of this.#pools) if (pool.some((placement) => placement?.camera === camera)) return worker;
    return null;
  }

  #sync(): void {
    if (this.socket.state !== "open") return;
    for (const [worker, pool] of this.#pools) {
      const viewerSession = this.viewerSessions.get(worker);
      if (viewerSession === undefined || viewerSession.secret === null) continue;
      if (this.#generations.get(worker) !== viewerSession.generation) this.#forgetRequests(worker, viewerSession.generation);
      for (const [slot, placement] of pool.entries())
        this.#requestSlot(viewerSession, slot, placement?.camera ?? null, placement?.tile ?? 0);
    }
  }

  /** The link is new: the relay carries nothing on it yet. */
  #forgetRequests(worker: number, generation: number): void {
    this.#generations.set(worker, generation);
    for (const [key, request] of this.#requests) if (key.startsWith(`${worker}/`)) clearRequest(request);
    this.#listened.delete(worker);
  }

  #requestSlot(viewerSession: ViewerSessionHandle, slot: number, placement: string | null, tile: number): void {
    const camera = this.intervention === null ? null : placement;
    const request = this.#slot(viewerSession.worker, slot);
    const layer: Layer = layout.isLarge(this.layout, tile) ? "high" : "low";
    if (request.camera === camera && this.#isUpToDate(viewerSession, slot, request, layer)) return;
    if (camera !== null && !this.#mayAsk(camera, request)) return;
    if (viewerSession.secret === null) return;
    const message: Assign = {
      t: "assign",
      wall: viewerSession.secret,
      worker: viewerSession.worker,
      slot,
      camera,
      intervention: this.intervention,
      layer,
    };
    if (!this.socket.send(message)) return;
    Object.assign(request, { camera, view: null, layer, retryAt: 0, refusal: null, final: false, resend: false });
  }

  /** Whether nothing more has to be said of the camera of a slot; a wanted change of layer is said in passing. */
  #isUpToDate(viewerSession: ViewerSessionHandle, slot: number, request: SlotRequest, layer: Layer): boolean {
    if (request.camera === null) return true;
    if (request.resend) return false;
    if (request.view !== null && request.layer !== layer) this.#requestLayer(viewerSession, slot, request, layer);
    return request.refusal === null || request.retryAt > this.now();
  }

  #mayAsk(camera: string, request: SlotRequest): boolean {
    const known = this.live().cameras.get(camera);
    if (known === undefined || !isOnAir(known)) return false;
    const other = request.camera !== null && request.camera !== camera;
    return other || request.resend || request.retryAt <= this.now();
  }

  #requestLayer(viewerSession: ViewerSessionHandle, slot: number, request: SlotRequest, layer: Layer): void {
    if (viewerSession.secret === null) return;
    if (this.socket.send({ t: "layer", wall: viewerSession.secret, slot, layer })) request.layer = layer;
  }

  /** Say which slot of each wall is heard, once its view runs, and let that wall's sound out. */
  #syncSound(): void {
    const camera = this.layout.audible;
    for (const [worker, viewerSession] of this.viewerSessions) {
      const slot = this.#pools.get(worker)?.findIndex((placement) => placement !== null && placement.camera === camera) ?? -1;
      const wanted = camera !== null && slot >= 0 && this.#slot(worker, slot).view !== null ? slot : null;
      const request = this.#listened.get(worker) ?? null;
      if (
        wanted !== request &&
        viewerSession.secret !== null &&
        this.socket.send({ t: "listen", wall: viewerSession.secret, slot: wanted })
      ) {
        this.#listened.set(worker, wanted);
      }
      this.#playSound(worker, wanted === null ? null : viewerSession.audio);
    }
  }

  #playSound(worker: number, stream: MediaStream | null): void {
    const player = this.#players.get(worker) ?? document.createElement("audio");
    this.#players.set(worker, player);
    if (player.srcObject === stream) return;
    player.srcObject = stream;
    // Refused only before the person touched the page; choosing the tile was a touch.
    if (stream !== null) player.play().catch(() => undefined);
  }

  #tile(tile: number): TileView {
    const id = this.layout.tiles[tile] ?? null;
    const held = find(this.#pools, tile);
    if (id === null || held === null) return this.#unheld(tile, id);
    const { worker, slot } = held;
    const viewerSession = this.viewerSessions.get(worker);
    const request = this.#slot(worker, slot);
    const camera = this.live().cameras.get(id) ?? null;
    const leg = this.live().legs.get(request.view ?? "") ?? null;
    const stats = viewerSession?.stats.get(slot) ?? null;
    const refusal = request.camera === id ? request.refusal : null;
    return {
      ...this.#unheld(tile, id),
      liveness: this.#judge(id, camera, refusal !== null && request.final, viewerSession, leg),
      refusal,
      stream: viewerSession?.stream(slot) ?? null,
      leg,
      stats,
      ...this.#delays(id, camera, viewerSession, leg),
      worker,
      slot,
      view: request.view,
    };
  }

  /** A tile that no slot carries: empty, or its camera is not on air. */
  #unheld(tile: number, id: string | null): TileView {
    const camera = id === null ? null : (this.live().cameras.get(id) ?? null);
    const nothing = { refusal: null, stream: null, leg: null, stats: null, delayMs: null, endToEnd: null };
    const nowhere = { worker: null, slot: null, view: null };
    const liveness = this.#judge(id, camera, false, undefined, null);
    const fresh = camera !== null && isOnAir(camera) && this.isFresh(camera);
    const sealedAge = camera === null ? null : this.#freshness.sealedAge(camera, this.now());
    const audible = id !== null && this.layout.audible === id;
    const ending = camera === null ? null : upcomingEnd(camera, this.utc());
    return { tile, id, camera, liveness, fresh, sealedAge, ...nothing, ending, audible, ...nowhere };
  }

  #judge(
    id: string | null,
    camera: Camera | null,
    refused: boolean,
    viewerSession: ViewerSessionHandle | undefined,
    leg: Leg | null,
  ): Liveness {
    const watch = this.#timings.get(id ?? "")?.watch;
    const facts = {
      camera: id,
      source: camera?.state ?? "offline",
      refused,
      socketUp: this.socket.state === "open",
      mediaUp: viewerSession?.mediaUp ?? false,
      mediaRefused: viewerSession?.state === "refused",
      workerDown: this.#isDown(viewerSession?.worker ?? camera?.worker ?? null),
      halted: watch?.halted ?? false,
      layer: leg?.layer ?? "high",
      lastFrame: watch?.lastFrame ?? null,
      interval: watch?.interval ?? null,
    } as const;
    return judge(facts, this.now());
  }

  /** Whether what the relay said of a camera is of now: the live socket is up, its worker too, and it was said a moment ago. */
  isFresh(camera: Camera): boolean {
    return this.socket.state === "open" && !this.#isDown(camera.worker) && this.#freshness.isFresh(camera, this.now());
  }

  /** UTC milliseconds, by the relay's clock where it is known. */
  utc(): number {
    return this.socket.clock.at(this.now()) ?? Date.now();
  }

  #isDown(worker: number | null): boolean {
    return worker !== null && this.live().down.has(worker);
  }

  #delays(
    id: string,
    camera: Camera | null,
    viewerSession: ViewerSessionHandle | undefined,
    leg: Leg | null,
  ): Pick<TileView, "delayMs" | "endToEnd"> {
    const timing = this.#timings.get(id);
    const roundTripMs = leg?.rttMs ?? viewerSession?.roundTripMs ?? null;
    const delayMs = relayToScreen({
      relayMs: leg?.delayMs ?? null,
      roundTripMs,
      screenMs: timing?.receivedToScreen.value ?? null,
    });
    const ms = timing?.stampToScreen.value ?? null;
    const uncertaintyMs = this.socket.clock.offset?.uncertaintyMs ?? null;
    const shown = ms === null || uncertaintyMs === null ? null : { ms, uncertaintyMs };
    return { delayMs, endToEnd: endToEnd(shown, camera?.uplinkMs ?? null, camera?.clockUncertaintyMs ?? null) };
  }

  /** How often and how long a camera's picture paused on this screen, and when its last frame was. */
  frames(camera: string): FrameWatch | null {
    return this.#timings.get(camera)?.watch ?? null;
  }

  #poll(): void {
    for (const viewerSession of this.viewerSessions.values()) void viewerSession.poll();
  }
}

function clearRequest(request: SlotRequest): void {
  Object.assign(request, { camera: null, view: null, retryAt: 0, refusal: null, final: false, resend: false });
}
