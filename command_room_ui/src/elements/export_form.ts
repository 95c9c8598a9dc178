/**
 * The form of an extraction: who asks for it, on which legal basis, for which interval.
 *
 * Owns: the form with the particulars that R241-2 7° requires.  Must never know: what is in the archive.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Api, ExportState } from "../api";
import { t, tCode } from "../i18n";
import type { Recording } from "../model";
import { controls, explain, fieldValue, LocalizedElement } from "./base";

const BASES = ["CPP_60-1", "CPP_77-1-1", "CPP_99-3", "administrative", "disciplinaire", "acces_habilite_L252-3"] as const;
const MAX_MOTIVE_LENGTH = 500;

@customElement("export-form")
export class ExportForm extends LocalizedElement {
  static override styles = [
    controls,
    css`
      form {
        grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr));
        align-items: end;
      }
      .wide {
        grid-column: 1 / -1;
      }
      .ready {
        margin-top: 1em;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  @property({ attribute: false }) recording!: Recording;
  @state() private made: ExportState | null = null;
  @state() private message = "";
  @state() private busy = false;

  protected override render(): TemplateResult {
    const { startedAt, endedAt } = this.recording;
    const field = (name: string, label: string, longest = 200) =>
      html`<label>${label}<input name=${name} required maxlength=${longest} data-testid="export-${name}" /></label>`;
    return html`<form @submit=${this.#submit} data-testid="export-form">
        <label>${t("export.from")}<input name="from" type="datetime-local" step="1" required .value=${local(startedAt, Math.floor)} /></label>
        <label>${t("export.to")}<input name="to" type="datetime-local" step="1" required .value=${local(endedAt, Math.ceil)} /></label>
        <label>${t("export.basis")}<select name="basis" data-testid="export-basis">
          ${BASES.filter((basis) => basis !== "acces_habilite_L252-3" || this.recording.regime === "videoprotection").map(
            (basis) => html`<option value=${basis}>${tCode("basis", basis)}</option>`,
          )}
        </select></label>
        ${field("procedure", t("export.procedure"))} ${field("agent", t("export.agent"))} ${field("service", t("export.service"))}
        <label class="wide">${t("export.motive")}<input name="motive" required minlength="3" maxlength=${MAX_MOTIVE_LENGTH} data-testid="export-motive" /></label>
        <div class="row wide">
          <button class="primary" ?disabled=${this.busy} data-testid="export-submit">${t("export.submit")}</button>
          <span class="soft">${t("export.fragments")}</span>
        </div>
      </form>
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
      ${this.made === null ? nothing : this.#ready(this.made)}`;
  }

  #ready(made: ExportState): TemplateResult {
    return html`<div class="row ready"><span class="done" role="status">${t("export.ready")}</span>
      <a class="button primary" href=${this.api.exportFile(made.id)} download data-testid="export-download">${t("export.download")}</a></div>`;
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    this.busy = true;
    this.made = null;
    const answer = await this.api.startExport(this.recording.id, {
      from: new Date(fieldValue(form, "from")).getTime() * 1e6,
      to: new Date(fieldValue(form, "to")).getTime() * 1e6,
      motive: fieldValue(form, "motive"),
      legal_basis: fieldValue(form, "basis"),
      requesting_agent: fieldValue(form, "agent"),
      requesting_service: fieldValue(form, "service"),
      procedure_no: fieldValue(form, "procedure"),
    });
    this.busy = false;
    this.message = answer.kind === "ok" ? "" : explain(answer);
    if (answer.kind === "ok") this.made = answer.value;
  }
}

/** Return a moment in the form of a `datetime-local` field: local time, whole seconds. */
function local(ms: number | null, round: (value: number) => number): string {
  if (ms === null) return "";
  const at = new Date(round(ms / 1000) * 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
