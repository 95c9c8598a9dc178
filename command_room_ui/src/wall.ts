/**
 * The wall at work: it keeps the plan of the tiles, the relay's slots and the screen in step.
 *
 * Owns: the viewer sessions, the requests for their slots, the timing of each visible picture.  Must never know: elements (it
 * takes presented frames and returns tile views).
 *
 * Only `#sync` and `#syncSound` send to the relay.  For each slot they compare the camera that the plan wants with the camera
 * that was requested last, and send the difference.  Every event (a viewer session opened anew, a socket back, a view ended, a
 * refusal) changes only one of the two sides.  So a request that was lost on its way is sent again.
 */

import { CameraFreshness } from "./freshness";
import type { Assign, Code } from "./generated/live";
import * as layout from "./layout";
import { Listeners } from "./listeners";
import type { LiveSocket } from "./live";
import { isOnAir, type LiveMessage, type LiveState } from "./live_state";
import type { FrameWatch, PresentedFrame } from "./liveness";
import type { Camera, Layer } from "./model";
import { PictureTiming } from "./picture_timing";
import { isSettled, mayAsk, type SlotRequest, SlotRequests } from "./slot_requests";
import { find, type Pools, plan, type Wanted } from "./slots";
import { type Carrier, type TileView, tileView } from "./tile_view";
import { ViewerSession, type ViewerSessionApi, type ViewerSessionHandle, type ViewerSessionState } from "./viewer_session";

/** How the viewer session on a worker is made; `changed` is called at each change of its state. */
export type CreateViewerSession = (worker: number, changed: () => void) => ViewerSessionHandle;

const TICK_MS = 250;
const POLL_MS = 1000;
/** Once its worker is back, a viewer session in one of these states is opened anew at once. */
const BROKEN: ReadonlySet<ViewerSessionState> = new Set(["interrupted", "down", "refused"]);
/**
 * The relay does not know the viewer session.  Other codes of kind `not_found` (a camera that has just ended) leave it alone.
 */
const SESSION_GONE: Code = "session_not_found";

