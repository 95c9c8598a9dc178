import { encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CameraList } from "../src/elements/camera_list";
import type { ConfirmDialog } from "../src/elements/confirm_dialog";
import type { InterventionGate } from "../src/elements/intervention";
import "../src/elements/live_view";
import type { LiveView } from "../src/elements/live_view";
import type { RequestDialog } from "../src/elements/request_dialog";
import { setLanguage } from "../src/i18n";
import * as layout from "../src/layout";
import { readSignInSession } from "../src/model";
import { Workstation } from "../src/workstation";
import {
  byId,
  click,
  FakeSocket,
  fakeApi,
  has,
  intervention,
  mount,
  ok,
  part,
  refused,
  settle,
  stubMedia,
  submit,
  text,
} from "./support";

const SESSION = readSignInSession({ user: "olga", role: "operator", csrf: "c" });
const MINE = intervention("i1");
const state = (name: string, given: object = {}): object => ({
  camera: name,
  label: `Unit ${name}`,
  state: "live",
  worker: 0,
  online: true,
  rec: "recording",
  ...given,
});

let workstation: Workstation;
let view: LiveView;
let fake: ReturnType<typeof fakeApi>;

async function receive(...messages: object[]): Promise<void> {
  for (const message of messages) FakeSocket.last.deliver(encode(message));
  await settle(view);
}

async function press(key: string, given: KeyboardEventInit = {}): Promise<KeyboardEvent> {
  const event = new KeyboardEvent("keydown", { key, cancelable: true, bubbles: true, composed: true, ...given });
  dispatchEvent(event);
  await settle(view);
  return event;
}

const tiles = (): (string | null)[] => workstation.wall.layout.tiles.slice(0, workstation.wall.layout.size);
const gate = (): InterventionGate => part<InterventionGate>(view, "intervention-gate");
const list = (): CameraList => part<CameraList>(view, "camera-list");
const message = (): string => text(byId(view, "message"));

async function enter(): Promise<void> {
  workstation.intervention.enter(MINE);
  await settle(view);
}

beforeEach(async () => {
  setLanguage("fr");
  stubMedia();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.all = [];
  fake = fakeApi({
    interventions: async () => ok([MINE]),
    closeIntervention: async () => ok(null),
    requestStream: async () => ok(null),
    confirmStream: async () => ok(null),
    session: async () => ok(SESSION),
  });
  workstation = new Workstation(fake.api);
  workstation.start();
  view = await mount<LiveView>("live-view", { workstation, session: SESSION, active: true });
  FakeSocket.last.open();
  await receive({ t: "cameras", cameras: [state("a"), state("b"), state("c", { state: "idle", worker: null })] });
});

