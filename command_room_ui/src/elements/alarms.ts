/**
 * The banner of pressed buttons: who, since when, show it.
 *
 * Owns: the banner and its sound.  Must never know: the wall (it asks for a camera to be shown).
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { age, t } from "../i18n";
import type { Alarm, LiveState } from "../live_state";
import { AlertSound } from "../sound";
import { controls, Spoken } from "./base";

@customElement("alarm-banner")
export class AlarmBanner extends Spoken {
  static override styles = [
    controls,
    css`
      .alarm {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.4em 1em;
        padding: 0.5em 0.9em;
        background: var(--bad-ground);
        border: 2px solid var(--bad);
        border-left-width: 0.8em;
        font-size: 1.1rem;
      }
      .alarm.seen {
        background: #2e1413;
        font-size: 1rem;
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
        min-width: 8em;
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
  /** Our clock, milliseconds; given so that ages move. */
  @property({ type: Number }) now = 0;
  readonly #sound = new AlertSound();

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#sound.ring(false);
  }

  protected override render(): TemplateResult {
    const alarms = [...this.live.alarms.values()].sort(
      (left, right) => Number(left.seen) - Number(right.seen) || right.at - left.at,
    );
    return html`<div role="alert" class="hidden">${alarms.filter((alarm) => !alarm.seen).map((alarm) => html`<p>${t("alarm.announce", { label: this.#label(alarm) })}</p>`)}</div>
      ${alarms.map((alarm) => this.#row(alarm))}`;
  }

  protected override updated(): void {
    this.#sound.ring([...this.live.alarms.values()].some((alarm) => !alarm.seen));
  }

  #label(alarm: Alarm): string {
    return this.live.cameras.get(alarm.camera)?.label ?? alarm.camera;
  }

  #row(alarm: Alarm): TemplateResult {
    const ago = t("alarm.ago", { age: age((this.now - alarm.at) / 1000) });
    const say = (name: string) => this.dispatchEvent(new CustomEvent<string>(name, { detail: alarm.camera }));
    return html`<div class="alarm ${alarm.seen ? "seen" : ""}" data-testid="alarm" data-camera=${alarm.camera}>
      <span class="who">${t("alarm.title")} — ${this.#label(alarm)}</span>
      <span class="why">${alarm.reason || t("alarm.pressed")}, ${ago}</span>
      ${this.#sound.blocked ? html`<button @click=${this.#unblock}>${t("alarm.sound")}</button>` : nothing}
      <button class="danger" @click=${() => say("alarm-show")} data-testid="alarm-show">${t("alarm.show")}</button>
      ${alarm.seen ? nothing : html`<button @click=${() => say("alarm-seen")} data-testid="alarm-seen">${t("alarm.seen")}</button>`}
    </div>`;
  }

  async #unblock(): Promise<void> {
    await this.#sound.unblock();
    this.requestUpdate();
  }
}
