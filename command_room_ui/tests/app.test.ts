import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import "../src/elements/app";
import type { RelayApp } from "../src/elements/app";
import type { HelpDialog } from "../src/elements/help";
import type { LiveView } from "../src/elements/live_view";
import type { SignIn } from "../src/elements/sign_in";
import { language, setLanguage } from "../src/i18n";
import { readSignInSession } from "../src/model";
import { byId, click, FakeSocket, has, mount, part, settle, stubMedia, text } from "./support";

type Reply = { status: number; body?: unknown };

const SESSION = { user: "olga", name: "Olga", role: "operator", csrf: "c", must_change: false };
const signedIn = (given: object = {}): Reply => ({ status: 200, body: { ...SESSION, ...given } });
const OVER: Reply = { status: 401, body: { code: "sign_in_required", detail: "" } };

/** The relay's answers by "METHOD /path"; a list that nobody set is empty. */
let replies: Map<string, Reply>;
let requests: string[];
let app: RelayApp;

function answer(route: string, init: RequestInit): Response {
  const key = `${init.method ?? "GET"} ${route.split("?")[0]}`;
  requests.push(key);
  const { status, body } = replies.get(key) ?? {
    status: 200,
    body: { interventions: [], recordings: [], users: [], cameras: [] },
  };
  return new Response(body === undefined ? null : JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/json" },
  });
}

/** Open the page with what the relay answers to "who is signed in?". */
async function opened(session: Reply): Promise<void> {
  replies.set("GET /api/session", session);
  app = await mount<RelayApp>("relay-app", {});
  await arrived();
}

/** Let answers of `fetch`, which take some turns of the loop, arrive. */
async function arrived(): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setTimeout(resolve));
    await settle(app);
  }
}

const views = (): string[] =>
  [...(app.shadowRoot?.querySelectorAll<HTMLElement>("nav button") ?? [])].map((button) => button.dataset.testid ?? "");
const shown = (): string[] =>
  [...(app.shadowRoot?.querySelectorAll<HTMLElement>("main > *") ?? [])]
    .filter((each) => !each.hidden)
    .map((each) => each.localName);

beforeEach(() => {
  setLanguage("fr");
  stubMedia();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.all = [];
  [replies, requests] = [new Map(), []];
  vi.stubGlobal("fetch", async (route: string, init: RequestInit) => answer(route, init));
});

afterEach(async () => {
  app.remove();
  await click(app, "sign-out").catch(() => undefined);
  await arrived();
  sessionStorage.clear();
  vi.unstubAllGlobals();
  setLanguage("fr");
});

describe("nobody signed in", () => {
  it("sees the sign-in and nothing else", async () => {
    await opened(OVER);
    expect(shown()).toContain("sign-in");
    expect(views()).toEqual([]);
    expect(part<SignIn>(app, "sign-in").ended).toBe(false);
    expect(FakeSocket.all).toEqual([]);
  });

  it("comes to the views of a role by signing in", async () => {
    await opened(OVER);
    part(app, "sign-in").dispatchEvent(new CustomEvent("signed-in", { detail: readSignInSession(SESSION) }));
    await arrived();
    expect(shown()).toEqual(["live-view"]);
    expect(text(byId(app, "who"))).toBe("Connecté : Olga, opérateur");
  });
});

describe("a signed-in person", () => {
  it.each([
    ["operator", ["nav-live", "nav-recordings"], "live-view"],
    ["commander", ["nav-live", "nav-recordings"], "live-view"],
    ["auditor", ["nav-journal", "nav-recordings"], "journal-view"],
    ["administrator", ["nav-people", "nav-cameras"], "people-view"],
  ] as const)("has the views of the role %s and begins with the first", async (role, all, first) => {
    await opened(signedIn({ role }));
    expect(views()).toEqual(all);
    expect(shown()).toEqual([first]);
  });

  it.each(["auditor", "administrator"])("who may not watch (%s) has no live socket", async (role) => {
    await opened(signedIn({ role }));
    expect(FakeSocket.all).toEqual([]);
  });

  it("with a one-time password can only replace it", async () => {
    await opened(signedIn({ must_change: true }));
    expect(views()).toEqual([]);
    expect(part<SignIn>(app, "sign-in").session?.mustChange).toBe(true);
    expect(FakeSocket.all).toEqual([]);
  });

  it("keeps watching while looking at recordings: the same live view is there, without the keyboard", async () => {
    await opened(signedIn());
    const live = part<LiveView>(app, "live-view");
    await click(app, "nav-recordings");
    await arrived();
    expect(shown()).toEqual(["recordings-view"]);
    expect(part<LiveView>(app, "live-view")).toBe(live);
    expect(live.active).toBe(false);
    expect(FakeSocket.last.closed).toBe(false);
    expect(byId(app, "nav-recordings").getAttribute("aria-current")).toBe("page");
    await click(app, "nav-live");
    expect(live.active).toBe(true);
  });
});

describe("the end of a sign-in", () => {
  it("by the relay leads to the sign-in, says so, and ends the watching", async () => {
    await opened(signedIn());
    replies.set("GET /api/recordings", OVER);
    await click(app, "nav-recordings");
    await arrived();
    expect(part<SignIn>(app, "sign-in").ended).toBe(true);
    expect(FakeSocket.last.closed).toBe(true);
  });

  it("by the person leaves nothing for the next one", async () => {
    await opened(signedIn());
    sessionStorage.setItem("relay.wall", "{}");
    replies.set("DELETE /api/session", { status: 204 });
    await click(app, "sign-out");
    await arrived();
    expect(requests).toContain("DELETE /api/session");
    expect(part<SignIn>(app, "sign-in").ended).toBe(false);
    expect(sessionStorage.length).toBe(0);
    expect(FakeSocket.last.closed).toBe(true);
  });
});

describe("the bar", () => {
  it("changes the language of the whole page and keeps the choice", async () => {
    await opened(signedIn());
    const select = byId<HTMLSelectElement>(app, "language");
    select.value = "en";
    select.dispatchEvent(new Event("change"));
    await settle(app);
    expect(language()).toBe("en");
    expect(localStorage.getItem("relay.language")).toBe("en");
    expect(text(byId(app, "sign-out"))).toBe("Sign out");
  });

  it("opens the help, by its button and by the key", async () => {
    await opened(signedIn());
    const dialog = part<HTMLDialogElement>(part<HelpDialog>(app, "help-dialog"), "dialog");
    await click(app, "help");
    expect(dialog.open).toBe(true);
    dialog.close();
    dispatchEvent(new KeyboardEvent("keydown", { key: "?" }));
    expect(dialog.open).toBe(true);
  });

  it("leaves a question mark to a field in which a person writes", async () => {
    await opened(signedIn({ role: "auditor" }));
    await arrived();
    const field = part<HTMLInputElement>(part(app, "journal-view"), "input");
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "?", bubbles: true, composed: true }));
    expect(part<HTMLDialogElement>(part<HelpDialog>(app, "help-dialog"), "dialog").open).toBe(false);
  });

  it("shows nothing of itself while it is not known who is signed in", async () => {
    vi.stubGlobal("fetch", () => new Promise(() => undefined));
    app = await mount<RelayApp>("relay-app", {});
    expect(text(app)).toContain("Chargement…");
    expect(has(app, "sign-in")).toBe(false);
  });
});
