/**
 * The request to a camera to transmit: who or what is threatened, and why.  Owns: the dialog.  Must never know: how the request
 * is sent.
 */

import { html, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { type Key, t } from "../i18n";
import type { Camera } from "../model";
import { fieldValue, LocalizedElement } from "./base";

const THREATS = ["agents", "biens", "personnes"] as const;

export interface StreamRequest {
  readonly camera: Camera;
  readonly threat: string;
  readonly reason: string;
}

@customElement("request-dialog")
export class RequestDialog extends LocalizedElement {
  @query("dialog") private dialog!: HTMLDialogElement;
  @state() private camera: Camera | null = null;

  async open(camera: Camera): Promise<void> {
    this.camera = camera;
    await this.updateComplete;
    if (!this.dialog.open) this.dialog.showModal();
  }

  protected override render(): TemplateResult {
    return html`<dialog aria-labelledby="title" data-testid="request-dialog">
      <form @submit=${this.#submit}>
        <h2 id="title">${t("threat.title", { label: this.camera?.label ?? "" })}</h2>
        <p class="soft">${t("threat.why")}</p>
        <label>${t("threat.who")}
          <select name="threat">${THREATS.map((threat) => html`<option value=${threat}>${t(`threat.${threat}` as Key)}</option>`)}</select>
        </label>
        <label>${t("threat.reason")}<input name="reason" maxlength="200" /></label>
        <div class="row">
          <button class="primary" data-testid="request-submit">${t("threat.submit")}</button>
          <button type="button" @click=${() => this.dialog.close()}>${t("common.cancel")}</button>
        </div>
      </form>
    </dialog>`;
  }

  #submit(event: SubmitEvent): void {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const camera = this.camera;
    this.dialog.close();
    if (camera === null) return;
    const detail: StreamRequest = { camera, threat: fieldValue(form, "threat"), reason: fieldValue(form, "reason") };
    this.dispatchEvent(new CustomEvent<StreamRequest>("stream-request", { detail }));
  }
}
