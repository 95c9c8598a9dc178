import { html } from "lit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { explain, fieldValue, LocalizedElement } from "../src/elements/base";
import { setLanguage, t } from "../src/i18n";
import { mount, refused, settle, text } from "./support";

class Greeting extends LocalizedElement {
  drawn = 0;

  protected override render() {
    this.drawn += 1;
    return html`${t("app.title")}`;
  }
}
customElements.define("test-greeting", Greeting);

beforeEach(() => setLanguage("fr"));

afterEach(() => {
  document.body.replaceChildren();
  setLanguage("fr");
});

describe("an element", () => {
  it("is drawn again in the language that a person chooses", async () => {
    const greeting = await mount<Greeting>("test-greeting", {});
    expect(text(greeting)).toContain("Poste de commandement");
    setLanguage("en");
    await settle(greeting);
    expect(text(greeting)).toContain("Command room");
  });

  it("is no longer drawn once it has left the page, and again once it is back", async () => {
    const greeting = await mount<Greeting>("test-greeting", {});
    greeting.remove();
    const before = greeting.drawn;
    setLanguage("en");
    await settle(greeting);
    expect(greeting.drawn).toBe(before);
    document.body.append(greeting);
    setLanguage("fr");
    await settle(greeting);
    expect(greeting.drawn).toBeGreaterThan(before);
  });
});

describe("a failure", () => {
  it("says that the relay does not answer, or cannot be read", () => {
    expect(explain({ kind: "unreachable" })).toBe("Le relais ne répond pas.");
    expect(explain({ kind: "garbled", detail: "a string expected" })).toBe("Réponse illisible du relais.");
  });

  it("says why the relay refused, in the person's language", () => {
    expect(explain(refused(404, "camera_not_live", { rule: "LIV-02" }))).toBe("Refusé : cette caméra ne transmet pas (LIV-02)");
  });

  it("says when to try again after too many attempts, in whole seconds", () => {
    expect(explain(refused(429, "too_many_requests", {}, 6.2))).toContain("Réessayez dans 7 s");
    expect(explain(refused(429, "too_many_requests"))).toContain("Réessayez dans 1 s");
  });
});

describe("a field of a form", () => {
  it("is read without the spaces around it, and is empty where there is none", () => {
    const form = document.createElement("form");
    form.innerHTML = `<input name="motive" value="  renfort demandé " />`;
    expect(fieldValue(form, "motive")).toBe("renfort demandé");
    expect(fieldValue(form, "other")).toBe("");
  });
});
