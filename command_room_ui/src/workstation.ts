/**
 * The work place of a person who may watch: live socket, what it told, the wall.
 *
 * Owns: the life of these three and their meeting.  Must never know: elements.
 */

import { restoreAlarms, saveAlarms } from "./alarms";
import type { Api } from "./api";
import { restore, save, type WallState } from "./layout";
import { Listeners } from "./listeners";
import { LiveSocket, type SocketState } from "./live";
import { acknowledge, EMPTY_LIVE_STATE, type LiveMessage, type LiveState, reduce } from "./live_state";
import { Wall } from "./wall";

/** In the tab's own memory: gone with the tab, and with a sign-out. */
const WALL_STORAGE_KEY = "relay.wall";
const ALARMS_STORAGE_KEY = "relay.alarms";

export class Workstation {
  /** The relay tells an alarm once to each sign-in: a reload of the page must not lose one. */
  state: LiveState = { ...EMPTY_LIVE_STATE, ...restoreAlarms(sessionStorage.getItem(ALARMS_STORAGE_KEY)) };
  readonly changed = new Listeners();
  /** Since when the live socket has been down (our milliseconds); null while it is up. */
  downSince: number | null = null;
  readonly socket: LiveSocket;
  readonly wall: Wall;

  constructor(readonly api: Api) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new LiveSocket(`${scheme}://${location.host}/live`, {
      message: (message) => this.#onMessage(message),
      state: (state) => this.#onState(state),
    });
    this.wall = new Wall(api, this.socket, () => this.state);
    this.wall.layout = restore(sessionStorage.getItem(WALL_STORAGE_KEY));
    this.wall.changed.add(() => this.#keep());
  }

  start(): void {
    this.socket.start();
    this.wall.start();
    addEventListener("pagehide", this.#leave);
  }

  stop(): void {
    removeEventListener("pagehide", this.#leave);
    this.wall.stop();
    this.socket.stop();
  }

  /** The person signed out: the next one begins with an empty wall and no intervention. */
  forget(): void {
    this.stop();
    sessionStorage.clear();
  }

  acknowledge(camera: string): void {
    this.#take(acknowledge(this.state, camera));
    this.changed.fire();
  }

  #kept: WallState | null = null;

  #keep(): void {
    if (this.#kept === this.wall.layout) return;
    this.#kept = this.wall.layout;
    sessionStorage.setItem(WALL_STORAGE_KEY, save(this.#kept));
  }

  readonly #leave = (): void => this.wall.stop();

  #take(next: LiveState): void {
    const news = next.alarms !== this.state.alarms || next.seen !== this.state.seen;
    this.state = next;
    if (news) sessionStorage.setItem(ALARMS_STORAGE_KEY, saveAlarms(next));
  }

  #onMessage(message: LiveMessage): void {
    this.#take(reduce(this.state, message, Date.now()));
    this.wall.take(message);
    if (message.t !== "time" && message.t !== "leg") this.changed.fire();
  }

  #onState(state: SocketState): void {
    // A socket that closes at once, again and again, may mean that the sign-in is over: the relay then says so over HTTP.
    if (state === "closed") void this.api.session();
    if (state === "open") this.downSince = null;
    else this.downSince ??= Date.now();
    this.wall.refresh();
    this.changed.fire();
  }
}
