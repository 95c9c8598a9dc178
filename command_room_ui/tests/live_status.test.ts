import { html, render } from "lit";
import { beforeEach, describe, expect, it } from "vitest";
import { banners, connectionLine } from "../src/elements/live_status";
import { setLanguage } from "../src/i18n";
import { EMPTY_LIVE_STATE } from "../src/live_state";
import type { Disk } from "../src/model";
import type { Workstation } from "../src/workstation";
import { text } from "./support";

const HOUR_S = 3600;
const UP = { worker: 0, state: "up", mediaUp: true, refusal: null };

interface Given {
  downSince?: number | null;
  socket?: "open" | "connecting" | "closed";
  disk?: Disk | null;
  down?: number[];
  uncaged?: string[];
  sessions?: object[];
}

/** A workstation of which only the connections and the disk are looked at. */
function drawn(given: Given, now = 10_000): HTMLElement {
  const workstation = {
    downSince: given.downSince ?? null,
    socket: { state: given.socket ?? "open" },
    state: { ...EMPTY_LIVE_STATE, disk: given.disk ?? null, uncaged: given.uncaged ?? [], down: new Set(given.down ?? []) },
    wall: { viewerSessions: new Map((given.sessions ?? [UP]).map((session, worker) => [worker, session])) },
  } as unknown as Workstation;
  const place = document.createElement("div");
  render(html`${banners(workstation, now)}${connectionLine(workstation)}`, place);
  return place;
}

const at = (place: HTMLElement, id: string): HTMLElement | null => place.querySelector(`[data-testid="${id}"]`);
const disk = (fullInS: number | null, state: Disk["state"] = "ok"): Disk => ({ state, free: 5e9, fullInS });

beforeEach(() => setLanguage("fr"));

describe("the connection to the relay", () => {
  it.each([
    ["open", "✓ Relais : connecté"],
    ["connecting", "⚠ Relais : reconnexion…"],
    ["closed", "⚠ Relais : DÉCONNECTÉ"],
  ] as const)("that is %s is named", (socket, words) => {
    const line = at(drawn({ socket }), "socket-state");
    expect(text(line as HTMLElement)).toBe(words);
    expect(line?.dataset.state).toBe(socket);
  });

  it("needs no banner where it comes back within two seconds", () => {
    expect(at(drawn({ downSince: 8001 }), "stale")).toBeNull();
    const banner = at(drawn({ downSince: 5000 }), "stale");
    expect(text(banner as HTMLElement)).toContain("5 s");
    expect(banner?.getAttribute("role")).toBe("alert");
  });
});

describe("the video connections", () => {
  it("that are being opened again are counted, those of a worker that is down too", () => {
    const sessions = [UP, { ...UP, worker: 1, state: "interrupted", mediaUp: false }, { ...UP, worker: 2 }];
    expect(text(at(drawn({ sessions, down: [2] }), "media-state") as HTMLElement)).toBe("⚠ Vidéo : reconnexion (2)");
  });

  it("are not counted while the live socket is down: the line shows that already", () => {
    expect(at(drawn({ socket: "closed", down: [0] }), "media-state")).toBeNull();
  });

  it("that the relay refuses for good are a banner with its reason, and are not counted as reconnecting", () => {
    const refusal = { code: "body_too_large", detail: "too long", facts: { max: 65536 } };
    const place = drawn({ sessions: [{ ...UP, state: "refused", mediaUp: false, refusal }] });
    expect(text(at(place, "media-refused") as HTMLElement)).toContain("65536");
    expect(at(place, "media-state")).toBeNull();
  });
});

describe("the disk", () => {
  it.each([
    ["not known", null, null],
    ["with room for a month", disk(30 * 24 * HOUR_S), null],
    ["full in three days", disk(72 * HOUR_S), "disk-line"],
    ["full in an hour", disk(HOUR_S), "disk"],
    ["full", disk(null, "full"), "disk"],
  ] as const)("%s: %#", (_name, given, where) => {
    const place = drawn({ disk: given });
    expect(["disk", "disk-line"].filter((id) => at(place, id) !== null)).toEqual(where === null ? [] : [where]);
  });

  it("that takes nothing more is an alert with its state", () => {
    const banner = at(drawn({ disk: disk(null, "gone") }), "disk");
    expect(banner?.getAttribute("role")).toBe("alert");
    expect(banner?.dataset.state).toBe("gone");
  });
});

describe("a process with less protection than it should have", () => {
  it("is named in a line of the status, and nothing is said where there is none", () => {
    expect(at(drawn({}), "cage-line")).toBeNull();
    const line = at(drawn({ uncaged: ["recorder-0", "worker-0"] }), "cage-line");
    expect(text(line as HTMLElement)).toBe(
      "⚠ Protection contre l'intrusion incomplète : recorder-0, worker-0. Prévenez l'administrateur.",
    );
  });
});
