/** The dialog that lists the keys.  Owns: the dialog and its list.  Must never know: the code that handles the keys. */

import { css, html, type TemplateResult } from "lit";
import { customElement, query } from "lit/decorators.js";
import { t } from "../i18n";
import { controls, LocalizedElement } from "./base";

@customElement("help-dialog")
export class HelpDialog extends LocalizedElement {
  static override styles = [
    controls,
    css`
      dl {
        display: grid;
        grid-template-columns: max-content 1fr;
        gap: 0.5em 1.2em;
        margin: 1em 0;
      }
      dt {
        text-align: right;
      }
      dd {
        margin: 0;
      }
      kbd {
        font: inherit;
        font-weight: 600;
        background: var(--raised);
        border: 1px solid var(--line);
        border-bottom-width: 3px;
        border-radius: var(--radius);
        padding: 0.05em 0.5em;
      }
    `,
  ];

  @query("dialog") private dialog!: HTMLDialogElement;

  open(): void {
    if (!this.dialog.open) this.dialog.showModal();
  }

  protected override render(): TemplateResult {
    const shift = t("help.shift");
    const rows: [string[], string][] = [
      [["1", "…", "9", "12"], t("help.digits")],
      [[t("help.arrowKeys")], t("help.arrows")],
      [[t("help.enterKey")], t("help.enter")],
      [[`${shift}+1`, `${shift}+4`, `${shift}+9`, `${shift}+6`], t("help.sizes")],
      [["F"], t("help.fullScreen")],
      [["M"], t("help.mute")],
      [[t("help.deleteKey")], t("help.delete")],
      [["/"], t("help.search")],
      [["A"], t("help.alarm")],
      [["C"], t("help.confirm")],
      [[t("help.escapeKey")], t("help.escape")],
      [["?"], t("help.help")],
    ];
    return html`<dialog aria-labelledby="title" data-testid="help-dialog">
      <h2 id="title">${t("help.title")}</h2>
      <dl>${rows.map(([keys, what]) => html`<dt>${keys.map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${what}</dd>`)}</dl>
      <form method="dialog"><button class="primary">${t("common.close")}</button></form>
    </dialog>`;
  }
}
