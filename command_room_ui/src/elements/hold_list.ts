/**
 * All open holds, above the list of recordings: how many there are, and which reviews are overdue.
 *
 * Owns: this list.  Must never know: how a recording is shown (it only emits which one to show).
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Api } from "../api";
import type { Hold } from "../holds";
import { dateTime, day, t, tCode } from "../i18n";
import { controls, explain, LocalizedElement } from "./base";

/** Return the day on which a hold must be reviewed, or that its review is overdue. */
export function reviewWords(hold: Hold): string {
  const words = { day: day(hold.reviewOn) };
  return hold.overdue ? `⚠ ${t("hold.overdue", words)}` : t("hold.review", words);
}

@customElement("hold-list")
export class HoldList extends LocalizedElement {
  static override styles = [
    controls,
    css`
      details {
        padding: 0.6em 0.9em;
        border-top: 1px solid var(--line);
        border-bottom: 1px solid var(--line);
      }
      summary {
        cursor: pointer;
      }
      .overdue {
        color: var(--bad);
        font-weight: 700;
      }
      .all {
        max-height: 30vh;
        overflow: auto;
        display: grid;
        gap: 0.3em;
        margin-top: 0.5em;
      }
      .all button {
        display: grid;
        justify-content: start;
        text-align: left;
        gap: 0;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  @state() private holds: readonly Hold[] = [];
  @state() private message = "";

  override connectedCallback(): void {
    super.connectedCallback();
    void this.refresh();
  }

  /** Fetch the list again, after a hold was opened, reviewed or lifted. */
  async refresh(): Promise<void> {
    const answer = await this.api.holds();
    this.message = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind === "ok") this.holds = answer.value;
  }

  protected override render(): TemplateResult | typeof nothing {
    if (this.message !== "") return html`<p class="error" role="alert">${this.message}</p>`;
    if (this.holds.length === 0) return nothing;
    const overdue = this.holds.filter((hold) => hold.overdue).length;
    return html`<details data-testid="hold-list">
      <summary>${t("holds.standing", { count: this.holds.length })}
        ${overdue === 0 ? nothing : html`<span class="overdue" role="status" data-testid="holds-overdue">⚠ ${t("holds.overdue", { count: overdue })}</span>`}</summary>
      <div class="all">${this.holds.map((hold) => this.#row(hold))}</div>
    </details>`;
  }

  #row(hold: Hold): TemplateResult {
    const choose = () =>
      this.dispatchEvent(new CustomEvent<string>("hold-chosen", { detail: hold.recording, bubbles: true, composed: true }));
    return html`<button @click=${choose} data-testid="hold-row" data-recording=${hold.recording}>
      <strong>${tCode("procedure", hold.type)} ${hold.procedure}</strong>
      <span class="soft">${hold.label}, ${dateTime(hold.startedAt)}</span>
      <span class=${hold.overdue ? "overdue" : "soft"}>${reviewWords(hold)}</span>
    </button>`;
  }
}
