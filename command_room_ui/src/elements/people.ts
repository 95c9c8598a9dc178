/**
 * The view of administrators on the people of the relay: designate, suspend, reset a password, sign out, remove.
 *
 * Owns: the form and the table.  A one-time password is shown here once and kept nowhere.  Must never know: pictures.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Answer, Api } from "../api";
import { type Key, t } from "../i18n";
import { type Person, ROLES, type Role } from "../model";
import { controls, explain, fieldValue, LocalizedElement } from "./base";

@customElement("people-view")
export class PeopleView extends LocalizedElement {
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
        color: var(--warn);
      }
      td button {
        min-height: 1.8em;
        padding: 0.1em 0.6em;
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  @property() me = "";
  @state() private people: readonly Person[] = [];
  @state() private message = "";
  @state() private notice = "";
  @state() private secret: { user: string; password: string } | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#fetch();
  }

  protected override render(): TemplateResult {
    return html`<h1>${t("people.title")}</h1>
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>
      <p class="done" role="status" ?hidden=${this.notice === ""}>${this.notice}</p>
      ${
        this.secret === null
          ? nothing
          : html`<div class="panel" role="status"><p>${t("people.password", { user: this.secret.user })}</p>
            <p class="secret" data-testid="one-time-password">${this.secret.password}</p></div>`
      }
      ${this.#form()} ${this.#table()}`;
  }

  #form(): TemplateResult {
    return html`<section class="panel"><h2>${t("people.add")}</h2>
      <form @submit=${this.#add} data-testid="add-user">
        <label>${t("people.user")}<input name="user" required pattern="[a-z0-9](?:[a-z0-9\\-]{0,38}[a-z0-9])?" autocapitalize="off" data-testid="add-user-name" /></label>
        <label>${t("people.name")}<input name="name" required maxlength="200" /></label>
        <label>${t("people.role")}<select name="role">${ROLES.map((role) => html`<option value=${role}>${t(`role.${role}` as Key)}</option>`)}</select></label>
        <label>${t("people.act")}<input name="act" maxlength="200" /></label>
        <button class="primary">${t("people.submit")}</button>
      </form></section>`;
  }

  #table(): TemplateResult {
    return html`<table data-testid="people">
      <thead><tr><th>${t("people.user")}</th><th>${t("people.name")}</th><th>${t("people.role")}</th><th>${t("people.act")}</th><th>${t("people.state")}</th><th>${t("common.actions")}</th></tr></thead>
      <tbody>${this.people.map((person) => this.#row(person))}</tbody>
    </table>`;
  }

  #row(person: Person): TemplateResult {
    const { user } = person;
    const state = t(person.disabled ? "people.disabled" : "people.active");
    return html`<tr data-testid="person" data-user=${user}>
      <td>${user}</td><td>${person.name}</td><td>${t(`role.${person.role}` as Key)}</td><td>${person.actRef}</td>
      <td class=${person.disabled ? "off" : ""}>${person.disabled ? "⚠ " : ""}${state}${person.mustChange ? html`<br />${t("people.mustChange")}` : nothing}</td>
      <td><div class="row">
        <button @click=${() => this.#signOut(user)}>${t("people.signOut")}</button>
        <button @click=${() => this.#reset(user)}>${t("people.reset")}</button>
        ${
          user === this.me
            ? nothing
            : html`<button @click=${() => this.#change(user, { disabled: !person.disabled })}>${t(person.disabled ? "people.enable" : "people.disable")}</button>
            <button @click=${() => this.#remove(user)}>${t("people.remove")}</button>`
        }
      </div></td>
    </tr>`;
  }

  async #fetch(): Promise<void> {
    const answer = await this.api.users();
    if (answer.kind === "ok") this.people = answer.value;
    else this.message = explain(answer);
  }

  async #add(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const user = fieldValue(form, "user");
    const body = {
      user,
      name: fieldValue(form, "name"),
      role: fieldValue(form, "role") as Role,
      act_ref: fieldValue(form, "act"),
    };
    const password = await this.#done(this.api.addUser(body));
    if (password === null) return;
    this.secret = { user, password };
    form.reset();
  }

  async #reset(user: string): Promise<void> {
    const password = await this.#done(this.api.changeUser(user, { reset_password: true }));
    if (password !== null && password !== "") this.secret = { user, password };
  }

  async #change(user: string, body: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#done(this.api.changeUser(user, body));
  }

  async #remove(user: string): Promise<void> {
    if (confirm(t("people.removeSure", { user }))) await this.#done(this.api.removeUser(user));
  }

  async #signOut(user: string): Promise<void> {
    const answer = await this.api.signOutUser(user);
    this.message = answer.kind === "ok" ? "" : explain(answer);
    this.notice = answer.kind === "ok" ? t("people.signedOut", { user }) : "";
  }

  async #done<T>(call: Promise<Answer<T>>): Promise<T | null> {
    this.secret = null;
    this.notice = "";
    const answer = await call;
    this.message = answer.kind === "ok" ? "" : explain(answer);
    await this.#fetch();
    return answer.kind === "ok" ? answer.value : null;
  }
}
