/**
 * The holds of one recording: for which procedure, the day of the next review, and the forms to open, review and lift one.
 *
 * Owns: the forms, and the words about the consequence of lifting.  Must never know: whether the relay will accept.
 */

import { css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Answer, Api } from "../api";
import { type Hold, isPast, PROCEDURES, type RecordingHolds } from "../holds";
import { dateTime, day, t, tCode } from "../i18n";
import type { Recording, Role } from "../model";
import { controls, explain, fieldValue, LocalizedElement } from "./base";
import { reviewWords } from "./hold_list";

type Act = "review" | "lift";

@customElement("hold-panel")
export class HoldPanel extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        gap: 0.9em;
      }
      form.open {
        grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr));
        align-items: end;
      }
      .wide {
        grid-column: 1 / -1;
      }
      ul {
        margin: 0;
        padding: 0;
        list-style: none;
        display: grid;
        gap: 0.7em;
      }
      li {
        display: grid;
        gap: 0.4em;
        padding: 0.7em 0.9em;
        border: 1px solid var(--line);
        border-left: 0.4em solid var(--warn);
        border-radius: var(--radius);
      }
      li.overdue {
        border-color: var(--bad);
        background: var(--bad-ground);
      }
      li.lifted {
        border-left-color: var(--line);
        color: var(--soft);
      }
      .warn {
        color: var(--warn);
      }
      strong {
        overflow-wrap: anywhere;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  /** The role of the signed-in person; `role` itself is an ARIA attribute of every element. */
  @property({ attribute: false }) duty!: Role;
  @property({ attribute: false }) recording!: Recording;
  @state() private found: RecordingHolds | null = null;
  @state() private acting: { readonly hold: string; readonly act: Act } | null = null;
  @state() private message = "";
  @state() private notice = "";
  @state() private busy = false;

  protected override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get("recording");
    if (!changed.has("recording") || before?.id === this.recording.id) return;
    this.found = null;
    this.acting = null;
    this.message = this.notice = "";
    void this.#fetch();
  }

  protected override updated(changed: Map<PropertyKey, unknown>): void {
    // For the keyboard: the cursor goes into the form that was opened, and back to its button when the form is cancelled.
    const before = changed.get("acting") as { hold: string; act: Act } | null | undefined;
    if (this.acting !== null && changed.has("acting")) this.#focus("form.act input");
    else if (before) this.#focus(`[data-hold="${before.hold}"] [data-testid="hold-${before.act}"]`);
  }

  protected override render(): TemplateResult {
    return html`<p class="soft">${t("hold.law")}</p>
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
      <p class="done" role="status" ?hidden=${this.notice === ""}>${this.notice}</p>
      ${
        this.found === null
          ? nothing
          : html`${this.found.lost ? html`<p class="warn" role="status" data-testid="hold-lost">⚠ ${t("hold.lost")}</p>` : nothing}
        ${this.#list(this.found.holds)}${this.#opening(this.found)}`
      }`;
  }

  #list(holds: readonly Hold[]): TemplateResult {
    if (holds.length === 0) return html`<p class="soft">${t("hold.none")}</p>`;
    return html`<ul data-testid="holds">${holds.map((hold) => this.#hold(hold))}</ul>`;
  }

  #hold(hold: Hold): TemplateResult {
    const lifted = hold.liftedAt !== null;
    const kind = lifted ? "lifted" : hold.overdue ? "overdue" : "";
    return html`<li class=${kind} data-testid="hold" data-hold=${hold.id}>
      <strong>${tCode("procedure", hold.type)} ${hold.procedure}</strong>
      <span>${t("hold.authority")} : ${hold.authority}. ${t("hold.asked", { who: hold.requestedBy, user: hold.openedBy, time: dateTime(hold.openedAt) })}</span>
      ${lifted ? html`<span>${t("hold.lifted", { user: hold.liftedBy ?? "", time: dateTime(hold.liftedAt) })}</span>` : this.#standing(hold)}
    </li>`;
  }

  #standing(hold: Hold): TemplateResult {
    const acting = this.acting?.hold === hold.id ? this.acting.act : null;
    return html`<span>${t("hold.expires", { day: day(hold.expiresOn) })}</span>
      <span data-testid="hold-review-day">${hold.overdue ? html`<b>${reviewWords(hold)}</b>` : reviewWords(hold)}</span>
      ${
        this.duty !== "commander"
          ? nothing
          : acting === null
            ? html`<div class="row">
                <button @click=${() => this.#choose(hold, "review")} data-testid="hold-review">${t("hold.reviewStart")}</button>
                <button @click=${() => this.#choose(hold, "lift")} data-testid="hold-lift">${t("hold.liftStart")}</button></div>`
            : this.#sure(hold, acting)
      }`;
  }

  #sure(hold: Hold, act: Act): TemplateResult {
    return html`<form class="act" @submit=${(event: SubmitEvent) => this.#act(event, hold, act)} @keydown=${this.#onKey} data-testid="hold-${act}-form">
      ${act === "lift" ? html`<p data-testid="hold-consequence">⚠ ${this.#consequence(hold)}</p>` : nothing}
      <label>${t(act === "lift" ? "hold.liftMotive" : "hold.reviewMotive")}<input name="motive" required minlength="3" maxlength="500" data-testid="hold-motive" /></label>
      <div class="row">
        <button class=${act === "lift" ? "danger" : "primary"} ?disabled=${this.busy} data-testid="hold-sure">${t(act === "lift" ? "hold.liftSubmit" : "hold.reviewSubmit")}</button>
        <button type="button" @click=${this.#cancel} data-testid="hold-cancel">${t("common.cancel")}</button>
      </div></form>`;
  }

  #consequence(hold: Hold): string {
    const others = this.found?.holds.some((other) => other.id !== hold.id && other.liftedAt === null) ?? false;
    if (others) return t("hold.liftOther");
    return isPast(hold.expiresOn, Date.now()) ? t("hold.liftPast") : t("hold.liftBefore", { day: day(hold.expiresOn) });
  }

  #opening(found: RecordingHolds): TemplateResult | typeof nothing {
    if (this.duty !== "commander" || this.recording.state !== "closed") return nothing;
    const held = found.holds.filter((hold) => hold.liftedAt === null).map((hold) => hold.procedure);
    const free = found.procedures.filter((number) => !held.includes(number));
    if (free.length === 0 && !found.lost) {
      return html`<div class="row"><span class="soft">${t("hold.needs")}</span>
        <button @click=${this.#fetch} data-testid="hold-refresh">${t("common.refresh")}</button></div>`;
    }
    const field = (name: string, label: string) =>
      html`<label>${label}<input name=${name} required maxlength="200" data-testid="hold-${name}" /></label>`;
    return html`<form class="open" @submit=${this.#open} data-testid="hold-form">
      <label>${t("hold.type")}<select name="type" data-testid="hold-type">${PROCEDURES.map((type) => html`<option value=${type}>${tCode("procedure", type)}</option>`)}</select></label>
      ${
        found.lost
          ? field("procedure", t("hold.procedure"))
          : html`<label>${t("hold.procedure")}<select name="procedure" data-testid="hold-procedure">${free.map((number) => html`<option value=${number}>${number}</option>`)}</select></label>`
      }
      ${field("authority", t("hold.authority"))} ${field("requester", t("hold.requester"))}
      <div class="row wide"><button class="primary" ?disabled=${this.busy} data-testid="hold-submit">${t("hold.submit")}</button></div>
    </form>`;
  }

  #focus(selector: string): void {
    this.renderRoot.querySelector<HTMLElement>(selector)?.focus();
  }

  readonly #fetch = async (): Promise<void> => {
    const { id } = this.recording;
    const answer = await this.api.holdsOf(id);
    if (id !== this.recording.id) return;
    if (answer.kind === "ok") this.found = answer.value;
    else this.message = explain(answer);
  };

  #choose(hold: Hold, act: Act): void {
    this.message = this.notice = "";
    this.acting = { hold: hold.id, act };
  }

  readonly #cancel = (): void => {
    this.acting = null;
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key === "Escape") this.#cancel();
  };

  async #open(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const asked = {
      procedure_type: fieldValue(form, "type"),
      procedure_no: fieldValue(form, "procedure"),
      authority: fieldValue(form, "authority"),
      requested_by: fieldValue(form, "requester"),
    };
    if (await this.#done(this.api.openHold(this.recording.id, asked), t("hold.opened"))) form.reset();
  }

  async #act(event: SubmitEvent, hold: Hold, act: Act): Promise<void> {
    event.preventDefault();
    const motive = fieldValue(event.target as HTMLFormElement, "motive");
    const call = act === "lift" ? this.api.liftHold(hold.id, motive) : this.api.reviewHold(hold.id, motive);
    if (await this.#done(call, t(act === "lift" ? "hold.liftDone" : "hold.reviewDone"))) this.acting = null;
  }

  async #done(call: Promise<Answer<Hold>>, notice: string): Promise<boolean> {
    this.busy = true;
    this.notice = "";
    const answer = await call;
    this.busy = false;
    this.message = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind !== "ok") return false;
    this.notice = notice;
    await this.#fetch();
    this.dispatchEvent(new CustomEvent("holds-changed", { bubbles: true, composed: true }));
    return true;
  }
}
