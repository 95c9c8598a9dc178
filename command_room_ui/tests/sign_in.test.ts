import { afterEach, beforeEach, describe, expect, it } from "vitest";
import "../src/elements/sign_in";
import type { SignIn } from "../src/elements/sign_in";
import { setLanguage } from "../src/i18n";
import { readSignInSession, type SignInSession } from "../src/model";
import { emitted, fakeApi, has, mount, ok, part, refused, settle, submit, text } from "./support";

const session = (mustChange: boolean): SignInSession =>
  readSignInSession({ user: "olga", role: "operator", csrf: "c", must_change: mustChange });

beforeEach(() => setLanguage("fr"));
afterEach(() => document.body.replaceChildren());

describe("signing in", () => {
  it("sends user and password as they were typed, and reports the session", async () => {
    const { api, calls } = fakeApi({ signIn: async () => ok(session(false)) });
    const element = await mount<SignIn>("sign-in", { api });
    const signedIn = emitted<SignInSession>(element, "signed-in");
    await submit(element, "form", { user: " olga ", password: " pass word " });
    expect(calls).toEqual([["signIn", "olga", " pass word "]]);
    expect(signedIn).toEqual([session(false)]);
  });

  it("says that user or password is wrong, without saying which", async () => {
    const { api } = fakeApi({ signIn: async () => refused(401, "wrong_credentials") });
    const element = await mount<SignIn>("sign-in", { api });
    const signedIn = emitted(element, "signed-in");
    await submit(element, "form", { user: "olga", password: "x" });
    expect(text(part(element, "[role=alert]"))).toBe("Identifiant ou mot de passe refusé.");
    expect(signedIn).toEqual([]);
  });

  it("says how long to wait after too many attempts", async () => {
    const { api } = fakeApi({ signIn: async () => refused(429, "too_many_failed_sign_ins", {}, 30) });
    const element = await mount<SignIn>("sign-in", { api });
    await submit(element, "form", { user: "olga", password: "x" });
    expect(text(part(element, "[role=alert]"))).toContain("Réessayez dans 30 s");
  });

  it("cannot be sent twice while the relay has not answered", async () => {
    let answer: (value: ReturnType<typeof ok<SignInSession>>) => void = () => {};
    const { api } = fakeApi({
      signIn: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const element = await mount<SignIn>("sign-in", { api });
    await submit(element, "form", { user: "olga", password: "x" });
    expect(part<HTMLButtonElement>(element, "button").disabled).toBe(true);
    answer(ok(session(false)));
    await settle(element);
    expect(part<HTMLButtonElement>(element, "button").disabled).toBe(false);
  });

  it("says that the sign-in before is over, only where it is", async () => {
    const { api } = fakeApi({});
    const element = await mount<SignIn>("sign-in", { api, ended: true });
    const notice = part(element, "p[role=status]");
    expect(text(notice)).toContain("La session est terminée");
    expect(notice.hidden).toBe(false);
    element.ended = false;
    await settle(element);
    expect(notice.hidden).toBe(true);
  });
});

describe("a one-time password", () => {
  it("has to be replaced, and need not be typed again right after signing in", async () => {
    const { api, calls } = fakeApi({
      signIn: async () => ok(session(true)),
      changePassword: async () => ok(null),
      session: async () => ok(session(false)),
    });
    const element = await mount<SignIn>("sign-in", { api });
    const signedIn = emitted<SignInSession>(element, "signed-in");
    await submit(element, "form", { user: "olga", password: "once" });
    element.session = session(true);
    await settle(element);
    expect(has(element, "old-password")).toBe(false);
    await submit(element, "form", { fresh: "un long mot", again: "un long mot" });
    expect(calls.slice(1)).toEqual([["changePassword", "once", "un long mot"], ["session"]]);
    expect(signedIn.at(-1)?.mustChange).toBe(false);
  });

  it("is asked for after a reload of the page, which has forgotten it", async () => {
    const { api, calls } = fakeApi({ changePassword: async () => ok(null), session: async () => ok(session(false)) });
    const element = await mount<SignIn>("sign-in", { api, session: session(true) });
    await submit(element, "form", { old: "once", fresh: "un long mot", again: "un long mot" });
    expect(calls[0]).toEqual(["changePassword", "once", "un long mot"]);
  });

  it("is not replaced by two entries that differ: the relay is not asked", async () => {
    const { api, calls } = fakeApi({});
    const element = await mount<SignIn>("sign-in", { api, session: session(true) });
    await submit(element, "form", { old: "once", fresh: "un long mot", again: "un long mat" });
    expect(text(part(element, "[role=alert]"))).toBe("Les deux saisies diffèrent.");
    expect(calls).toEqual([]);
  });

  it("stays while the relay refuses the new one, with its reason", async () => {
    const { api } = fakeApi({ changePassword: async () => refused(422, "password_unacceptable") });
    const element = await mount<SignIn>("sign-in", { api, session: session(true) });
    const signedIn = emitted(element, "signed-in");
    await submit(element, "form", { old: "once", fresh: "court", again: "court" });
    expect(text(part(element, "[role=alert]"))).toContain("Refusé");
    expect(signedIn).toEqual([]);
  });
});
