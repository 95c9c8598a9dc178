/**
 * The view of auditors on the journal of operations: its entries, a signed checkpoint, the verification of an entry's
 * recording.
 *
 * Owns: the paging, and the filter of the page that is shown.  Must never know: how the journal is proved.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Api } from "../api";
import { dateTime, t, tCode } from "../i18n";
import type { JournalEntry } from "../model";
import type { Verdict } from "../verdict";
import { controls, explain, LocalizedElement } from "./base";
import "./verdict_strip";

const PAGE = 200;

@customElement("journal-view")
export class JournalView extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        padding: 1.2em;
        display: grid;
        gap: 0.9em;
        align-content: start;
      }
      .bar {
        justify-content: space-between;
      }
      .rows {
        overflow-x: auto;
      }
      input {
        width: 18em;
      }
      td {
        overflow-wrap: anywhere;
      }
      .refus td:nth-child(3),
      .refus td:nth-child(7) {
        color: var(--warn);
        font-weight: 700;
      }
      .detail {
        font-size: 0.85em;
        color: var(--soft);
      }
      pre {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
        background: #070b0f;
        padding: 0.8em;
        border-radius: var(--radius);
      }
      td button {
        min-height: 1.6em;
        padding: 0.05em 0.6em;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  @state() private entries: readonly JournalEntry[] = [];
  @state() private size = 0;
  @state() private start = -1;
  @state() private filter = "";
  @state() private checkpoint = "";
  @state() private verdict: Verdict | null = null;
  @state() private message = "";

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#latest();
  }

  protected override render(): TemplateResult {
    const shown = this.entries.filter((entry) => matches(entry, this.filter)).toReversed();
    return html`<div class="row bar"><h1>${t("journal.title")}</h1><span class="soft">${t("journal.logged")}</span></div>
      <div class="row">
        <button @click=${this.#latest} data-testid="journal-latest">${t("journal.latest")}</button>
        <button ?disabled=${this.start < 0} @click=${() => this.#fetch(Math.max(-1, this.start - PAGE))}>${t("journal.older")}</button>
        <button ?disabled=${this.start + PAGE + 1 >= this.size} @click=${() => this.#fetch(this.start + PAGE)}>${t("journal.newer")}</button>
        <input type="search" aria-label=${t("journal.filter")} placeholder=${t("journal.filter")} @input=${this.#onFilter} />
        <button @click=${this.#askCheckpoint} data-testid="checkpoint">${t("journal.checkpointGet")}</button>
      </div>
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
      ${this.checkpoint === "" ? nothing : html`<section class="panel"><h2>${t("journal.checkpoint")}</h2><pre data-testid="checkpoint-note">${this.checkpoint}</pre></section>`}
      ${this.verdict === null ? nothing : html`<section class="panel"><h2>${t("verify.title")} ${this.verdict.recording}</h2><verdict-strip .verdict=${this.verdict}></verdict-strip></section>`}
      <div class="rows">${shown.length === 0 ? html`<p class="soft">${t("journal.none")}</p>` : this.#table(shown)}</div>`;
  }

  #table(shown: readonly JournalEntry[]): TemplateResult {
    return html`<table data-testid="journal">
      <thead><tr><th>${t("journal.leaf")}</th><th>${t("journal.at")}</th><th>${t("journal.operation")}</th><th>${t("journal.author")}</th>
        <th>${t("journal.motive")}</th><th>${t("journal.object")}</th><th>${t("journal.result")}</th><th>${t("journal.details")}</th></tr></thead>
      <tbody>${shown.map((entry) => this.#row(entry))}</tbody>
    </table>`;
  }

  #row(entry: JournalEntry): TemplateResult {
    const { body } = entry;
    if (body === null)
      return html`<tr><td>${entry.leaf}</td><td>${dateTime(entry.at)}</td><td colspan="6" class="soft">${t("journal.purged")} : ${entry.hash}</td></tr>`;
    const details = Object.entries(body.details).map(([name, value]) => `${name} : ${value}`);
    return html`<tr data-testid="entry" class=${body.operation} title=${entry.hash}>
      <td>${entry.leaf}</td><td>${dateTime(entry.at)}</td><td>${body.operation}</td>
      <td>${body.author}<br /><span class="detail">${tCode("role", body.role)}</span></td><td>${body.motive}</td>
      <td>${body.objectType}<br /><span class="detail">${body.objectId}</span>
        ${body.objectType === "recording" && body.objectId !== "" ? html`<br /><button @click=${() => this.#verify(body.objectId)}>${t("journal.verify")}</button>` : nothing}</td>
      <td>${body.result}</td><td class="detail">${details.map((line) => html`${line}<br />`)}</td>
    </tr>`;
  }

  #onFilter(event: Event): void {
    this.filter = (event.target as HTMLInputElement).value.toLowerCase();
  }

  /** Show the end of the journal.  A first request finds its size; each request adds an entry to the journal. */
  readonly #latest = async (): Promise<void> => {
    const probe = await this.api.journal(-1, 1);
    if (probe.kind !== "ok") {
      this.message = explain(probe);
      return;
    }
    await this.#fetch(Math.max(-1, probe.value.size - PAGE));
  };

  async #fetch(after: number): Promise<void> {
    const answer = await this.api.journal(after, PAGE);
    this.message = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind !== "ok") return;
    this.start = after;
    this.size = answer.value.size;
    this.entries = answer.value.leaves;
  }

  readonly #askCheckpoint = async (): Promise<void> => {
    const answer = await this.api.checkpoint();
    this.message = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind === "ok") this.checkpoint = answer.value;
  };

  async #verify(recording: string): Promise<void> {
    const answer = await this.api.verify(recording);
    this.message = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind === "ok") this.verdict = answer.value;
  }
}

function matches(entry: JournalEntry, filter: string): boolean {
  if (filter === "") return true;
  const { body } = entry;
  if (body === null) return false;
  const words = [
    body.operation,
    body.author,
    body.motive,
    body.objectType,
    body.objectId,
    body.result,
    ...Object.values(body.details),
  ];
  return words.some((word) => word.toLowerCase().includes(filter));
}
