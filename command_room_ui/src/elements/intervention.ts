/**
 * The gate before every picture: a person opens or joins an intervention, with a motive.
 *
 * Owns: the two forms and the list of open interventions.  Must never know: the wall.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Answer, Api } from "../api";
import { clock, t } from "../i18n";
import type { Intervention } from "../model";
import { controls, explain, fieldValue, LocalizedElement } from "./base";

@customElement("intervention-gate")
export class InterventionGate extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        padding: 1.5em;
        overflow: auto;
      }
      .choices {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr));
        gap: 1.2em;
        max-width: 72rem;
        margin: 1.2em auto 0;
      }
      .intro {
        max-width: 72rem;
        margin: 0 auto;
        display: grid;
        gap: 0.4em;
      }
      ul {
        list-style: none;
        padding: 0;
        margin: 1em 0 0;
        display: grid;
        gap: 0.8em;
      }
      li {
        border: 1px solid var(--line);
        border-radius: var(--radius);
        padding: 0.8em;
        display: grid;
        gap: 0.6em;
      }
      .label {
        font-weight: 700;
        font-size: 1.1em;
      }
      form.join {
        grid-template-columns: 1fr auto;
        align-items: end;
      }
      h2 {
        margin-bottom: 0.8em;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  /** A new value makes the element fetch the list again. */
  @property({ type: Number }) revision = 0;
  @property({ type: Boolean }) closed = false;
  @state() private open: readonly Intervention[] | null = null;
  @state() private message = "";
  @state() private busy = false;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#fetch();
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has("revision") && this.hasUpdated) void this.#fetch();
  }

  protected override render(): TemplateResult {
    return html`<div class="intro">
        <h1>${t("intervention.title")}</h1>
        ${this.closed ? html`<p class="error" role="alert">${t("intervention.closed")}</p>` : nothing}
        <p class="soft">${t("intervention.need")}</p>
        <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
      </div>
      <div class="choices">
        <section class="panel"><h2>${t("intervention.open")}</h2>${this.#openForm()}</section>
        <section class="panel"><h2>${t("intervention.join")}</h2>${this.#list()}</section>
      </div>`;
  }

  #openForm(): TemplateResult {
    return html`<form @submit=${this.#open} data-testid="open-intervention">
      <label>${t("intervention.label")}<input name="label" required maxlength="120" data-testid="intervention-label" /></label>
      ${this.#motiveField()}
      <button class="primary" ?disabled=${this.busy} data-testid="intervention-open">${t("intervention.openSubmit")}</button>
    </form>`;
  }

  #motiveField(): TemplateResult {
    return html`<label>${t("intervention.motive")}
      <input name="motive" required minlength="3" maxlength="500" placeholder=${t("intervention.motiveHint")} data-testid="motive" /></label>`;
  }

  #list(): TemplateResult {
    if (this.open === null) return html`<p class="soft">${t("app.loading")}</p>`;
    if (this.open.length === 0) return html`<p class="soft">${t("intervention.none")}</p>`;
    return html`<ul data-testid="interventions">${this.open.map((item) => this.#item(item))}</ul>`;
  }

  #item(item: Intervention): TemplateResult {
    const camera = item.openedBy.startsWith("camera:") ? item.openedBy.slice("camera:".length) : null;
    const time = clock(item.openedAt);
    const by =
      camera === null
        ? t("intervention.openedBy", { who: item.openedBy, time })
        : t("intervention.openedByCamera", { camera, time });
    return html`<li data-testid="intervention" data-id=${item.id}>
      <div><p class="label">${item.label}</p><p class="soft">${by}</p></div>
      ${
        item.motive === null
          ? html`<form class="join" @submit=${(event: SubmitEvent) => this.#join(event, item)}>
            ${this.#motiveField()}<button class="primary" ?disabled=${this.busy} data-testid="join">${t("intervention.joinSubmit")}</button>
          </form>`
          : html`<div class="row"><span class="soft">${t("intervention.yourMotive", { motive: item.motive })}</span>
            <button class="primary" @click=${() => this.#enter(item)} data-testid="resume">${t("intervention.resume")}</button>
            <button @click=${() => this.#close(item)} data-testid="close">${t("intervention.close")}</button></div>`
      }
    </li>`;
  }

  /**
   * Put the cursor into the field for the motive of a listed intervention; into the form of a new one where it is not listed.
   */
  ask(id: string | null): void {
    const item = id === null ? null : this.renderRoot.querySelector<HTMLElement>(`[data-id="${CSS.escape(id)}"]`);
    const field = item?.querySelector("input") ?? item?.querySelector("button") ?? this.renderRoot.querySelector("input");
    field?.focus();
  }

  async #fetch(): Promise<void> {
    const answer = await this.api.interventions();
    if (answer.kind === "ok") this.open = answer.value;
    else this.message = explain(answer);
  }

  async #open(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    await this.#try(this.api.openIntervention(fieldValue(form, "label"), fieldValue(form, "motive")));
  }

  async #join(event: SubmitEvent, item: Intervention): Promise<void> {
    event.preventDefault();
    await this.#try(this.api.joinIntervention(item.id, fieldValue(event.target as HTMLFormElement, "motive")));
  }

  async #try(call: Promise<Answer<Intervention>>): Promise<void> {
    this.busy = true;
    this.message = "";
    const answer = await call;
    this.busy = false;
    if (answer.kind === "ok") this.#enter(answer.value);
    else this.message = explain(answer);
  }

  async #close(item: Intervention): Promise<void> {
    if (!confirm(t("intervention.closeSure", { label: item.label }))) return;
    const answer = await this.api.closeIntervention(item.id);
    this.message = answer.kind === "ok" ? "" : explain(answer);
    await this.#fetch();
  }

  #enter(item: Intervention): void {
    this.dispatchEvent(new CustomEvent<Intervention>("entered", { detail: item }));
  }
}
