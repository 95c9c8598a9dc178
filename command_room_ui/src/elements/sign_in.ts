/**
 * The sign-in, and the choice of a password in place of a one-time password.
 *
 * Owns: the two forms.  Must never know: what is shown after the sign-in.
 */

import { css, html, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Answer, Api } from "../api";
import { t } from "../i18n";
import type { SignInSession } from "../model";
import { controls, explain, fieldValue, LocalizedElement } from "./base";

@customElement("sign-in")
export class SignIn extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        place-items: center;
        min-height: 100%;
      }
      .panel {
        width: min(26rem, 92vw);
        display: grid;
        gap: 1.2em;
        padding: 2em;
      }
      .notice {
        font-size: 0.85em;
        border-top: 1px solid var(--line);
        padding-top: 1em;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  /** Set after a sign-in with a one-time password: then only the change of the password is possible. */
  @property({ attribute: false }) session: SignInSession | null = null;
  @property({ type: Boolean }) ended = false;
  @state() private message = "";
  @state() private busy = false;
  #given = "";

  protected override render(): TemplateResult {
    return html`<section class="panel">
      <h1>${this.session === null ? t("app.title") : t("signIn.change")}</h1>
      ${this.session === null ? this.#signInForm() : this.#changeForm()}
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
      <p class="soft notice">${t("signIn.notice")}</p>
    </section>`;
  }

  protected override firstUpdated(): void {
    this.renderRoot.querySelector("input")?.focus();
  }

  #signInForm(): TemplateResult {
    return html`<p class="soft" ?hidden=${!this.ended} role="status">${t("signIn.ended")}</p>
      <form @submit=${this.#signIn} data-testid="sign-in">
        <label>${t("signIn.user")}<input name="user" autocomplete="username" required autocapitalize="off" spellcheck="false" data-testid="user" /></label>
        <label>${t("signIn.password")}<input name="password" type="password" autocomplete="current-password" required data-testid="password" /></label>
        <button class="primary" ?disabled=${this.busy} data-testid="submit">${t("signIn.submit")}</button>
      </form>`;
  }

  #changeForm(): TemplateResult {
    const given = this.#given === "";
    return html`<p class="soft">${t("signIn.changeWhy")}</p>
      <form @submit=${this.#change} data-testid="change-password">
        <input name="user" autocomplete="username" .value=${this.session?.user ?? ""} hidden />
        ${given ? html`<label>${t("signIn.password")}<input name="old" type="password" autocomplete="current-password" required data-testid="old-password" /></label>` : ""}
        <label>${t("signIn.new")}<input name="fresh" type="password" autocomplete="new-password" required data-testid="new-password" /></label>
        <label>${t("signIn.again")}<input name="again" type="password" autocomplete="new-password" required data-testid="new-password-again" /></label>
        <button class="primary" ?disabled=${this.busy} data-testid="submit-change">${t("signIn.changeSubmit")}</button>
      </form>`;
  }

  async #signIn(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const password = String(new FormData(form).get("password") ?? "");
    const answer = await this.#during(this.api.signIn(fieldValue(form, "user"), password));
    if (answer.kind !== "ok") {
      this.message = answer.kind === "refused" && answer.status === 401 ? t("error.unauthenticated") : explain(answer);
      return;
    }
    this.#given = password;
    this.#emitSignedIn(answer.value);
  }

  async #change(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const data = new FormData(event.target as HTMLFormElement);
    const fresh = String(data.get("fresh") ?? "");
    if (fresh !== String(data.get("again") ?? "")) {
      this.message = t("signIn.differ");
      return;
    }
    const answer = await this.#during(this.api.changePassword(this.#given || String(data.get("old") ?? ""), fresh));
    if (answer.kind !== "ok") {
      this.message = explain(answer);
      return;
    }
    this.#given = "";
    const session = await this.api.session();
    if (session.kind === "ok") this.#emitSignedIn(session.value);
  }

  async #during<T>(call: Promise<Answer<T>>): Promise<Answer<T>> {
    this.busy = true;
    this.message = "";
    const answer = await call;
    this.busy = false;
    return answer;
  }

  #emitSignedIn(session: SignInSession): void {
    this.dispatchEvent(new CustomEvent<SignInSession>("signed-in", { detail: session }));
  }
}
