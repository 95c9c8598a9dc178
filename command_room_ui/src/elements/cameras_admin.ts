/**
 * The view of administrators on the enrolled cameras: enrol, change, revoke.  It shows no picture.
 *
 * Owns: the form and the table.  A token is shown here once and kept nowhere.  Must never know: live states.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Answer, Api } from "../api";
import { t, tCode } from "../i18n";
import type { Camera } from "../model";
import { controls, explain, fieldValue, LocalizedElement } from "./base";

const REGIMES = ["bodycam_pm", "bodycam_pn_gn", "bodycam_sis", "embarquee", "videoprotection"] as const;

@customElement("cameras-view")
export class CamerasView extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        padding: 1.2em;
        display: grid;
        gap: 1em;
        align-content: start;
      }
      form {
        grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr));
        align-items: end;
        margin-top: 0.8em;
      }
      .off {
        color: var(--soft);
      }
      td button {
        min-height: 1.8em;
        padding: 0.1em 0.6em;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  @state() private cameras: readonly Camera[] = [];
  @state() private message = "";
  @state() private secret: { camera: string; token: string } | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#fetch();
  }

  protected override render(): TemplateResult {
    return html`<h1>${t("cams.title")}</h1>
      <p class="soft">${t("cams.noPicture")}</p>
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
      ${
        this.secret === null
          ? nothing
          : html`<div class="panel" role="status"><p>${t("cams.token", { camera: this.secret.camera })}</p>
            <p class="secret" data-testid="camera-token">${this.secret.token}</p></div>`
      }
      ${this.#form()} ${this.#table()}`;
  }

  #form(): TemplateResult {
    return html`<section class="panel"><h2>${t("cams.add")}</h2>
      <form @submit=${this.#enrol} data-testid="enrol">
        <label>${t("cams.camera")}<input name="camera" required pattern="[a-z0-9](?:[a-z0-9\\-]{0,38}[a-z0-9])?" autocapitalize="off" data-testid="enrol-camera" /></label>
        <label>${t("cams.label")}<input name="label" required maxlength="200" data-testid="enrol-label" /></label>
        <label>${t("cams.regime")}<select name="regime">${REGIMES.map((regime) => html`<option value=${regime}>${tCode("regime", regime)}</option>`)}</select></label>
        <label>${t("cams.original")}<select name="original">
          <option value="relay">${t("cams.originalRelay")}</option><option value="camera">${t("cams.originalCamera")}</option></select></label>
        <label>${t("cams.commune")}<input name="commune" /></label>
        <label class="check"><input type="checkbox" name="audio" /> ${t("cams.audio")}</label>
        <button class="primary" data-testid="enrol-submit">${t("cams.submit")}</button>
      </form></section>`;
  }

  #table(): TemplateResult {
    return html`<table data-testid="enrolled">
      <thead><tr><th>${t("cams.camera")}</th><th>${t("cams.label")}</th><th>${t("cams.regime")}</th><th>${t("cams.original")}</th><th>${t("cams.commune")}</th><th>${t("cams.audio")}</th><th>${t("common.actions")}</th></tr></thead>
      <tbody>${this.cameras.map((camera) => this.#row(camera))}</tbody>
    </table>`;
  }

  #row(camera: Camera): TemplateResult {
    const name = camera.camera;
    const sound = (event: Event) =>
      this.#done(this.api.changeCamera(name, { live_audio: (event.target as HTMLInputElement).checked }));
    return html`<tr class=${camera.revoked ? "off" : ""} data-testid="enrolled-camera" data-camera=${name}>
      <td>${name}</td><td>${camera.label}</td><td>${tCode("regime", camera.regime)}</td>
      <td>${t(camera.original === "relay" ? "cams.originalRelay" : "cams.originalCamera")}</td><td>${camera.commune}</td>
      <td><input type="checkbox" aria-label=${t("cams.audio")} .checked=${camera.liveAudio} ?disabled=${camera.revoked} @change=${sound} /></td>
      <td>${camera.revoked ? html`✕ ${t("cams.revoked")}` : html`<button @click=${() => this.#revoke(name)}>${t("cams.revoke")}</button>`}</td>
    </tr>`;
  }

  async #fetch(): Promise<void> {
    const answer = await this.api.cameras();
    if (answer.kind === "ok") this.cameras = answer.value;
    else this.message = explain(answer);
  }

  async #enrol(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const camera = fieldValue(form, "camera");
    const token = await this.#done(
      this.api.enrolCamera({
        camera,
        label: fieldValue(form, "label"),
        regime: fieldValue(form, "regime"),
        original: fieldValue(form, "original") as Camera["original"],
        commune: fieldValue(form, "commune"),
        live_audio: new FormData(form).has("audio"),
      }),
    );
    if (token === null) return;
    this.secret = { camera, token };
    form.reset();
  }

  async #revoke(camera: string): Promise<void> {
    if (confirm(t("cams.revokeSure", { camera }))) await this.#done(this.api.revokeCamera(camera));
  }

  async #done<T>(call: Promise<Answer<T>>): Promise<T | null> {
    this.secret = null;
    const answer = await call;
    this.message = answer.kind === "ok" ? "" : explain(answer);
    await this.#fetch();
    return answer.kind === "ok" ? answer.value : null;
  }
}