afterEach(() => {
  view.remove();
  workstation.forget();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("watching", () => {
  it("begins with an intervention and a motive: no list, no wall, no key before", async () => {
    expect(gate()).not.toBeNull();
    expect(view.shadowRoot?.querySelector("wall-grid")).toBeNull();
    expect((await press("4", { code: "Digit4", shiftKey: true })).defaultPrevented).toBe(false);
    gate().dispatchEvent(new CustomEvent("entered", { detail: MINE }));
    await settle(view);
    expect(workstation.wall.intervention).toBe("i1");
    expect(text(byId(view, "current-intervention"))).toBe("Intervention : Rixe i1");
    expect(list()).not.toBeNull();
  });

  it("is over once somebody has closed the intervention, and the page says so", async () => {
    await enter();
    fake.answers.interventions = async () => ok([]);
    await receive({ t: "interventions" });
    expect(workstation.wall.intervention).toBeNull();
    expect(gate().closed).toBe(true);
  });

  it("goes on under the intervention that stays open when another is closed", async () => {
    await enter();
    await receive({ t: "interventions" });
    expect(workstation.wall.intervention).toBe("i1");
  });

  it("can change to another intervention without closing the first", async () => {
    await enter();
    await click(view, "change-intervention");
    expect(gate().closed).toBe(false);
    expect(fake.calls.map(([name]) => name)).not.toContain("closeIntervention");
  });

  it("closes the intervention only after asking, and says why the relay refused", async () => {
    await enter();
    vi.stubGlobal("confirm", () => false);
    await click(view, "close-intervention");
    expect(fake.calls.map(([name]) => name)).not.toContain("closeIntervention");
    vi.stubGlobal("confirm", () => true);
    fake.answers.closeIntervention = async () => refused(403, "role_not_allowed");
    await click(view, "close-intervention");
    expect(message()).toContain("Refusé");
    expect(workstation.wall.intervention).toBe("i1");
    fake.answers.closeIntervention = async () => ok(null);
    await click(view, "close-intervention");
    expect(gate().closed).toBe(true);
  });
});

describe("a camera of the list", () => {
  beforeEach(enter);

  it("is put on the wall, and its alarm counts as seen", async () => {
    await receive({ t: "alarm", camera: "a", reason: "recording_failed", at_ns: 1 });
    list().dispatchEvent(new CustomEvent("camera-chosen", { detail: "a" }));
    await settle(view);
    expect(tiles()[0]).toBe("a");
    expect(workstation.state.alarms.size).toBe(0);
  });

  it("is put on the tile of a digit while it has the focus; else a digit selects the tile", async () => {
    part<HTMLButtonElement>(list(), 'button[data-camera="b"]').focus();
    await press("3", { code: "Digit3" });
    expect(tiles()[2]).toBe("b");
    (document.activeElement as HTMLElement | null)?.blur();
    part<HTMLButtonElement>(list(), 'button[data-camera="b"]').blur();
    await press("2", { code: "Digit2", key: "é" });
    expect(tiles()).toEqual([null, null, "b", null]);
    expect(workstation.wall.layout.selected).toBe(1);
  });

  it("is asked to transmit under the current intervention", async () => {
    list().dispatchEvent(new CustomEvent("camera-request", { detail: "c" }));
    await settle(view);
    await submit(part<RequestDialog>(view, "request-dialog"), "form", { threat: "biens", reason: "incendie" });
    await settle(view);
    expect(fake.calls).toContainEqual(["requestStream", "c", "i1", "biens", "incendie"]);
    expect(message()).toBe("Demande envoyée à Unit c.");
  });

  it("that does not answer the request is named with the relay's reason", async () => {
    fake.answers.requestStream = async () => refused(409, "camera_not_connected");
    list().dispatchEvent(new CustomEvent("camera-request", { detail: "c" }));
    await settle(view);
    await submit(part<RequestDialog>(view, "request-dialog"), "form", {});
    await settle(view);
    expect(message()).toContain("Refusé");
  });
});

describe("an alarm", () => {
  const pressed = (name: string) => ({ t: "camera", ...state(name, { pressed: true, intervention: "i1" }) });

  it("leads to the motive first, and its camera stands large once it is given", async () => {
    fake.answers.interventions = async () => ok([intervention("i1", { motive: null })]);
    await receive({ t: "interventions" }, pressed("b"));
    await press("a");
    expect(message()).toBe("Unit b : indiquez le motif pour afficher l'image");
    expect(tiles()).not.toContain("b");
    expect(gate().shadowRoot?.activeElement).toBe(part(gate(), '[data-id="i1"] input'));
    await enter();
    expect(workstation.wall.layout).toMatchObject({ spotlight: true, selected: 0 });
    expect(tiles()[0]).toBe("b");
    expect(workstation.state.alarms.get("b")?.seen).toBe(true);
  });

  it("is shown large at once by its button", async () => {
    await enter();
    await receive(pressed("b"));
    part(view, "alarm-banner").dispatchEvent(new CustomEvent("alarm-show", { detail: "b" }));
    await settle(view);
    expect(workstation.wall.layout.spotlight).toBe(true);
  });

  it("that nobody has seen comes before one that was seen, for the key", async () => {
    await enter();
    await receive(pressed("a"), pressed("b"));
    part(view, "alarm-banner").dispatchEvent(new CustomEvent("alarm-seen", { detail: "b" }));
    await press("a");
    expect(tiles()[0]).toBe("a");
  });
});

describe("a transmission that ends soon", () => {
  const ends = (name: string, seconds: number) => ({
    t: "camera",
    ...state(name, { ends_ns: (Date.now() + seconds * 1000) * 1e6 }),
  });
  const asked = (): string => text(part<ConfirmDialog>(view, "confirm-dialog"));
  const isOpen = (): boolean => part<HTMLDialogElement>(part<ConfirmDialog>(view, "confirm-dialog"), "dialog").open;

  beforeEach(enter);

  it("is confirmed by the key: the camera that ends first, where none in hand ends", async () => {
    await receive(ends("a", 500), ends("b", 100));
    await press("c");
    expect(asked()).toContain("Unit b");
  });

  it("is confirmed by the key for the selected camera where that one ends", async () => {
    await receive(ends("a", 500), ends("b", 100));
    workstation.wall.arrange(layout.place(workstation.wall.layout, "a", 0));
    await press("c");
    expect(asked()).toContain("Unit a");
  });

  it("is named where the key finds none", async () => {
    await press("c");
    expect(message()).toBe("Aucune transmission n'est près de sa fin.");
    expect(isOpen()).toBe(false);
  });

  it("keeps the keyboard to itself while the dialog is open", async () => {
    await receive(ends("a", 500));
    await press("c");
    expect(isOpen()).toBe(true);
    const dialog = part(part<ConfirmDialog>(view, "confirm-dialog"), "dialog");
    dialog.dispatchEvent(
      new KeyboardEvent("keydown", { code: "Digit9", key: "9", shiftKey: true, bubbles: true, composed: true }),
    );
    expect(workstation.wall.layout.size).toBe(4);
  });
});

describe("the keyboard", () => {
  beforeEach(async () => {
    await enter();
    workstation.wall.arrange(layout.place(workstation.wall.layout, "a", 0));
  });

  it("changes the layout, moves the selection, enlarges, goes back and empties a tile", async () => {
    await press("9", { code: "Digit9", shiftKey: true });
    expect(workstation.wall.layout.size).toBe(9);
    await press("ArrowRight");
    expect(workstation.wall.layout.selected).toBe(1);
    await press("ArrowLeft");
    await press("Enter");
    expect(workstation.wall.layout.spotlight).toBe(true);
    await press("Escape");
    expect(workstation.wall.layout.spotlight).toBe(false);
    await press("Delete");
    expect(tiles()).not.toContain("a");
  });

  it("finds the search, also where the list was hidden", async () => {
    await click(view, "toggle-list");
    expect(view.shadowRoot?.querySelector("camera-list")).toBeNull();
    await press("/");
    expect(list().shadowRoot?.activeElement).toBe(part(list(), "input"));
  });

  it("belongs to another view while that one is shown", async () => {
    view.active = false;
    expect((await press("9", { code: "Digit9", shiftKey: true })).defaultPrevented).toBe(false);
    expect(workstation.wall.layout.size).toBe(4);
  });

  it("is left alone once the view has gone", async () => {
    view.remove();
    dispatchEvent(new KeyboardEvent("keydown", { code: "Digit9", key: "9", shiftKey: true }));
    expect(workstation.wall.layout.size).toBe(4);
  });
});

describe("the lines around the wall", () => {
  it("say that the relay cannot be emitted, and no longer once it is back", async () => {
    vi.useFakeTimers();
    FakeSocket.last.drop();
    vi.advanceTimersByTime(3000);
    workstation.changed.fire();
    await settle(view);
    expect(has(view, "stale")).toBe(true);
    FakeSocket.last.open();
    await settle(view);
    expect(has(view, "stale")).toBe(false);
  });

  it("show a message for eight seconds", async () => {
    await enter();
    vi.useFakeTimers();
    await press("c");
    vi.advanceTimersByTime(7900);
    await settle(view);
    expect(message()).not.toBe("");
    vi.advanceTimersByTime(200);
    await settle(view);
    expect(message()).toBe("");
  });
});
