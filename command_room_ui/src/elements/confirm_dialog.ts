/**
 * The confirmation that the threat lasts, with a motive (LIV-07).  Owns: the dialog and its refusals.  Must never know: when a
 * confirmation is due.
 */

import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import type { Api } from "../api";
import { clock, t } from "../i18n";
import type { Camera } from "../model";
import { explain, fieldValue, LocalizedElement } from "./base";

@customElement("confirm-dialog")
export class ConfirmDialog extends LocalizedElement {
  @property({ attribute: false }) api!: Pick<Api, "confirmStream">;
  @query("dialog") private dialog!: HTMLDialogElement;
  @query("form") private form!: HTMLFormElement;
  @state() private camera: Camera | null = null;
  @state() private refusal = "";
  @state() private busy = false;

  async open(camera: Camera): Promise<void> {
    this.camera = camera;
    this.refusal = "";
    await this.updateComplete;
    this.form.reset();
    if (!this.dialog.open) this.dialog.showModal();
  }

  protected override render(): TemplateResult {
    const { camera } = this;
    return html`<dialog aria-labelledby="title" data-testid="confirm-dialog">
      <form @submit=${this.#submit}>
        <h2 id="title">${t("confirm.title", { label: camera?.label ?? "" })}</h2>
        <p class="soft">${t("confirm.why", { time: clock(camera?.endsAt ?? null) })}</p>
        <label>${t("confirm.motive")}<input name="motive" required minlength="3" maxlength="500" data-testid="confirm-motive" /></label>
        ${this.refusal === "" ? nothing : html`<p class="error" role="alert" data-testid="confirm-refused">${this.refusal}</p>`}
        <div class="row">
          <button class="primary" ?disabled=${this.busy} data-testid="confirm-submit">${t("ending.confirm")}</button>
          <button type="button" @click=${() => this.dialog.close()}>${t("common.cancel")}</button>
        </div>
      </form>
    </dialog>`;
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const { camera } = this;
    if (camera === null || this.busy) return;
    this.busy = true;
    const answer = await this.api.confirmStream(camera.camera, fieldValue(this.form, "motive"));
    this.busy = false;
    // The person may have closed the dialog and opened it for another camera meanwhile.
    if (camera !== this.camera) return;
    this.refusal = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind !== "ok") return;
    this.dialog.close();
    this.dispatchEvent(new CustomEvent<string>("stream-confirmed", { detail: camera.label }));
  }
}
