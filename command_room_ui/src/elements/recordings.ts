/**
 * The view of recordings: the list with its filters, and the chosen recording beside it.
 *
 * Owns: the filters and the list.  Must never know: how a recording is played or verified.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Api } from "../api";
import { age, bytes, dateTime, type Key, t } from "../i18n";
import type { Recording, Role } from "../model";
import { controls, explain, fieldValue, LocalizedElement } from "./base";
import type { HoldList } from "./hold_list";
import "./hold_list";
import "./recording_detail";

const PAGE = 100;
const STATES = ["open", "closed", "erased"] as const;
const DAY_MS = 86_400_000;

@customElement("recordings-view")
export class RecordingsView extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(24rem, 40%) minmax(0, 1fr);
        height: 100%;
      }
      .list {
        display: flex;
        flex-direction: column;
        min-height: 0;
        border-right: 1px solid var(--line);
        background: var(--panel);
      }
      form {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr));
        padding: 0.9em;
        align-items: end;
        gap: 0.6em;
      }
      .rows {
        overflow: auto;
        flex: 1;
      }
      tr[data-id] {
        cursor: pointer;
      }
      tr[aria-selected="true"] {
        background: var(--accent-ground);
      }
      td button {
        text-align: left;
        width: 100%;
        justify-content: start;
        font-weight: 600;
        padding: 0;
        min-height: 1.4em;
      }
      .open {
        color: var(--bad);
        font-weight: 700;
      }
      .warn {
        color: var(--warn);
        font-weight: 700;
      }
      recording-detail,
      .pick {
        overflow: auto;
        padding: 1.2em;
      }
      h1,
      .message {
        padding: 0.9em 0.9em 0;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  /** The role of the signed-in person; `role` itself is an ARIA attribute of every element. */
  @property({ attribute: false }) duty!: Role;
  @property({ attribute: false }) intervention: string | null = null;
  @state() private found: readonly Recording[] = [];
  @state() private chosen: string | null = null;
  /** A recording that was chosen from the list of holds and is not on the pages fetched so far. */
  @state() private apart: Recording | null = null;
  @state() private message = "";
  @state() private more = false;
  #query: Readonly<Record<string, string>> = {};

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#fetch(false);
  }

  protected override render(): TemplateResult {
    const known = this.apart === null ? this.found : [...this.found, this.apart];
    const chosen = known.find((recording) => recording.id === this.chosen);
    return html`<section class="list" @hold-chosen=${this.#onHold}>
        <h1>${t("recordings.title")}</h1>
        ${this.#filters()}
        ${this.duty === "operator" ? nothing : html`<hold-list .api=${this.api}></hold-list>`}
        <p class="error message" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
        <div class="rows">${this.#table()}</div>
      </section>
      ${
        chosen === undefined
          ? html`<p class="soft pick">${t("recordings.pick")}</p>`
          : html`<recording-detail .api=${this.api} .duty=${this.duty} .intervention=${this.intervention} .recording=${chosen}
              @holds-changed=${this.#onChanged}></recording-detail>`
      }`;
  }

  #filters(): TemplateResult {
    return html`<form @submit=${this.#onSearch} data-testid="recording-filters">
      <label>${t("recordings.camera")}<input name="camera" placeholder=${t("recordings.all")} /></label>
      <label>${t("recordings.from")}<input name="from" type="date" /></label>
      <label>${t("recordings.to")}<input name="to" type="date" /></label>
      <label>${t("recordings.state")}<select name="state">
        <option value="">${t("recordings.all")}</option>
        ${STATES.map((state) => html`<option value=${state}>${t(`recording.${state}` as Key)}</option>`)}
      </select></label>
      <button data-testid="recordings-refresh">${t("recordings.search")}</button>
    </form>`;
  }

  #table(): TemplateResult {
    if (this.found.length === 0) return html`<p class="soft message">${t("recordings.none")}</p>`;
    return html`<table data-testid="recordings">
        <thead><tr><th>${t("recordings.camera")}</th><th>${t("recordings.start")}</th><th>${t("recordings.duration")}</th><th>${t("recordings.state")}</th></tr></thead>
        <tbody>${this.found.map((recording) => this.#row(recording))}</tbody>
      </table>
      ${this.more ? html`<p class="message"><button @click=${() => this.#fetch(true)}>${t("recordings.more")}</button></p>` : nothing}`;
  }

  #row(recording: Recording): TemplateResult {
    const choose = () => {
      this.chosen = recording.id;
    };
    return html`<tr data-testid="recording" data-id=${recording.id} aria-selected=${recording.id === this.chosen} @click=${choose}>
      <td><button class="plain" @click=${choose}>${recording.label}</button><span class="soft">${bytes(recording.storedBytes)}</span></td>
      <td>${dateTime(recording.startedAt)}</td>
      <td>${recording.state === "open" ? "…" : age(recording.durationMs / 1000)}</td>
      <td><span class=${recording.state}>${recording.state === "open" ? "◉ " : ""}${t(`recording.${recording.state}` as Key)}</span>
        ${recording.recovered ? html`<br /><span class="warn">⚠ ${t(recording.reason === "damaged" ? "recording.damaged" : "recording.recovered")}</span>` : nothing}
        ${recording.gaps > 0 ? html`<br /><span class="soft">${t("recordings.gaps")} : ${recording.gaps}</span>` : nothing}</td>
    </tr>`;
  }

  async #onSearch(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const from = dayStart(fieldValue(form, "from"), 0);
    const to = dayStart(fieldValue(form, "to"), 1);
    this.#query = {
      camera: fieldValue(form, "camera"),
      state: fieldValue(form, "state"),
      from_ns: nanoseconds(from),
      to_ns: nanoseconds(to),
    };
    await this.#fetch(false);
  }

  async #onHold(event: CustomEvent<string>): Promise<void> {
    const id = event.detail;
    if (!this.found.some((recording) => recording.id === id)) {
      const answer = await this.api.recording(id);
      this.message = answer.kind === "ok" ? "" : explain(answer);
      if (answer.kind !== "ok") return;
      this.apart = answer.value;
    }
    this.chosen = id;
  }

  readonly #onChanged = (): void => {
    void this.renderRoot.querySelector<HoldList>("hold-list")?.refresh();
  };

  async #fetch(next: boolean): Promise<void> {
    const last = next ? (this.found.at(-1)?.id ?? "") : "";
    const answer = await this.api.recordings({ ...this.#query, before: last, limit: String(PAGE) });
    if (answer.kind !== "ok") {
      this.message = explain(answer);
      return;
    }
    this.message = "";
    this.more = answer.value.length === PAGE;
    this.found = next ? [...this.found, ...answer.value] : answer.value;
  }
}

/** Return the first millisecond of the day `days` after a calendar day (local time); null without a day. */
function dayStart(day: string, days: number): number | null {
  return day === "" ? null : new Date(`${day}T00:00:00`).getTime() + days * DAY_MS;
}

function nanoseconds(ms: number | null): string {
  return ms === null ? "" : `${ms}000000`;
}
