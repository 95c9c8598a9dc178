/**
 * The wall as it runs: what the person wants on screen against what the relay carries, brought together again and again.
 *
 * Owns: the links to the workers, what was said to the relay for each slot, the frames seen of each camera.  Must never know:
 * elements (it is given frames, it gives tiles).
 *
 * `#sync` is the only place that says anything to the relay.  It compares, for each slot, the camera that the plan wants with the
 * camera that was said last, and says the difference; every event (a link opened anew, a socket back, a view ended, a refusal)
 * only changes one of the two sides.  So whatever was lost on the way is said again.
 */

import { endToEnd, Median, relayToScreen, sinceStamp, type Uncertain } from "./delay";
import { type Ending, endingOf } from "./ending";
import type { Assign, Code } from "./generated/live";
import { Hearsay } from "./hearsay";
import * as layout from "./layout";
import { Listeners } from "./listeners";
import type { LiveSocket } from "./live";
import { isOnAir, type LiveMessage, type LiveState } from "./live_state";
import { FrameWatch, judge, type Liveness, type Presented } from "./liveness";
import type { Camera, Layer, Leg } from "./model";
import type { Problem } from "./problem";
import { find, type Pools, plan, type Wanted } from "./slots";
import { type LinkState, type SlotStats, type WallDoor, WallLink } from "./whep";

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
  readonly ending: Ending | null;
  readonly audible: boolean;
  readonly worker: number | null;
  readonly slot: number | null;
  readonly view: string | null;
}

/** How a link to a worker is made. */
export type Connect = (worker: number, changed: () => void) => Link;
export type Link = Pick<
  WallLink,
  | "worker"
  | "state"
  | "refusal"
  | "secret"
  | "generation"
  | "tripMs"
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

interface Said {
  camera: string | null;
  view: string | null;
  layer: Layer;
  /** Not before this time again (milliseconds); after a refusal that may pass, or an end. */
  holdUntil: number;
  refusal: Problem | null;
  /** The refusal stands until a person changes something. */
  final: boolean;
  /** Say it again even though it is the same: the relay may have forgotten, or the motive changed. */
  stale: boolean;
}

interface Eye {
  readonly watch: FrameWatch;
  readonly screen: Median;
  /** From a frame's stamp to its presentation. */
  readonly stamped: Median;
}

const RETRY_AFTER_END_MS = 300;
const RETRY_AFTER_REFUSAL_MS = 2000;
const TICK_MS = 250;
/** States of a link that is better opened anew than waited for, once its worker is said to be up. */
const BROKEN: ReadonlySet<LinkState> = new Set(["interrupted", "down", "refused"]);
/** The relay no longer knows a wall; its other `not_found` (a camera that has just ended) leaves the wall alone. */
const SESSION_GONE: Code = "session_not_found";
/** Refusals that something else than the passing of time must change. */
const FINAL: ReadonlySet<string> = new Set(["forbidden", "incomplete", "invalid", "not_acceptable", "gone"]);

export class Wall {
  layout: layout.WallState = layout.EMPTY_WALL;
  intervention: string | null = null;
  readonly changed = new Listeners();
  readonly links = new Map<number, Link>();
  /** Called when the relay wants a motive again (the intervention was closed, say). */
  onMotiveNeeded: () => void = () => {};
  #pools: Pools = new Map();
  readonly #said = new Map<string, Said>();
  readonly #heard = new Map<number, number | null>();
  readonly #eyes = new Map<string, Eye>();
  readonly #hearsay = new Hearsay();
  readonly #generations = new Map<number, number>();
  /** Workers that went down, with the generation that their link had then. */
  readonly #fallen = new Map<number, number>();
  readonly #speakers = new Map<number, HTMLAudioElement>();
  #timers: ReturnType<typeof setInterval>[] = [];

  constructor(
    door: WallDoor,
    private readonly socket: Pick<LiveSocket, "send" | "state" | "clock">,
    private readonly live: () => LiveState,
    private readonly now: () => number = () => performance.now(),
    private readonly connect: Connect = (worker, changed) => new WallLink(worker, door, changed),
  ) {}

  start(): void {
    this.#timers = [setInterval(() => this.refresh(), TICK_MS), setInterval(() => this.#poll(), 1000)];
  }

