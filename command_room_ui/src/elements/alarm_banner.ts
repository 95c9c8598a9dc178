/**
 * The banner of alarms: which camera, why, since when, and a button that shows its picture.
 *
 * Owns: the banner and its sound.  Must never know: the wall (it only emits which camera to show).
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { type Alarm, ENDS_SOON, isTechnical } from "../alarms";
import { age, t, tCode } from "../i18n";
import type { LiveState } from "../live_state";
import { AlertSound } from "../sound";
import { controls, LocalizedElement } from "./base";

@customElement("alarm-banner")
export class AlarmBanner extends LocalizedElement {
  static override styles = [
    controls,
    css`
      .alarms {
        display: flex;
        flex-wrap: wrap;
        gap: 0.35em;
        padding: 0.35em;
        background: #2a0d0b;
        max-height: 30vh;
        overflow: auto;
      }
      .alarm {
        display: flex;
        align-items: center;
        white-space: nowrap;
        gap: 0.3em 0.7em;
        padding: 0.25em 0.6em;
        background: var(--bad-ground);
        border: 2px solid var(--bad);
        border-left-width: 0.7em;
        font-size: 1.05rem;
      }
      .alarm.seen {
        background: none;
        border-left-width: 2px;
        font-size: 0.95rem;
      }
      .alarm button {
        min-height: 2em;
        padding: 0.15em 0.7em;
      }
      .who {
        font-weight: 700;
      }
      .who::before {
        content: "▲ ";
        color: var(--bad);
      }
      .why {
        flex: 1;
      }
      @keyframes pulse {
        50% {
          border-color: #fff;
        }
      }
      @media (prefers-reduced-motion: no-preference) {
        .alarm:not(.seen) {
          animation: pulse 1s infinite;
        }
      }
    `,
  ];

  @property({ attribute: false }) live!: LiveState;
  /** Cameras on the wall.  An alarm that was seen needs no banner once its camera is on the wall. */
  @property({ attribute: false }) shown: ReadonlySet<string> = new Set();
  /** Milliseconds since 1970.  A new value draws the ages again. */
  @property({ type: Number }) now = 0;
  readonly #sound = new AlertSound();

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#sound.ring(false);
  }

  protected override render(): TemplateResult {
    const shown = [...this.live.alarms.values()].filter((alarm) => !alarm.seen || !this.shown.has(alarm.camera));
    const alarms = shown.sort((left, right) => Number(left.seen) - Number(right.seen) || right.at - left.at);
    return html`<div role="alert" class="hidden">${alarms.filter((alarm) => !alarm.seen).map((alarm) => html`<p>${t("alarm.announce", { title: t(this.#title(alarm)), label: this.#label(alarm) })}</p>`)}</div>
      ${alarms.length === 0 ? nothing : html`<div class="alarms">${alarms.map((alarm) => this.#row(alarm))}</div>`}`;
  }

  protected override updated(): void {
    this.#sound.ring([...this.live.alarms.values()].some((alarm) => !alarm.seen));
  }

  #label(alarm: Alarm): string {
    return this.live.cameras.get(alarm.camera)?.label ?? alarm.camera;
  }

  #title(alarm: Alarm): "alarm.title" | "alarm.technical" {
    return isTechnical(alarm) ? "alarm.technical" : "alarm.title";
  }

  #why(alarm: Alarm): string {
    const pressed = isTechnical(alarm) ? [] : [t("alarm.pressed")];
    return [...pressed, ...(alarm.reason === "" ? [] : [tCode("alarm", alarm.reason)])].join(" · ");
  }

  #row(alarm: Alarm): TemplateResult {
    const ago = t("alarm.ago", { age: age((this.now - alarm.at) / 1000) });
    return html`<div class="alarm ${alarm.seen ? "seen" : ""}" data-testid="alarm" data-camera=${alarm.camera} data-seen=${alarm.seen}>
      <span class="who">${alarm.seen ? "" : `${t(this.#title(alarm))} — `}${this.#label(alarm)}</span>
      <span class="why">${alarm.seen ? "" : `${this.#why(alarm)}, `}${ago}</span>
      ${this.#sound.blocked && !alarm.seen ? html`<button @click=${this.#unblock}>${t("alarm.sound")}</button>` : nothing}
      ${alarm.reason === ENDS_SOON && !alarm.seen ? html`<button @click=${() => this.#emit("confirm-wanted", alarm)} data-testid="alarm-confirm">${t("ending.confirm")}</button>` : nothing}
      <button class=${alarm.seen ? "" : "danger"} @click=${() => this.#emit("alarm-show", alarm)} data-testid="alarm-show">${t("alarm.show")}</button>
      ${alarm.seen ? nothing : html`<button @click=${() => this.#emit("alarm-seen", alarm)} data-testid="alarm-seen">${t("alarm.seen")}</button>`}
    </div>`;
  }

  #emit(name: string, alarm: Alarm): void {
    this.dispatchEvent(new CustomEvent<string>(name, { detail: alarm.camera }));
  }

  async #unblock(): Promise<void> {
    await this.#sound.unblock();
    this.requestUpdate();
  }
}
