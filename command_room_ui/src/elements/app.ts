/**
 * The page: the sign-in, the views of the role, the bar above them.
 *
 * Owns: who is signed in, which view is shown, the life of the workstation.  Must never know: what the views do.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { Api } from "../api";
import { expose } from "../debug";
import { type Key, LANGUAGES, type Language, language, setLanguage, t } from "../i18n";
import type { Role, SignInSession } from "../model";
import { Workstation } from "../workstation";
import { controls, LocalizedElement } from "./base";
import type { HelpDialog } from "./help";
import "./cameras_admin";
import "./help";
import "./journal";
import "./live_view";
import "./people";
import "./recordings";
import "./sign_in";

type View = "live" | "recordings" | "journal" | "people" | "cameras";

const VIEWS: Readonly<Record<Role, readonly View[]>> = {
  operator: ["live", "recordings"],
  commander: ["live", "recordings"],
  auditor: ["journal", "recordings"],
  administrator: ["people", "cameras"],
};
const WATCHING_ROLES: ReadonlySet<Role> = new Set<Role>(["operator", "commander"]);

@customElement("relay-app")
export class RelayApp extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        height: 100dvh;
        display: flex;
        flex-direction: column;
      }
      header {
        display: flex;
        align-items: center;
        gap: 0.4em 1em;
        padding: 0.35em 0.9em;
        background: var(--panel);
        border-bottom: 1px solid var(--line);
        flex-wrap: wrap;
      }
      nav {
        display: flex;
        gap: 0.3em;
        flex: 1;
      }
      nav button[aria-current="page"] {
        background: var(--accent-ground);
        border-color: var(--accent);
        font-weight: 600;
      }
      header h1 {
        font-size: 1.05rem;
        white-space: nowrap;
      }
      .who {
        font-size: 0.9em;
        color: var(--soft);
      }
      select {
        width: auto;
      }
      main {
        flex: 1;
        min-height: 0;
        overflow: auto;
        position: relative;
      }
      main > * {
        min-height: 100%;
      }
      main > [hidden] {
        display: none;
      }
      .corner {
        position: absolute;
        top: 0.8em;
        right: 0.8em;
        z-index: 2;
      }
      .corner label,
      header label {
        display: block;
      }
    `,
  ];

  readonly #api = new Api();
  @state() private session: SignInSession | null = null;
  @state() private loaded = false;
  @state() private ended = false;
  @state() private view: View = "live";
  #workstation: Workstation | null = null;
  @query("help-dialog") private help!: HelpDialog;

  constructor() {
    super();
    this.#api.onSignedOut = () => this.#onSignedOut();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener("keydown", this.#onKey);
    void this.#resume();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("keydown", this.#onKey);
  }

  protected override render(): TemplateResult {
    if (!this.loaded) return html`<main><p class="soft" style="padding:2em">${t("app.loading")}</p></main>`;
    if (this.session === null || this.session.mustChange) return this.#signInPage();
    return html`${this.#bar(this.session)}
      <main id="content">${this.#views(this.session)}</main>
      <help-dialog></help-dialog>`;
  }

  #signInPage(): TemplateResult {
    return html`<main>
      <div class="corner">${this.#languages()}</div>
      <sign-in .api=${this.#api} .session=${this.session} .ended=${this.ended} @signed-in=${this.#onSignedIn}></sign-in>
    </main>`;
  }

  #bar(session: SignInSession): TemplateResult {
    return html`<header>
      <h1>${t("app.title")}</h1>
      <nav aria-label=${t("app.title")}>
        ${VIEWS[session.role].map(
          (view) => html`<button
            aria-current=${view === this.view ? "page" : nothing}
            data-testid="nav-${view}"
            @click=${() => this.#show(view)}
          >${t(`nav.${view}` as Key)}</button>`,
        )}
      </nav>
      <span class="who" data-testid="who">${t("nav.signedInAs", { name: session.name, role: t(`role.${session.role}` as Key) })}</span>
      ${this.#languages()}
      <button @click=${() => this.help.open()} data-testid="help">${t("nav.help")}</button>
      <button @click=${this.#signOut} data-testid="sign-out">${t("nav.signOut")}</button>
    </header>`;
  }

  #languages(): TemplateResult {
    const change = (event: Event) => setLanguage((event.target as HTMLSelectElement).value as Language, true);
    return html`<label><span class="hidden">${t("app.language")}</span>
      <select @change=${change} data-testid="language">
        ${LANGUAGES.map((name) => html`<option value=${name} ?selected=${name === language()}>${name.toUpperCase()}</option>`)}
      </select></label>`;
  }

  /** The live view stays in the page behind the others: looking at a recording does not end what is being watched. */
  #views(session: SignInSession): TemplateResult {
    const workstation = this.#workstation;
    return html`${workstation === null ? nothing : html`<live-view .workstation=${workstation} .session=${session} ?hidden=${this.view !== "live"} .active=${this.view === "live"}></live-view>`}
    ${this.view === "recordings" ? html`<recordings-view .api=${this.#api} .duty=${session.role} .intervention=${workstation?.wall.intervention ?? null}></recordings-view>` : nothing}
    ${this.view === "journal" ? html`<journal-view .api=${this.#api}></journal-view>` : nothing}
    ${this.view === "people" ? html`<people-view .api=${this.#api} .me=${session.user}></people-view>` : nothing}
    ${this.view === "cameras" ? html`<cameras-view .api=${this.#api}></cameras-view>` : nothing}`;
  }

  async #resume(): Promise<void> {
    const answer = await this.#api.session();
    this.loaded = true;
    this.ended = false;
    if (answer.kind === "ok") this.#begin(answer.value);
  }

  #onSignedIn(event: CustomEvent<SignInSession>): void {
    this.ended = false;
    this.#begin(event.detail);
  }

  #begin(session: SignInSession): void {
    this.session = session;
    if (session.mustChange) return;
    this.view = VIEWS[session.role][0] ?? "live";
    if (!WATCHING_ROLES.has(session.role) || this.#workstation !== null) return;
    this.#workstation = new Workstation(this.#api);
    this.#workstation.start();
    expose(this.#workstation);
  }

  #onSignedOut(): void {
    if (this.session === null) return;
    this.ended = true;
    this.#end();
  }

  #end(): void {
    this.#workstation?.stop();
    this.#workstation = null;
    this.session = null;
  }

  async #signOut(): Promise<void> {
    this.#workstation?.forget();
    await this.#api.signOut();
    this.#end();
    this.ended = false;
  }

  #show(view: View): void {
    this.view = view;
  }

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key !== "?" || this.session === null || isTyping(event)) return;
    event.preventDefault();
    this.help?.open();
  };
}

/** Whether a key is typed into a field. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}