  /** Leave: every view ends at the relay. */
  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const link of this.links.values()) link.close();
    for (const speaker of this.#speakers.values()) speaker.srcObject = null;
    this.links.clear();
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
    for (const said of this.#said.values()) said.stale = true;
    this.refresh();
  }

  /** Ask again for a tile that was refused or ended. */
  retry(camera: string): void {
    for (const said of this.#said.values()) if (said.camera === camera) forget(said);
    this.refresh();
  }

  /** A message of the live socket that concerns slots; the reducer has seen it already. */
  take(message: LiveMessage): void {
    this.#hearsay.note(message, this.now());
    if (message.t === "hello") this.#onHello(message.workers);
    else if (message.t === "assigned") this.#onAssigned(message.worker, message.slot, message.camera, message.view);
    else if (message.t === "refused") this.#onRefused(message);
    else if (message.t === "ended") this.#onEnded(message.worker, message.slot, message.view);
    else if (message.t === "worker") this.#onWorker(message.worker, message.up);
    else if (message.t !== "camera") return;
    this.refresh();
  }

  /** A frame of a camera's tile was presented. */
  presented(camera: string, frame: Presented): void {
    const eye = this.#eyes.get(camera);
    if (eye === undefined) return;
    const first = eye.watch.lastFrame === null;
    if (!eye.watch.presented(frame)) return;
    if (frame.received !== null) eye.screen.add(Math.max(0, frame.at - frame.received));
    this.#date(camera, eye, frame);
    if (first) this.changed.fire();
  }

  #date(camera: string, eye: Eye, frame: Presented): void {
    const view = [...this.#said.values()].find((said) => said.camera === camera)?.view ?? "";
    const stamp = this.live().legs.get(view)?.stamp ?? null;
    const shownAt = this.socket.clock.at(frame.at);
    if (stamp === null || frame.rtp === null || shownAt === null) return;
    const ms = sinceStamp(stamp, frame.rtp, shownAt);
    if (ms !== null) eye.stamped.add(ms);
  }

  /** Bring plan, relay and screen together. */
  refresh(): void {
    this.#look();
    const next = plan(this.#pools, this.#wanted());
    this.#pools = next.pools;
    this.#sync();
    this.#hear();
    this.changed.fire();
  }

  tiles(): TileView[] {
    return Array.from({ length: this.layout.size }, (_, tile) => this.#tile(tile));
  }

  #onHello(workers: readonly number[]): void {
    for (const worker of workers) {
      const known = this.links.get(worker);
      // Another relay may take the offer that this one refused.
      if (known?.state === "refused") known.renew();
      if (known !== undefined) continue;
      const link = this.connect(worker, () => this.refresh());
      this.links.set(worker, link);
      link.start();
    }
    // The relay may have been restarted: say everything again.
    for (const said of this.#said.values()) said.stale = true;
    this.#heard.clear();
    this.#fallen.clear();
  }

  /**
   * A worker that went down took its walls along: its pictures stand, and it is asked for new ones once it is back.  One that was
   * only told to be up (control was started again) still has its walls.
   */
  #onWorker(worker: number, up: boolean): void {
    const link = this.links.get(worker);
    if (link === undefined) return;
    if (!up) {
      this.#fallen.set(worker, link.generation);
      for (const use of this.#pools.get(worker) ?? []) this.#eyes.get(use?.camera ?? "")?.watch.halt();
      return;
    }
    const gone = this.#fallen.get(worker) === link.generation;
    this.#fallen.delete(worker);
    if (gone || BROKEN.has(link.state)) link.renew();
  }

  #onAssigned(worker: number, slot: number, camera: string | null, view: string | null): void {
    const said = this.#slot(worker, slot);
    if (camera === null || said.camera !== camera) return;
    said.view = view;
    said.refusal = null;
    this.#eyes.get(camera)?.watch.assigned(this.now());
    this.#heard.delete(worker);
  }

  #onRefused(message: Extract<LiveMessage, { t: "refused" }>): void {
    if (message.camera === null) return;
    const said = this.#slot(message.worker, message.slot);
    if (message.camera !== said.camera) return;
    if (message.code === SESSION_GONE) {
      this.links.get(message.worker)?.reopen();
      return;
    }
    said.refusal = { code: message.code, detail: message.detail, facts: message.facts };
    said.view = null;
    said.final = FINAL.has(message.kind);
    said.holdUntil = said.final ? Number.POSITIVE_INFINITY : this.now() + RETRY_AFTER_REFUSAL_MS;
    if (message.kind === "incomplete") this.onMotiveNeeded();
  }

  #onEnded(worker: number, slot: number, view: string): void {
    const said = this.#slot(worker, slot);
    if (said.view !== view) return;
    forget(said);
    said.holdUntil = this.now() + RETRY_AFTER_END_MS;
  }

  #slot(worker: number, slot: number): Said {
    const key = `${worker}/${slot}`;
    const known = this.#said.get(key);
    if (known !== undefined) return known;
    const made: Said = { camera: null, view: null, layer: "high", holdUntil: 0, refusal: null, final: false, stale: false };
    this.#said.set(key, made);
    return made;
  }

  /** Have an eye on each visible camera, and on no other. */
  #look(): void {
    const shown = new Set(layout.visible(this.layout).map((item) => item.camera));
    for (const camera of this.#eyes.keys()) if (!shown.has(camera)) this.#eyes.delete(camera);
    for (const camera of shown) {
      if (!this.#eyes.has(camera))
        this.#eyes.set(camera, { watch: new FrameWatch(), screen: new Median(), stamped: new Median() });
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
    for (const [worker, pool] of this.#pools) if (pool.some((use) => use?.camera === camera)) return worker;
    return null;
  }

  #sync(): void {
    if (this.socket.state !== "open") return;
    for (const [worker, pool] of this.#pools) {
      const link = this.links.get(worker);
      if (link === undefined || link.secret === null) continue;
      if (this.#generations.get(worker) !== link.generation) this.#begin(worker, link.generation);
      for (const [slot, use] of pool.entries()) this.#saySlot(link, slot, use?.camera ?? null, use?.tile ?? 0);
    }
  }

  /** The link is new: the relay carries nothing on it yet. */
  #begin(worker: number, generation: number): void {
    this.#generations.set(worker, generation);
    for (const [key, said] of this.#said) if (key.startsWith(`${worker}/`)) forget(said);
    this.#heard.delete(worker);
  }

  #saySlot(link: Link, slot: number, use: string | null, tile: number): void {
    const camera = this.intervention === null ? null : use;
    const said = this.#slot(link.worker, slot);
    const layer: Layer = layout.isLarge(this.layout, tile) ? "high" : "low";
    if (said.camera === camera && this.#settled(link, slot, said, layer)) return;
    if (camera !== null && !this.#mayAsk(camera, said)) return;
    if (link.secret === null) return;
    const message: Assign = {
      t: "assign",
      wall: link.secret,
      worker: link.worker,
      slot,
      camera,
      intervention: this.intervention,
      layer,
    };
    if (!this.socket.send(message)) return;
    Object.assign(said, { camera, view: null, layer, holdUntil: 0, refusal: null, final: false, stale: false });
  }

  /** Whether nothing more has to be said of the camera of a slot; a wanted change of layer is said in passing. */
  #settled(link: Link, slot: number, said: Said, layer: Layer): boolean {
    if (said.camera === null) return true;
    if (said.stale) return false;
    if (said.view !== null && said.layer !== layer) this.#sayLayer(link, slot, said, layer);
    return said.refusal === null || said.holdUntil > this.now();
  }

  #mayAsk(camera: string, said: Said): boolean {
    const known = this.live().cameras.get(camera);
    if (known === undefined || !isOnAir(known)) return false;
    const other = said.camera !== null && said.camera !== camera;
    return other || said.stale || said.holdUntil <= this.now();
  }

  #sayLayer(link: Link, slot: number, said: Said, layer: Layer): void {
    if (link.secret === null) return;
    if (this.socket.send({ t: "layer", wall: link.secret, slot, layer })) said.layer = layer;
  }

  /** Say which slot of each wall is heard, once its view runs, and let that wall's sound out. */
  #hear(): void {
    const camera = this.layout.audible;
    for (const [worker, link] of this.links) {
      const slot = this.#pools.get(worker)?.findIndex((use) => use !== null && use.camera === camera) ?? -1;
      const wanted = camera !== null && slot >= 0 && this.#slot(worker, slot).view !== null ? slot : null;
      const said = this.#heard.get(worker) ?? null;
      if (wanted !== said && link.secret !== null && this.socket.send({ t: "listen", wall: link.secret, slot: wanted })) {
        this.#heard.set(worker, wanted);
      }
      this.#speak(worker, wanted === null ? null : link.audio);
    }
  }

  #speak(worker: number, stream: MediaStream | null): void {
    const speaker = this.#speakers.get(worker) ?? document.createElement("audio");
    this.#speakers.set(worker, speaker);
    if (speaker.srcObject === stream) return;
    speaker.srcObject = stream;
    // Refused only before the person touched the page; choosing the tile was a touch.
    if (stream !== null) speaker.play().catch(() => undefined);
  }

  #tile(tile: number): TileView {
    const id = this.layout.tiles[tile] ?? null;
    const held = find(this.#pools, tile);
    if (id === null || held === null) return this.#unheld(tile, id);
    const { worker, slot } = held;
    const link = this.links.get(worker);
    const said = this.#slot(worker, slot);
    const camera = this.live().cameras.get(id) ?? null;
    const leg = this.live().legs.get(said.view ?? "") ?? null;
    const stats = link?.stats.get(slot) ?? null;
    const refusal = said.camera === id ? said.refusal : null;
    return {
      ...this.#unheld(tile, id),
      liveness: this.#judge(id, camera, refusal !== null && said.final, link, leg),
      refusal,
      stream: link?.stream(slot) ?? null,
      leg,
      stats,
      ...this.#delays(id, camera, link, leg),
      worker,
      slot,
      view: said.view,
    };
  }

  /** A tile that no slot carries: empty, or its camera is not on air. */
  #unheld(tile: number, id: string | null): TileView {
    const camera = id === null ? null : (this.live().cameras.get(id) ?? null);
    const nothing = { refusal: null, stream: null, leg: null, stats: null, delayMs: null, endToEnd: null };
    const nowhere = { worker: null, slot: null, view: null };
    const liveness = this.#judge(id, camera, false, undefined, null);
    const fresh = camera !== null && isOnAir(camera) && this.isFresh(camera);
    const sealedAge = camera === null ? null : this.#hearsay.sealedAge(camera, this.now());
    const audible = id !== null && this.layout.audible === id;
    const ending = camera === null ? null : endingOf(camera, this.utc());
    return { tile, id, camera, liveness, fresh, sealedAge, ...nothing, ending, audible, ...nowhere };
  }

  #judge(id: string | null, camera: Camera | null, refused: boolean, link: Link | undefined, leg: Leg | null): Liveness {
    const watch = this.#eyes.get(id ?? "")?.watch;
    const facts = {
      camera: id,
      source: camera?.state ?? "offline",
      refused,
      socketUp: this.socket.state === "open",
      mediaUp: link?.mediaUp ?? false,
      mediaRefused: link?.state === "refused",
      workerDown: this.#isDown(link?.worker ?? camera?.worker ?? null),
      halted: watch?.halted ?? false,
      layer: leg?.layer ?? "high",
      lastFrame: watch?.lastFrame ?? null,
      interval: watch?.interval ?? null,
    } as const;
    return judge(facts, this.now());
  }

  /** Whether what the relay said of a camera is of now: the live socket is up, its worker too, and it was said a moment ago. */
  isFresh(camera: Camera): boolean {
    return this.socket.state === "open" && !this.#isDown(camera.worker) && this.#hearsay.holds(camera, this.now());
  }

  /** UTC milliseconds, by the relay's clock where it is known. */
  utc(): number {
    return this.socket.clock.at(this.now()) ?? Date.now();
  }

  #isDown(worker: number | null): boolean {
    return worker !== null && this.live().down.has(worker);
  }

  #delays(id: string, camera: Camera | null, link: Link | undefined, leg: Leg | null): Pick<TileView, "delayMs" | "endToEnd"> {
    const eye = this.#eyes.get(id);
    const tripMs = leg?.rttMs ?? link?.tripMs ?? null;
    const delayMs = relayToScreen({ relayMs: leg?.delayMs ?? null, tripMs, screenMs: eye?.screen.value ?? null });
    const ms = eye?.stamped.value ?? null;
    const uncertaintyMs = this.socket.clock.offset?.uncertaintyMs ?? null;
    const shown = ms === null || uncertaintyMs === null ? null : { ms, uncertaintyMs };
    return { delayMs, endToEnd: endToEnd(shown, camera?.uplinkMs ?? null, camera?.clockUncertaintyMs ?? null) };
  }

  /** How often and how long a camera's picture paused on this screen, and when its last frame was. */
  frames(camera: string): FrameWatch | null {
    return this.#eyes.get(camera)?.watch ?? null;
  }

  #poll(): void {
    for (const link of this.links.values()) void link.poll();
  }
}

function forget(said: Said): void {
  Object.assign(said, { camera: null, view: null, holdUntil: 0, refusal: null, final: false, stale: false });
}
