/** Things that several tests need. */

import type { LitElement } from "lit";
import { vi } from "vitest";
import { type Answer, Api, type Refused } from "../src/api";
import { type Camera, type Intervention, type Recording, readCamera, readIntervention, readRecording } from "../src/model";

/** A camera on air, as the relay would report it, but for what is given. */
export function camera(name: string, given: Readonly<Record<string, unknown>> = {}): Camera {
  return readCamera({
    camera: name,
    label: `Unit ${name}`,
    state: "live",
    worker: 0,
    live_audio: true,
    rec: "recording",
    online: true,
    ...given,
  });
}

/** A closed recording of 90 seconds, but for what is given. */
export function recording(id: string, given: Readonly<Record<string, unknown>> = {}): Recording {
  return readRecording({
    recording: id,
    camera: "pm-7",
    camera_label: "Patrouille 7",
    regime: "bodycam_pm",
    state: "closed",
    started_at: "2026-11-22T10:00:00Z",
    ended_at: "2026-11-22T10:01:30Z",
    expires_on: "2026-12-22",
    duration_s: 90,
    stored_bytes: 17_200_000,
    reason: "stopped",
    trigger: "button pressed",
    threat: "agents",
    ...given,
  });
}

/** An open intervention that the signed-in person has joined, but for what is given. */
export function intervention(id: string, given: Readonly<Record<string, unknown>> = {}): Intervention {
  return readIntervention({
    intervention: id,
    label: `Rixe ${id}`,
    opened_by: "olga",
    opened_at: "2026-11-22T10:00:00Z",
    motive: "renfort",
    ...given,
  });
}

export const ok = <T>(value: T): Answer<T> => ({ kind: "ok", value });

/** A refusal of the relay with a code that has words. */
export function refused(status: number, code: string, facts: Refused["facts"] = {}, retryAfter: number | null = null): Refused {
  return { kind: "refused", status, code, detail: `refused: ${code}`, facts, retryAfter };
}

type Methods = { [K in keyof Api]?: Api[K] };

/** The API with the answers that a test gives; it records every call, and a call without an answer is an error. */
export function fakeApi(answers: Methods): { api: Api; calls: unknown[][]; answers: Methods } {
  const calls: unknown[][] = [];
  const get = (_target: object, name: string): unknown => {
    if (!(name in Api.prototype)) return undefined;
    const answer = answers[name as keyof Api];
    return (...given: unknown[]) => {
      calls.push([name, ...given]);
      if (typeof answer !== "function") throw new Error(`nobody expected ${name}`);
      return (answer as (...all: unknown[]) => unknown)(...given);
    };
  };
  return { api: new Proxy({}, { get }) as Api, calls, answers };
}

/** Put an element with these properties into the page, drawn. */
export async function mount<T extends LitElement>(tag: string, properties: Partial<T>): Promise<T> {
  const element = Object.assign(document.createElement(tag) as T, properties);
  document.body.append(element);
  await settle(element);
  return element;
}

/** Let answers that are there arrive, and draw. */
export async function settle(element: LitElement): Promise<void> {
  for (let round = 0; round < 8; round++) {
    await Promise.resolve();
    await element.updateComplete;
  }
}

/** The part of an element that a selector finds; throws where there is none. */
export function part<T extends Element = HTMLElement>(element: LitElement, selector: string): T {
  const found = element.shadowRoot?.querySelector<T>(selector);
  if (found == null) throw new Error(`no ${selector} in ${element.localName}: ${text(element)}`);
  return found;
}

export const byId = <T extends Element = HTMLElement>(element: LitElement, id: string): T =>
  part<T>(element, `[data-testid="${id}"]`);

export const has = (element: LitElement, id: string): boolean =>
  element.shadowRoot?.querySelector(`[data-testid="${id}"]`) != null;

/** The words that an element shows, with single spaces. */
export function text(element: LitElement | Element): string {
  const root = "shadowRoot" in element && element.shadowRoot !== null ? element.shadowRoot : element;
  return (root.textContent ?? "").replace(/[\s\u00a0\u202f]+/g, " ");
}

/** Fill the fields of a form by their names and submit it. */
export async function submit(element: LitElement, form: string, values: Readonly<Record<string, string>>): Promise<void> {
  const target = part<HTMLFormElement>(element, form);
  for (const [name, value] of Object.entries(values)) {
    const field = target.querySelector<HTMLInputElement>(`[name="${name}"]`);
    if (field === null) throw new Error(`no field ${name}`);
    field.value = value;
  }
  target.dispatchEvent(new SubmitEvent("submit", { cancelable: true, bubbles: true }));
  await settle(element);
}

export async function click(element: LitElement, id: string): Promise<void> {
  byId(element, id).click();
  await settle(element);
}

/** The details of an element's events of one name, in order. */
export function emitted<T>(element: EventTarget, name: string): T[] {
  const details: T[] = [];
  element.addEventListener(name, (event) => details.push((event as CustomEvent<T>).detail));
  return details;
}

/** happy-dom has neither sound nor frames; the elements only need to be able to ask for them.  Undo with `vi.unstubAllGlobals`. */
export function stubMedia(): void {
  vi.stubGlobal(
    "AudioContext",
    class {
      state = "suspended";
    },
  );
  Object.assign(HTMLVideoElement.prototype, { requestVideoFrameCallback: () => 1, cancelVideoFrameCallback: () => undefined });
}

/** The relay's end of the live socket, played by the test. */
export class FakeSocket {
  static readonly OPEN = 1;
  /** Every socket that was opened, the newest last. */
  static all: FakeSocket[] = [];
  readyState = 0;
  binaryType = "";
  closed = false;
  sent: Uint8Array[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  static get last(): FakeSocket {
    const last = FakeSocket.all.at(-1);
    if (last === undefined) throw new Error("no live socket was opened");
    return last;
  }

  send(data: Uint8Array): void {
    this.sent.push(data);
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }

  /** Deliver bytes as a browser does: in an ArrayBuffer of their own. */
  deliver(bytes: Uint8Array): void {
    this.onmessage?.({ data: new Uint8Array(bytes).buffer });
  }

  drop(): void {
    this.readyState = 3;
    this.onclose?.();
  }
}
