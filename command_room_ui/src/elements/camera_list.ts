/**
 * The list of cameras: emergencies first, a search, a click or drag that puts a camera on the wall.
 *
 * Owns: the search and the rows.  Must never know: the wall (it only emits which camera was chosen).
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { isTechnical } from "../alarms";
import { age, clock, type Key, t, tCode } from "../i18n";
import { isOnAir, type LiveState, type Standing, sorted, standing } from "../live_state";
import type { Camera } from "../model";
import { recordingWords } from "../rec_words";
import type { TransmissionEnd } from "../transmission_end";
import { controls, LocalizedElement } from "./base";

/** How a camera is shown: unknown while no recent state was received, but an emergency stays an emergency. */
type Shown = Standing | "unknown";

/** Each state has a sign of its own; colour only repeats it. */
export const SIGNS: Readonly<Record<Shown, string>> = { alarm: "▲", live: "●", online: "○", offline: "✕", unknown: "?" };
export const CAMERA_TYPE = "application/x-relay-camera";

@customElement("camera-list")
export class CameraList extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        display: flex;
        flex-direction: column;
        min-height: 0;
        background: var(--panel);
        border-right: 1px solid var(--line);
      }
      .head {
        padding: 0.8em;
        display: grid;
        gap: 0.5em;
      }
      ul {
        list-style: none;
        margin: 0;
        padding: 0 0.4em 0.8em;
        overflow-y: auto;
        flex: 1;
      }
      li {
        display: grid;
        grid-template-columns: 1fr auto;
        align-items: center;
        gap: 0.2em;
      }
      .camera {
        display: grid;
        grid-template-columns: 1.6em 1fr auto;
        gap: 0 0.3em;
        text-align: left;
        justify-content: start;
        width: 100%;
        background: none;
        border-color: transparent;
        padding: 0.45em 0.4em;
      }
      .camera:hover:not(:disabled) {
        background: var(--raised);
      }
      .sign {
        grid-row: span 2;
        font-size: 1.2em;
        text-align: center;
      }
      .name {
        font-weight: 600;
        overflow-wrap: anywhere;
      }
      .state {
        grid-column: 2 / 4;
        font-size: 0.85em;
        color: var(--soft);
      }
      .tile {
        font-size: 0.85em;
        border: 1px solid var(--accent);
        border-radius: var(--radius);
        padding: 0 0.4em;
        align-self: start;
      }
      .alarm .sign,
      .alarm .stands {
        color: var(--bad);
        font-weight: 700;
      }
      .live .sign {
        color: var(--good);
      }
      .offline .name,
      .offline .sign,
      .unknown .sign {
        color: var(--soft);
        font-weight: 400;
      }
      .request {
        grid-column: 1 / 3;
        margin: 0 0.4em 0.5em 2.3em;
        font-size: 0.85em;
      }
      .ending {
        grid-column: 1 / 3;
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.3em 0.7em;
        margin: 0 0.4em 0.5em 2.3em;
        font-size: 0.85em;
        color: var(--warn);
        font-weight: 700;
      }
      .ending button {
        color: var(--text);
        min-height: 2em;
      }
      .bad {
        color: var(--bad);
        font-weight: 700;
      }
      .hint {
        font-size: 0.8em;
      }
    `,
  ];

  @property({ attribute: false }) live!: LiveState;
  /** Whether a camera's state was received a moment ago; the list follows the same rule as the tiles. */
  @property({ attribute: false }) fresh: (camera: Camera) => boolean = () => false;
  @property({ attribute: false }) ending: (camera: Camera) => TransmissionEnd | null = () => null;
  @property({ attribute: false }) onTile: ReadonlyMap<string, number> = new Map();
  @state() private search = "";
  @query("input") private field!: HTMLInputElement;

  /** Put the cursor into the search field. */
  seek(): void {
    this.field.focus();
    this.field.select();
  }

  /** The camera whose row has the focus; a digit key puts it on the tile of that number. */
  get focused(): string | null {
    const active = this.shadowRoot?.activeElement;
    return active instanceof HTMLElement ? (active.dataset.camera ?? null) : null;
  }

  protected override render(): TemplateResult {
    const cameras = sorted(this.live, this.search);
    return html`<div class="head">
        <h2>${t("list.title")}</h2>
        <input type="search" .value=${this.search} @input=${this.#onSearch} @keydown=${this.#onSearchKey}
          placeholder=${t("list.search")} aria-label=${t("list.search")} data-testid="camera-search" />
        <p class="soft hint" data-testid="camera-count">${this.#count()} · ${t("list.hint")}</p>
      </div>
      <ul data-testid="camera-list" aria-label=${t("list.title")} @keydown=${this.#onListKey}>
        ${repeat(
          cameras,
          (camera) => camera.camera,
          (camera) => this.#row(camera),
        )}
        ${cameras.length === 0 ? html`<li class="soft" style="padding:0.8em">${t(this.search === "" ? "list.noneYet" : "list.empty")}</li>` : nothing}
      </ul>`;
  }

  #count(): string {
    const all = [...this.live.cameras.values()];
    const known = all.filter((camera) => this.fresh(camera));
    const values = { live: known.filter(isOnAir).length, all: all.length, unknown: all.length - known.length };
    if (values.unknown === 0) return t("list.count", values);
    return t(known.length === 0 ? "list.countUnknown" : "list.countPartly", values);
  }

  #row(camera: Camera): TemplateResult {
    const fresh = this.fresh(camera);
    const heard = standing(camera, this.live.alarms);
    const stands: Shown = fresh || heard === "alarm" ? heard : "unknown";
    const tile = this.onTile.get(camera.camera);
    const ask = camera.online && !isOnAir(camera);
    return html`<li class=${stands} data-testid="camera" data-camera=${camera.camera} data-standing=${stands}>
      <button class="camera" draggable="true" data-camera=${camera.camera}
        @click=${() => this.#emit("camera-chosen", camera.camera)}
        @dragstart=${(event: DragEvent) => this.#onDrag(event, camera.camera)}>
        <span class="sign" aria-hidden="true">${SIGNS[stands]}</span>
        <span class="name">${camera.label}</span>
        ${tile === undefined ? html`<span></span>` : html`<span class="tile">${t("list.onTile", { tile: tile + 1 })}</span>`}
        <span class="state"><span class="stands">${this.#standing(camera, stands)}</span>${fresh ? this.#words(camera) : this.#unknown(camera)}</span>
      </button>
      ${this.#ending(camera)}
      ${ask ? html`<button class="request" @click=${() => this.#emit("camera-request", camera.camera)} data-testid="request">${t("list.request")}</button>` : nothing}
    </li>`;
  }

  #ending(camera: Camera): TemplateResult | typeof nothing {
    const ending = this.ending(camera);
    if (ending === null) return nothing;
    return html`<div class="ending"><span>⚠ ${t("ending.at", { time: clock(ending.at), age: age(ending.seconds) })}</span>
      <button @click=${() => this.#emit("confirm-wanted", camera.camera)} data-testid="confirm">${t("ending.confirm")}</button></div>`;
  }

  #standing(camera: Camera, stands: Shown): string {
    const alarm = this.live.alarms.get(camera.camera);
    return alarm !== undefined && isTechnical(alarm) ? t("alarm.technical") : t(`standing.${stands}` as Key);
  }

  /** While no recent state has been received, the recording is shown as unknown. */
  #unknown(camera: Camera): string {
    return isOnAir(camera) && camera.original === "relay" ? ` · ${t("rec.unknown")}` : "";
  }

  #words(camera: Camera): TemplateResult {
    const broken =
      isOnAir(camera) &&
      camera.original === "relay" &&
      (camera.rec === "unrecorded" || camera.rec === "stalled" || camera.rec === "full" || camera.rec === "none");
    const battery = camera.battery === null ? "" : ` · ${t("list.battery", { percent: Math.round(camera.battery) })}`;
    const still = camera.state === "frozen" || camera.state === "lost" ? ` · ${tCode("cause", `camera_${camera.state}`)}` : "";
    return html`${still}${camera.rec === "recording" ? html` · REC` : nothing}${
      broken ? html` · <span class="bad">${t(recordingWords(camera))}</span>` : nothing
    }${battery}`;
  }

  #onSearch(event: Event): void {
    this.search = (event.target as HTMLInputElement).value;
  }

  #onSearchKey(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      this.search = "";
      this.field.blur();
    }
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    const first = this.renderRoot.querySelector<HTMLButtonElement>("button.camera");
    if (event.key === "Enter") first?.click();
    else first?.focus();
  }

  /** In the list, up and down move the focus between rows; elsewhere they move the selection on the wall. */
  #onListKey(event: KeyboardEvent): void {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const rows = [...this.renderRoot.querySelectorAll<HTMLButtonElement>("button.camera")];
    const at = rows.indexOf(this.shadowRoot?.activeElement as HTMLButtonElement);
    if (at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const next = rows[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (next === undefined) this.field.focus();
    else next.focus();
  }

  #onDrag(event: DragEvent, camera: string): void {
    event.dataTransfer?.setData(CAMERA_TYPE, camera);
    event.dataTransfer?.setData("text/plain", camera);
  }

  #emit(name: string, camera: string): void {
    this.dispatchEvent(new CustomEvent<string>(name, { detail: camera, bubbles: true, composed: true }));
  }
}
