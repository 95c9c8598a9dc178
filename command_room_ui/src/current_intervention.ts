/**
 * The intervention under which a person watches: joined with a motive, kept over a reload of the page, over once it is closed.
 *
 * Owns: which intervention is current, in the tab's own memory too.  Must never know: elements, the wall, the live socket.
 */

import type { Answer, Api } from "./api";
import { Listeners } from "./listeners";
import type { Intervention } from "./model";

const STORAGE_KEY = "relay.intervention";

export class CurrentIntervention {
  readonly changed = new Listeners();
  #value: Intervention | null = null;
  #closed = false;

  constructor(private readonly api: Pick<Api, "interventions" | "closeIntervention">) {}

  /** Null while the person has joined none. */
  get value(): Intervention | null {
    return this.#value;
  }

  /** Whether the last one ended because it was closed, not because the person left it. */
  get closed(): boolean {
    return this.#closed;
  }

  /** After a reload of the page: go on with the intervention that was joined, if it is still open. */
  async resume(): Promise<void> {
    const kept = sessionStorage.getItem(STORAGE_KEY);
    const answer = await this.api.interventions();
    if (answer.kind !== "ok" || kept === null) return;
    const found = answer.value.find((item) => item.id === kept && item.motive !== null);
    if (found !== undefined) this.enter(found);
  }

  /** The list of interventions changed: leave the current one if it is no longer open. */
  async check(): Promise<void> {
    const answer = await this.api.interventions();
    if (answer.kind !== "ok" || this.#value === null) return;
    if (!answer.value.some((item) => item.id === this.#value?.id && item.motive !== null)) this.#leave(true);
  }

  enter(item: Intervention): void {
    this.#value = item;
    this.#closed = false;
    sessionStorage.setItem(STORAGE_KEY, item.id);
    this.changed.fire();
  }

  /** Leave it open: others may go on watching under it. */
  leave(): void {
    this.#leave(false);
  }

  /** Close it for everybody.  Return the relay's answer; null where there is none to close. */
  async close(): Promise<Answer<null> | null> {
    if (this.#value === null) return null;
    const answer = await this.api.closeIntervention(this.#value.id);
    if (answer.kind === "ok") this.#leave(true);
    return answer;
  }

  #leave(closed: boolean): void {
    this.#value = null;
    this.#closed = closed;
    sessionStorage.removeItem(STORAGE_KEY);
    this.changed.fire();
  }
}
