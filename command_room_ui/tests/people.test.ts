import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import "../src/elements/people";
import type { PeopleView } from "../src/elements/people";
import { setLanguage } from "../src/i18n";
import { type Person, readPerson } from "../src/model";
import { byId, fakeApi, has, mount, ok, part, refused, settle, submit, text } from "./support";

const person = (user: string, given: Readonly<Record<string, unknown>> = {}): Person =>
  readPerson({ user, name: user.toUpperCase(), role: "operator", act_ref: `Arrêté ${user}`, ...given });

const row = (view: PeopleView, user: string): HTMLElement => part(view, `[data-user="${user}"]`);
const buttons = (view: PeopleView, user: string): string[] =>
  [...row(view, user).querySelectorAll("button")].map((button) => text(button));

async function press(view: PeopleView, user: string, words: string): Promise<void> {
  [...row(view, user).querySelectorAll("button")].find((button) => text(button) === words)?.click();
  await settle(view);
}

async function people() {
  const fake = fakeApi({
    users: async () => ok([person("anne"), person("olga"), person("max", { disabled: true, must_change: true })]),
    addUser: async () => ok("once-1"),
    changeUser: async () => ok(""),
    removeUser: async () => ok(null),
    signOutUser: async () => ok(null),
  });
  return { view: await mount<PeopleView>("people-view", { api: fake.api, me: "anne" }), ...fake };
}

beforeEach(() => setLanguage("fr"));

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

describe("designated people", () => {
  it("are listed with role, act of designation and state", async () => {
    const { view } = await people();
    const cells = [...row(view, "olga").querySelectorAll("td")].map((cell) => text(cell));
    expect(cells.slice(0, 5)).toEqual(["olga", "OLGA", "opérateur", "Arrêté olga", "active"]);
    expect(text(row(view, "max"))).toContain("⚠ suspendue");
    expect(text(row(view, "max"))).toContain("mot de passe provisoire");
  });

  it("are designated with an act; the one-time password is shown once", async () => {
    const { view, calls } = await people();
    await submit(view, "form", { user: "lea", name: "Léa", role: "commander", act: "Arrêté 12" });
    expect(calls).toContainEqual(["addUser", { user: "lea", name: "Léa", role: "commander", act_ref: "Arrêté 12" }]);
    expect(text(byId(view, "one-time-password"))).toBe("once-1");
    await press(view, "olga", "Suspendre");
    expect(has(view, "one-time-password")).toBe(false);
  });

  it("keep the form filled where the relay refuses one", async () => {
    const { view, answers } = await people();
    answers.addUser = async () => refused(409, "user_exists");
    await submit(view, "form", { user: "olga", name: "Olga" });
    expect(text(part(view, "[role=alert]"))).toContain("Refusé");
    expect(part<HTMLInputElement>(view, '[name="user"]').value).toBe("olga");
    expect(has(view, "one-time-password")).toBe(false);
  });

  it("get a new one-time password", async () => {
    const { view, calls, answers } = await people();
    answers.changeUser = async () => ok("once-2");
    await press(view, "olga", "Nouveau mot de passe");
    expect(calls).toContainEqual(["changeUser", "olga", { reset_password: true }]);
    expect(text(byId(view, "one-time-password"))).toBe("once-2");
  });

  it("are suspended and restored", async () => {
    const { view, calls } = await people();
    await press(view, "olga", "Suspendre");
    await press(view, "max", "Rétablir");
    expect(calls.filter(([name]) => name === "changeUser")).toEqual([
      ["changeUser", "olga", { disabled: true }],
      ["changeUser", "max", { disabled: false }],
    ]);
  });

  it("are removed only after asking", async () => {
    const { view, calls } = await people();
    vi.stubGlobal("confirm", () => false);
    await press(view, "olga", "Retirer");
    expect(calls).not.toContainEqual(["removeUser", "olga"]);
    vi.stubGlobal("confirm", () => true);
    await press(view, "olga", "Retirer");
    expect(calls).toContainEqual(["removeUser", "olga"]);
  });

  it("are signed out everywhere, and the page says so", async () => {
    const { view, calls } = await people();
    await press(view, "olga", "Déconnecter");
    expect(calls).toContainEqual(["signOutUser", "olga"]);
    expect(text(part(view, "p[role=status]"))).toBe("Toutes les sessions de olga sont fermées.");
  });

  it("cannot suspend or remove themselves", async () => {
    const { view } = await people();
    expect(buttons(view, "anne")).toEqual(["Déconnecter", "Nouveau mot de passe"]);
    expect(buttons(view, "olga")).toContain("Retirer");
  });
});
