/**
 * Everything behind the live view of a person who may watch: the live socket, the state that it reports, the wall, the
 * intervention.
 *
 * Owns: the life of these parts and how they meet.  Must never know: elements.
 */

import { restoreAlarms, saveAlarms } from "./alarms";
import type { Api } from "./api";
import { CurrentIntervention } from "./current_intervention";
import { restore, save, type WallState } from "./layout";
import { Listeners } from "./listeners";
import { LiveSocket, type SocketState } from "./live";
import { acknowledge, EMPTY_LIVE_STATE, type LiveMessage, type LiveState, reduce } from "./live_state";
import { Wall } from "./wall";

/** Keys of the tab's own memory, which is gone with the tab and with a sign-out. */
const WALL_STORAGE_KEY = "relay.wall";
const ALARMS_STORAGE_KEY = "relay.alarms";

export class Workstation {
  /** The relay sends an alarm once to each sign-in, so the alarms are kept over a reload of the page. */
  state: LiveState = { ...EMPTY_LIVE_STATE, ...restoreAlarms(sessionStorage.getItem(ALARMS_STORAGE_KEY)) };
  readonly changed = new Listeners();
  /** Since when the live socket has been down (milliseconds since 1970); null while it is up. */
  downSince: number | null = null;
  readonly socket: LiveSocket;
  readonly wall: Wall;
  readonly intervention: CurrentIntervention;
  #savedLayout: WallState | null = null;

  constructor(readonly api: Api) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new LiveSocket(`${scheme}://${location.host}/live?states=batch`, {
      message: (message) => this.#onMessage(message),
      state: (state) => this.#onState(state),
    });
    this.wall = new Wall(api, this.socket, () => this.state);
    this.wall.layout = restore(sessionStorage.getItem(WALL_STORAGE_KEY));
    this.wall.changed.add(() => this.#saveLayout());
    this.intervention = new CurrentIntervention(api);
    this.intervention.changed.add(() => this.#onIntervention());
    this.wall.onMotiveNeeded = () => void this.intervention.check();
  }

  start(): void {
    this.socket.start();
    this.wall.start();
    addEventListener("pagehide", this.#leave);
    void this.intervention.resume();
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

  /** The person has seen the alarm of a camera. */
  acknowledge(camera: string): void {
    this.#setState(acknowledge(this.state, camera));
    this.changed.fire();
  }

  readonly #leave = (): void => this.wall.stop();

  #saveLayout(): void {
    if (this.#savedLayout === this.wall.layout) return;
    this.#savedLayout = this.wall.layout;
    sessionStorage.setItem(WALL_STORAGE_KEY, save(this.#savedLayout));
  }

  #setState(next: LiveState): void {
    const changedAlarms = next.alarms !== this.state.alarms || next.seen !== this.state.seen;
    this.state = next;
    if (changedAlarms) sessionStorage.setItem(ALARMS_STORAGE_KEY, saveAlarms(next));
  }

  #onIntervention(): void {
    this.wall.setIntervention(this.intervention.value?.id ?? null);
    this.changed.fire();
  }

  #onMessage(message: LiveMessage): void {
    this.#setState(reduce(this.state, message, Date.now()));
    this.wall.take(message);
    if (message.t === "interventions") void this.intervention.check();
    if (message.t !== "time" && message.t !== "leg") this.changed.fire();
  }

  #onState(state: SocketState): void {
    // A socket that closes at once, again and again, may mean that the sign-in is over: this request then brings the 401.
    if (state === "closed") void this.api.session();
    if (state === "open") this.downSince = null;
    else this.downSince ??= Date.now();
    this.wall.refresh();
    this.changed.fire();
  }
}
