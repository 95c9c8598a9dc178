/**
 * One recording: its particulars, its playback, its verification, its extraction, its holds.
 *
 * Owns: which of these parts a role sees, and the motive before the picture.  Must never know: HLS, marks.
 */

import { css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Api, Playback } from "../api";
import { age, bytes, dateTime, day, decimal, type Key, t, tCode } from "../i18n";
import type { Recording, Role } from "../model";
import type { Verdict } from "../verdict";
import { controls, explain, fieldValue, LocalizedElement } from "./base";
import "./export_form";
import "./hold_panel";
import "./player";
import "./verdict_strip";

@customElement("recording-detail")
export class RecordingDetail extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        gap: 1.1em;
        align-content: start;
      }
      dl {
        display: grid;
        grid-template-columns: max-content 1fr max-content 1fr;
        gap: 0.35em 1em;
        margin: 0;
      }
      dt {
        color: var(--soft);
      }
      dd {
        margin: 0;
        overflow-wrap: anywhere;
      }
      .panel {
        display: grid;
        gap: 0.8em;
      }
      form.motive {
        grid-template-columns: 1fr auto;
        align-items: end;
      }
      .held {
        color: var(--warn);
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  /** The role of the signed-in person; `role` itself is an ARIA attribute of every element. */
  @property({ attribute: false }) duty!: Role;
  @property({ attribute: false }) intervention: string | null = null;
  @property({ attribute: false }) recording!: Recording;
  @state() private full: Recording | null = null;
  @state() private playback: Playback | null = null;
  @state() private verdict: Verdict | null = null;
  @state() private verifying = false;
  @state() private message = "";

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stop();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get("recording");
    if (!changed.has("recording") || before?.id === this.recording.id) return;
    this.#stop();
    this.full = null;
    this.verdict = null;
    this.message = "";
    void this.#fetch();
  }

  protected override render(): TemplateResult {
    const recording = this.full ?? this.recording;
    const commander = this.duty === "commander";
    return html`<h1>${recording.label} — ${dateTime(recording.startedAt)}</h1>
      ${this.#facts(recording)}
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
      ${commander ? nothing : html`<p class="soft">${t("recordings.noPicture")}</p>`}
      ${commander && recording.state !== "erased" ? html`${this.#playback(recording)}${this.#verification()}` : nothing}
      ${
        commander && recording.state === "closed"
          ? html`<section class="panel"><h2>${t("export.title")}</h2><export-form .api=${this.api} .recording=${recording}></export-form></section>`
          : nothing
      }
      ${this.#holds(recording)}`;
  }

  /** Auditors see the holds too: a hold is an exception to the term of erasure. */
  #holds(recording: Recording): TemplateResult | typeof nothing {
    if (this.duty !== "commander" && this.duty !== "auditor") return nothing;
    return html`<section class="panel"><h2>${t("hold.title")}</h2>
      <hold-panel .api=${this.api} .duty=${this.duty} .recording=${recording} @holds-changed=${this.#fetch}></hold-panel></section>`;
  }

  #facts(recording: Recording): TemplateResult {
    const rows: [Key, unknown][] = [
      ["recordings.state", t(`recording.${recording.state}` as Key)],
      ["recordings.duration", recording.state === "open" ? "…" : age(recording.durationMs / 1000)],
      ["recording.reason", recording.reason === null ? "—" : tCode("reason", recording.reason)],
      ["recordings.size", bytes(recording.storedBytes)],
      ["recordings.gaps", this.#gaps(recording)],
      ["recordings.expires", this.#expires(recording)],
      ["recording.trigger", tCode("trigger", recording.trigger)],
      ["recording.threat", tCode("threat", recording.threat)],
      ["recording.bearer", recording.bearer ?? "—"],
      ["cams.regime", tCode("regime", recording.regime)],
      ["recording.id", recording.id],
    ];
    return html`<dl data-testid="recording-facts">${rows.map(([key, value]) => html`<dt>${t(key)}</dt><dd>${value}</dd>`)}</dl>`;
  }

  #expires(recording: Recording): TemplateResult | string {
    if (!recording.held) return day(recording.expiresOn);
    return html`<span class="held" data-testid="recording-held">⚠ ${t("recording.held")}</span> ${t("recording.heldPast", { day: day(recording.expiresOn) })}`;
  }

  #gaps(recording: Recording): TemplateResult {
    if (recording.gapList.length === 0) return html`${recording.gaps}`;
    return html`${recording.gapList.map((gap) => html`<div>${dateTime(gap.startAt)} : ${decimal(gap.seconds, 1)} s (${tCode("gap", gap.cause)})</div>`)}`;
  }

  #playback(recording: Recording): TemplateResult {
    if (this.playback !== null) {
      return html`<section class="panel">
        <div class="row"><h2>${t("play.title")}</h2><span class="done" role="status">${t("play.logged")}</span>
          <button @click=${this.#stop} data-testid="play-stop">${t("play.stop")}</button></div>
        <recording-player .api=${this.api} .playlist=${this.playback.playlist} .segments=${recording.segments}></recording-player>
      </section>`;
    }
    return html`<section class="panel"><h2>${t("play.title")}</h2>
      <form class="motive" @submit=${this.#play}>
        <label>${t("play.motive")}<input name="motive" required minlength="3" maxlength="500" data-testid="play-motive" /></label>
        <button class="primary" data-testid="play">${t("play.submit")}</button>
      </form></section>`;
  }

  #verification(): TemplateResult {
    return html`<section class="panel">
      <div class="row"><h2>${t("verify.title")}</h2>
        <button @click=${this.#verify} ?disabled=${this.verifying} data-testid="verify">${t("verify.submit")}</button>
        ${this.verifying ? html`<span class="soft" role="status">${t("verify.running")}</span>` : nothing}</div>
      ${this.recording.state === "open" && this.verdict !== null ? html`<p class="held">⚠ ${t("verify.open")}</p>` : nothing}
      ${this.verdict === null ? nothing : html`<verdict-strip .verdict=${this.verdict}></verdict-strip>`}
    </section>`;
  }

  async #fetch(): Promise<void> {
    const { id } = this.recording;
    const answer = await this.api.recording(id);
    if (answer.kind === "ok" && id === this.recording.id) this.full = answer.value;
  }

  async #play(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const motive = fieldValue(event.target as HTMLFormElement, "motive");
    const answer = await this.api.openPlayback(this.recording.id, motive, this.intervention);
    this.message = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind === "ok") this.playback = answer.value;
  }

  readonly #stop = (): void => {
    if (this.playback === null) return;
    void this.api.closePlayback(this.playback.view);
    this.playback = null;
  };

  async #verify(): Promise<void> {
    const { id } = this.recording;
    this.verifying = true;
    this.verdict = null;
    const answer = await this.api.verify(id);
    this.verifying = false;
    if (id !== this.recording.id) return;
    this.message = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind === "ok") this.verdict = answer.value;
  }
}
