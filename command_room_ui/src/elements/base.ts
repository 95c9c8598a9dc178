/**
 * The base of all elements: common styles, a new drawing when the language changes, the words of a failure.
 *
 * Owns: the styles of controls, the listener to the language.  Must never know: what an element is for.
 */

import { type CSSResultGroup, css, LitElement } from "lit";
import type { Failure } from "../api";
import { languageChanged, refusal, t } from "../i18n";

export const controls = css`
  :host {
    box-sizing: border-box;
    display: block;
  }
  *,
  *::before,
  *::after {
    box-sizing: inherit;
  }
  h1,
  h2,
  h3,
  p {
    margin: 0;
  }
  h1 {
    font-size: 1.35rem;
  }
  h2 {
    font-size: 1.1rem;
  }
  h3 {
    font-size: 1rem;
  }
  button,
  input,
  select,
  textarea,
  .button {
    font: inherit;
    color: inherit;
    background: var(--raised);
    border: 1px solid var(--line);
    border-radius: var(--radius);
    padding: 0.4em 0.8em;
    min-height: 2.4em;
  }
  input,
  select,
  textarea {
    background: #070b0f;
    width: 100%;
  }
  input[type="checkbox"] {
    width: 1.3em;
    min-height: 1.3em;
    accent-color: var(--accent);
  }
  button,
  .button {
    cursor: pointer;
    text-decoration: none;
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.4em;
  }
  button:hover:not(:disabled),
  .button:hover {
    border-color: var(--accent);
  }
  button:disabled {
    opacity: 0.55;
    cursor: default;
  }
  button.primary,
  .button.primary {
    background: var(--accent-ground);
    border-color: var(--accent);
    font-weight: 600;
  }
  button.danger {
    background: var(--bad-ground);
    border-color: var(--bad);
    font-weight: 600;
  }
  button.plain {
    background: none;
    border-color: transparent;
  }
  :focus-visible {
    outline: 3px solid var(--focus);
    outline-offset: 2px;
  }
  label {
    display: grid;
    gap: 0.25em;
    color: var(--soft);
  }
  label > input,
  label > select,
  label > textarea {
    color: var(--text);
  }
  label.check {
    display: flex;
    align-items: center;
    gap: 0.6em;
  }
  form {
    display: grid;
    gap: 0.9em;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: 0.6em;
    align-items: center;
  }
  .panel {
    background: var(--panel);
    border: 1px solid var(--line);
    border-radius: var(--radius);
    padding: 1.1em;
  }
  .soft {
    color: var(--soft);
  }
  .error {
    color: var(--bad);
    font-weight: 600;
  }
  .error::before {
    content: "✕ ";
  }
  .done {
    color: var(--good);
  }
  .done::before {
    content: "✓ ";
  }
  .secret {
    font-family: ui-monospace, "DejaVu Sans Mono", monospace;
    background: #070b0f;
    border: 1px dashed var(--warn);
    padding: 0.5em 0.8em;
    border-radius: var(--radius);
    overflow-wrap: anywhere;
    user-select: all;
  }
  table {
    border-collapse: collapse;
    width: 100%;
    font-variant-numeric: tabular-nums;
  }
  th {
    text-align: left;
    color: var(--soft);
    font-weight: 600;
    position: sticky;
    top: 0;
    background: var(--panel);
    z-index: 1;
  }
  th,
  td {
    padding: 0.45em 0.7em;
    border-bottom: 1px solid var(--line);
    vertical-align: top;
  }
  .hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  dialog {
    background: var(--panel);
    color: var(--text);
    border: 1px solid var(--line);
    border-radius: var(--radius);
    padding: 1.4em;
    max-width: min(46rem, 92vw);
  }
  dialog::backdrop {
    background: rgb(0 0 0 / 65%);
  }
`;

/** An element that is drawn again when the language changes. */
export class LocalizedElement extends LitElement {
  static override styles: CSSResultGroup = controls;
  #stopListening: (() => void) | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#stopListening = languageChanged.add(() => this.requestUpdate());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stopListening?.();
  }
}

/** Return in the language of the page why a call failed. */
export function explain(failure: Failure): string {
  if (failure.kind === "unreachable") return t("error.unreachable");
  if (failure.kind === "garbled") return t("error.garbled");
  if (failure.status === 429) return t("error.tooMany", { seconds: Math.ceil(failure.retryAfter ?? 1) });
  return t("error.other", { detail: refusal(failure) });
}

/** Return the value of a form's field without spaces around it; empty where there is no such field. */
export function fieldValue(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === "string" ? value.trim() : "";
}