export class Wall {
  layout: layout.WallState = layout.EMPTY_WALL;
  intervention: string | null = null;
  readonly changed = new Listeners();
  /** By worker. */
  readonly viewerSessions = new Map<number, ViewerSessionHandle>();
  /** Called when the relay asks for a motive again, for example because the intervention was closed. */
  onMotiveNeeded: () => void = () => {};
  #pools: Pools = new Map();
  readonly #requests = new SlotRequests();
  /** The slot that each worker was asked for the sound of; absent where the relay may have forgotten it. */
  readonly #listened = new Map<number, number | null>();
  readonly #timings = new Map<string, PictureTiming>();
  readonly #freshness = new CameraFreshness();
  /** Generation of each viewer session that the requests were sent on. */
  readonly #generations = new Map<number, number>();
  /** Workers that went down, with the generation of their viewer session at that moment. */
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
    this.#timers = [setInterval(() => this.refresh(), TICK_MS), setInterval(() => this.#poll(), POLL_MS)];
  }

  /** Leave: every view ends at the relay. */
  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const session of this.viewerSessions.values()) session.close();
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
    this.#requests.resendAll();
    this.refresh();
  }

  /** Ask again for a camera that was refused or whose view ended. */
  retry(camera: string): void {
    this.#requests.retry(camera);
    this.refresh();
  }

  /** Take a message of the live socket.  The reducer has seen it already. */
  take(message: LiveMessage): void {
    this.#freshness.note(message, this.now());
    if (message.t === "hello") this.#onHello(message.workers);
    else if (message.t === "assigned") this.#onAssigned(message.worker, message.slot, message.camera, message.view);
    else if (message.t === "refused") this.#onRefused(message);
    else if (message.t === "ended") this.#requests.ended(message.worker, message.slot, message.view, this.now());
    else if (message.t === "worker") this.#onWorker(message.worker, message.up);
    else if (message.t !== "states") return;
    this.refresh();
  }

  /** A frame was presented on the tile of a camera. */
  presented(camera: string, frame: PresentedFrame): void {
    const timing = this.#timings.get(camera);
    if (timing === undefined) return;
    const first = timing.frames.lastFrame === null;
    const stamp = this.live().legs.get(this.#requests.viewOf(camera) ?? "")?.stamp ?? null;
    if (timing.presented(frame, stamp, this.socket.clock.at(frame.at)) && first) this.changed.fire();
  }

  /** Bring the plan, the relay and the screen together. */
  refresh(): void {
    this.#trackVisible();
    this.#pools = plan(this.#pools, this.#wanted()).pools;
    this.#sync();
    this.#syncSound();
    this.changed.fire();
  }

  tiles(): TileView[] {
    return Array.from({ length: this.layout.size }, (_, tile) => this.#tile(tile));
  }

  /** Whether a camera's state is known now: the live socket and the worker are up, and the state was received a moment ago. */
  isFresh(camera: Camera): boolean {
    return this.socket.state === "open" && !this.#isDown(camera.worker) && this.#freshness.isFresh(camera, this.now());
  }

  /** UTC milliseconds, by the relay's clock where it is known. */
  utc(): number {
    return this.socket.clock.at(this.now()) ?? Date.now();
  }

  /** The frames of a visible camera: how often and how long its picture paused on this screen, and when its last frame was. */
  frames(camera: string): FrameWatch | null {
    return this.#timings.get(camera)?.frames ?? null;
  }

  #onHello(workers: readonly number[]): void {
    for (const worker of workers) {
      const known = this.viewerSessions.get(worker);
      // Another relay may take the offer that this one refused.
      if (known?.state === "refused") known.renew();
      if (known !== undefined) continue;
      const session = this.createViewerSession(worker, () => this.refresh());
      this.viewerSessions.set(worker, session);
      session.start();
    }
    // The relay may have been restarted: request everything again.
    this.#requests.resendAll();
    this.#listened.clear();
    this.#generationWhenDown.clear();
  }

  /**
   * A worker that went down has lost its viewer session: its pictures stand still, and the session is opened anew once the
   * worker is back.  A worker that is reported up without having been down (control was restarted) still has its viewer
   * session.
   */
  #onWorker(worker: number, up: boolean): void {
    const session = this.viewerSessions.get(worker);
    if (session === undefined) return;
    if (!up) {
      this.#generationWhenDown.set(worker, session.generation);
      for (const placement of this.#pools.get(worker) ?? []) this.#timings.get(placement?.camera ?? "")?.frames.halt();
      return;
    }
    const lost = this.#generationWhenDown.get(worker) === session.generation;
    this.#generationWhenDown.delete(worker);
    if (lost || BROKEN.has(session.state)) session.renew();
  }

  #onAssigned(worker: number, slot: number, camera: string | null, view: string | null): void {
    if (camera === null || !this.#requests.assigned(worker, slot, camera, view)) return;
    this.#timings.get(camera)?.frames.assigned(this.now());
    this.#listened.delete(worker);
  }

  #onRefused(message: Extract<LiveMessage, { t: "refused" }>): void {
    if (message.camera === null || message.camera !== this.#requests.of(message.worker, message.slot).camera) return;
    if (message.code === SESSION_GONE) {
      this.viewerSessions.get(message.worker)?.reopen();
      return;
    }
    this.#requests.refused(message, this.now());
    if (message.kind === "incomplete") this.onMotiveNeeded();
  }

  /** Time the pictures of the visible cameras, and of no other. */
  #trackVisible(): void {
    const shown = new Set(layout.visible(this.layout).map((item) => item.camera));
    for (const camera of this.#timings.keys()) if (!shown.has(camera)) this.#timings.delete(camera);
    for (const camera of shown) if (!this.#timings.has(camera)) this.#timings.set(camera, new PictureTiming());
  }

  /** Each visible camera on the worker that has it.  A camera that went away keeps its slot, so that its last picture stays. */
  #wanted(): Wanted[] {
    return layout.visible(this.layout).flatMap(({ tile, camera }) => {
      const known = this.live().cameras.get(camera);
      const worker = known !== undefined && isOnAir(known) ? known.worker : this.#holder(camera);
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
      const session = this.viewerSessions.get(worker);
      if (session === undefined || session.secret === null) continue;
      if (this.#generations.get(worker) !== session.generation) this.#onNewGeneration(worker, session.generation);
      for (const [slot, placement] of pool.entries())
        this.#syncSlot(session, session.secret, slot, placement?.camera ?? null, placement?.tile ?? 0);
    }
  }

  /** The viewer session was opened anew: the relay carries nothing on it yet. */
  #onNewGeneration(worker: number, generation: number): void {
    this.#generations.set(worker, generation);
    this.#requests.forgetWorker(worker);
    this.#listened.delete(worker);
  }

  #syncSlot({ worker }: ViewerSessionHandle, wall: string, slot: number, planned: string | null, tile: number): void {
    const camera = this.intervention === null ? null : planned;
    const request = this.#requests.of(worker, slot);
    const layer: Layer = layout.isLarge(this.layout, tile) ? "high" : "low";
    if (request.camera === camera) {
      this.#syncLayer(wall, slot, request, layer);
      if (isSettled(request, this.now())) return;
    }
    if (camera !== null && !this.#isWatchable(camera, request)) return;
    const message: Assign = { t: "assign", wall, worker, slot, camera, intervention: this.intervention, layer };
    if (this.socket.send(message)) this.#requests.sent(worker, slot, camera, layer);
  }

  /** Ask for another layer of a view that runs. */
  #syncLayer(wall: string, slot: number, request: SlotRequest, layer: Layer): void {
    if (request.camera === null || request.resend || request.view === null || request.layer === layer) return;
    if (this.socket.send({ t: "layer", wall, slot, layer })) request.layer = layer;
  }

  #isWatchable(camera: string, request: SlotRequest): boolean {
    const known = this.live().cameras.get(camera);
    return known !== undefined && isOnAir(known) && mayAsk(request, camera, this.now());
  }

  /** Ask each worker for the sound of the slot that is heard, once its view runs, and play the sound of its viewer session. */
  #syncSound(): void {
    const camera = this.layout.audible;
    for (const [worker, session] of this.viewerSessions) {
      const slot = this.#pools.get(worker)?.findIndex((placement) => placement !== null && placement.camera === camera) ?? -1;
      const wanted = camera !== null && slot >= 0 && this.#requests.of(worker, slot).view !== null ? slot : null;
      const changed = wanted !== (this.#listened.get(worker) ?? null);
      if (changed && session.secret !== null && this.socket.send({ t: "listen", wall: session.secret, slot: wanted }))
        this.#listened.set(worker, wanted);
      this.#play(worker, wanted === null ? null : session.audio);
    }
  }

  #play(worker: number, stream: MediaStream | null): void {
    const player = this.#players.get(worker) ?? document.createElement("audio");
    this.#players.set(worker, player);
    if (player.srcObject === stream) return;
    player.srcObject = stream;
    // A browser refuses to play only before the person touched the page; choosing the tile was a touch.
    if (stream !== null) player.play().catch(() => undefined);
  }

  #tile(tile: number): TileView {
    const id = this.layout.tiles[tile] ?? null;
    const camera = id === null ? null : (this.live().cameras.get(id) ?? null);
    const carrier = id === null ? null : this.#carrier(tile);
    const sources = {
      tile,
      id,
      camera,
      carrier,
      timing: this.#timings.get(id ?? "") ?? null,
      socketUp: this.socket.state === "open",
      workerDown: this.#isDown(carrier?.viewerSession?.worker ?? camera?.worker ?? null),
      fresh: camera !== null && isOnAir(camera) && this.isFresh(camera),
      sealedAge: camera === null ? null : this.#freshness.sealedAge(camera, this.now()),
      audible: id !== null && this.layout.audible === id,
      clockUncertaintyMs: this.socket.clock.offset?.uncertaintyMs ?? null,
    };
    return tileView(sources, this.now(), this.utc());
  }

  #carrier(tile: number): Carrier | null {
    const held = find(this.#pools, tile);
    if (held === null) return null;
    const { worker, slot } = held;
    const request = this.#requests.of(worker, slot);
    const leg = this.live().legs.get(request.view ?? "") ?? null;
    return { worker, slot, viewerSession: this.viewerSessions.get(worker), request, leg };
  }

  #isDown(worker: number | null): boolean {
    return worker !== null && this.live().down.has(worker);
  }

  #poll(): void {
    for (const session of this.viewerSessions.values()) void session.poll();
  }
}
