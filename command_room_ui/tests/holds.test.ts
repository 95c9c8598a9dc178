import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Answer, Api } from "../src/api";
import "../src/elements/hold_list";
import "../src/elements/hold_panel";
import "../src/elements/recordings";
import type { HoldList } from "../src/elements/hold_list";
import type { HoldPanel } from "../src/elements/hold_panel";
import type { RecordingDetail } from "../src/elements/recording_detail";
import type { RecordingsView } from "../src/elements/recordings";
import { type Hold, isPast, readHold } from "../src/holds";
import { setLanguage } from "../src/i18n";
import { type Role, readRecording } from "../src/model";

const TOLD = {
  hold: "h1",
  recording: "r1",
  camera_label: "Patrouille 7",
  started_at: "2026-01-01T12:00:00Z",
  expires_on: "2026-02-01",
  procedure_type: "judiciaire",
  procedure_no: "PV 12/2026",
  authority: "Parquet de Rennes",
  requested_by: "OPJ Bernard",
  opened_by: "carl",
  opened_at: "2026-01-20T12:00:00Z",
  review_on: "2026-02-20",
  overdue: false,
  lifted_by: null,
  lifted_at: null,
};
const hold = (given: Readonly<Record<string, unknown>> = {}): Hold => readHold({ ...TOLD, ...given });
const RECORDING = readRecording({
  recording: "r1",
  camera: "pm-7",
  state: "closed",
  expires_on: "2026-02-01",
  started_at: "2026-01-01T12:00:00Z",
});
const ok = <T>(value: T): Answer<T> => ({ kind: "ok", value });

/** What the relay knows, and what was asked of it. */
class FakeApi {
  known: Hold[] = [];
  procedures: string[] = ["PV 12/2026"];
  lost = false;
  asked: unknown[][] = [];
  refusal: Answer<never> | null = null;

  holds = async (): Promise<Answer<Hold[]>> => ok(this.known.filter((found) => found.liftedAt === null));
  holdsOf = async () => ok({ holds: this.known, procedures: this.procedures, lost: this.lost });
  openHold = async (recording: string, body: unknown) => this.#record(["open", recording, body], hold());
  reviewHold = async (id: string, motive: string) => this.#record(["review", id, motive], hold({ review_on: "2026-03-20" }));
  liftHold = async (id: string, motive: string) =>
    this.#record(["lift", id, motive], hold({ lifted_by: "carl", lifted_at: "2026-02-21T12:00:00Z" }));

  #record(what: unknown[], made: Hold): Answer<Hold> {
    this.asked.push(what);
    if (this.refusal !== null) return this.refusal;
    this.known = [...this.known.filter((found) => found.id !== made.id), made];
    return ok(made);
  }
}

let api: FakeApi;
let panel: HoldPanel;

beforeEach(() => {
  setLanguage("fr");
  api = new FakeApi();
  vi.setSystemTime(new Date("2026-02-10T12:00:00Z"));
});

afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
});

/** Let answers arrive and be drawn. */
async function settled(element: { updateComplete: Promise<boolean> }): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await Promise.resolve();
    await element.updateComplete;
  }
}

async function shown(duty: Role = "commander", recording = RECORDING): Promise<HoldPanel> {
  panel = document.createElement("hold-panel") as HoldPanel;
  Object.assign(panel, { api: api as unknown as Api, duty, recording });
  document.body.append(panel);
  await settled(panel);
  return panel;
}

const text = (): string => (panel.shadowRoot?.textContent ?? "").replace(/\s+/g, " ");
const find = <T extends Element = HTMLElement>(name: string): T | null =>
  panel.shadowRoot?.querySelector<T>(`[data-testid="${name}"]`) ?? null;

async function press(name: string): Promise<void> {
  find(name)?.click();
  await settled(panel);
}

async function write(name: string, value: string): Promise<void> {
  const field = find<HTMLInputElement>(name);
  if (field !== null) field.value = value;
}

async function submit(name: string): Promise<void> {
  find(name)?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  await settled(panel);
}

describe("a held recording", () => {
  it("shows the procedure, who asked, the day of erasure without it and the day of review", async () => {
    api.known = [hold()];
    await shown();
    for (const words of ["judiciaire PV 12/2026", "Parquet de Rennes", "OPJ Bernard", "carl", "effacement le 01/02/2026"])
      expect(text()).toContain(words);
    expect(find("hold-review-day")?.textContent).toContain("À réviser le 20/02/2026");
    expect(find("hold")?.className).toBe("");
  });

  it("stands out once its review is overdue, by a sign and words", async () => {
    api.known = [hold({ overdue: true })];
    await shown();
    expect(find("hold")?.className).toBe("overdue");
    expect(find("hold-review-day")?.textContent).toContain("⚠ RÉVISION EN RETARD");
    setLanguage("en");
    await settled(panel);
    expect(find("hold-review-day")?.textContent).toContain("⚠ REVIEW OVERDUE: it was due on 20/02/2026");
  });

  it("keeps what was lifted in view, without its buttons", async () => {
    api.known = [hold({ lifted_by: "cora", lifted_at: "2026-02-03T12:00:00Z" })];
    await shown();
    expect(text()).toContain("Levée par cora");
    expect(find("hold-lift")).toBeNull();
  });

  it("is shown to an auditor, who can change nothing", async () => {
    api.known = [hold()];
    await shown("auditor");
    expect(text()).toContain("PV 12/2026");
    for (const name of ["hold-lift", "hold-review", "hold-form"]) expect(find(name)).toBeNull();
  });
});

describe("opening a hold", () => {
  it("asks for kind, number, authority and requester, and says that it is in the journal", async () => {
    const changed = vi.fn();
    await shown();
    panel.addEventListener("holds-changed", changed);
    await write("hold-authority", " Parquet de Rennes ");
    await write("hold-requester", "OPJ Bernard");
    await submit("hold-form");
    const body = {
      procedure_type: "judiciaire",
      procedure_no: "PV 12/2026",
      authority: "Parquet de Rennes",
      requested_by: "OPJ Bernard",
    };
    expect(api.asked).toEqual([["open", "r1", body]]);
    expect(text()).toContain("Conservation inscrite au journal.");
    expect(find("hold")?.getAttribute("data-hold")).toBe("h1");
    expect(changed).toHaveBeenCalledOnce();
  });

  it("offers only procedures for which the recording was handed over, and says what is missing", async () => {
    api.procedures = [];
    await shown();
    expect(find("hold-form")).toBeNull();
    expect(text()).toContain("Il faut d'abord extraire et remettre");
    api.procedures = ["PV 12/2026", "D 7/2026"];
    await press("hold-refresh");
    expect([...(find("hold-procedure")?.querySelectorAll("option") ?? [])].map((option) => option.value)).toEqual(
      api.procedures,
    );
  });

  it("does not offer a procedure for which it is held already, until that is lifted", async () => {
    api.known = [hold()];
    api.procedures = ["PV 12/2026", "D 7/2026"];
    const offered = () => [...(find("hold-procedure")?.querySelectorAll("option") ?? [])].map((option) => option.value);
    await shown();
    expect(offered()).toEqual(["D 7/2026"]);
    api.known = [hold(), hold({ hold: "h2", procedure_no: "D 7/2026" })];
    panel.remove();
    await shown();
    expect(find("hold-form")).toBeNull();
    api.known = [hold({ lifted_by: "carl", lifted_at: "2026-02-03T12:00:00Z" })];
    panel.remove();
    await shown();
    expect(offered()).toEqual(api.procedures);
  });

  it("takes any number where a restored catalogue has lost the hold, and says so", async () => {
    api.procedures = [];
    api.lost = true;
    await shown();
    expect(find("hold-lost")?.textContent).toContain("sauvegarde restaurée");
    await write("hold-procedure", "PV 12/2026");
    await submit("hold-form");
    expect(api.asked).toMatchObject([["open", "r1", { procedure_no: "PV 12/2026" }]]);
  });

  it("is not offered while the recording goes on, nor once it is erased", async () => {
    for (const state of ["open", "erased"] as const) {
      await shown("commander", { ...RECORDING, state });
      expect(find("hold-form")).toBeNull();
      panel.remove();
    }
  });

  it("says in the person's language why it was refused, and keeps what was written", async () => {
    api.refusal = {
      kind: "refused",
      status: 409,
      code: "hold_after_term",
      detail: "a hold is opened before the term (RET-02)",
      facts: { rule: "RET-02" },
      retryAfter: null,
    };
    await shown();
    await write("hold-authority", "Parquet");
    await submit("hold-form");
    expect(text()).toContain("une conservation s'ouvre avant le terme (RET-02)");
    expect(find<HTMLInputElement>("hold-authority")?.value).toBe("Parquet");
    expect(text()).not.toContain("inscrite au journal");
  });
});

describe("lifting a hold", () => {
  it("needs a second step with a motive, which says that the recording will be erased", async () => {
    api.known = [hold()];
    await shown();
    await press("hold-lift");
    expect(api.asked).toEqual([]);
    expect(find("hold-consequence")?.textContent).toContain("effacé dans l'heure, sans retour");
    expect(find<HTMLInputElement>("hold-motive")?.required).toBe(true);
    await write("hold-motive", "l'instruction est close");
    await submit("hold-lift-form");
    expect(api.asked).toEqual([["lift", "h1", "l'instruction est close"]]);
    expect(text()).toContain("Levée inscrite au journal.");
    expect(find("hold")?.className).toBe("lifted");
  });

  it("before the term leaves the recording to its day, and beside another hold changes nothing for it", async () => {
    api.known = [hold({ expires_on: "2026-02-11" })];
    await shown();
    await press("hold-lift");
    expect(find("hold-consequence")?.textContent).toContain("effacé à son terme, le 11/02/2026");
    panel.remove();
    api.known = [hold(), hold({ hold: "h2", procedure_no: "D 7" })];
    await shown();
    await press("hold-lift");
    expect(find("hold-consequence")?.textContent).toContain("Une autre conservation reste ouverte");
  });

  it("is given up with Escape, and the keyboard is back at the button it came from", async () => {
    api.known = [hold()];
    await shown();
    await press("hold-lift");
    expect(panel.shadowRoot?.activeElement?.getAttribute("data-testid")).toBe("hold-motive");
    find("hold-motive")?.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    await settled(panel);
    expect(find("hold-lift-form")).toBeNull();
    expect(panel.shadowRoot?.activeElement?.getAttribute("data-testid")).toBe("hold-lift");
    expect(api.asked).toEqual([]);
  });
});

describe("a review", () => {
  it("says why the hold is still needed and sets the next day", async () => {
    api.known = [hold({ overdue: true })];
    await shown();
    await press("hold-review");
    expect(find("hold-consequence")).toBeNull();
    await write("hold-motive", "l'instruction continue");
    await submit("hold-review-form");
    expect(api.asked).toEqual([["review", "h1", "l'instruction continue"]]);
    expect(find("hold-review-day")?.textContent).toContain("20/03/2026");
    expect(find("hold")?.className).toBe("");
  });
});

describe("the list of holds", () => {
  async function listed(): Promise<HoldList> {
    const made = document.createElement("hold-list") as HoldList;
    made.api = api as unknown as Api;
    document.body.append(made);
    await settled(made);
    return made;
  }

  it("is not there without a hold, and counts overdue reviews apart", async () => {
    expect((await listed()).shadowRoot?.querySelector("details")).toBeNull();
    api.known = [hold({ overdue: true }), hold({ hold: "h2", recording: "r2" })];
    const made = await listed();
    const words = (made.shadowRoot?.querySelector("summary")?.textContent ?? "").replace(/\s+/g, " ");
    expect(words).toContain("Conservés pour procédure : 2");
    expect(words).toContain("⚠ révisions en retard : 1");
  });

  it("asks for the recording that was chosen", async () => {
    api.known = [hold()];
    const made = await listed();
    const chosen: string[] = [];
    document.body.addEventListener("hold-chosen", (event) => chosen.push((event as CustomEvent<string>).detail));
    made.shadowRoot?.querySelector<HTMLButtonElement>('[data-testid="hold-row"]')?.click();
    expect(chosen).toEqual(["r1"]);
  });
});

describe("a hold of a recording that the list has not come to", () => {
  it("is shown all the same, and the list goes on from where it was", async () => {
    const page = Array.from({ length: 100 }, (_, index) => ({ ...RECORDING, id: `n${index}` }));
    const asked: unknown[] = [];
    const recordings = async (query: unknown) => {
      asked.push(query);
      return ok(page);
    };
    api.known = [hold()];
    const view = document.createElement("recordings-view") as RecordingsView;
    const given = { holds: api.holds, holdsOf: api.holdsOf, recordings, recording: async () => ok(RECORDING) };
    Object.assign(view, { api: given as unknown as Api, duty: "commander" });
    document.body.append(view);
    await settled(view);
    const row = view.shadowRoot?.querySelector("hold-list")?.shadowRoot?.querySelector<HTMLButtonElement>("[data-recording]");
    row?.click();
    await settled(view);
    expect(view.shadowRoot?.querySelector<RecordingDetail>("recording-detail")?.recording.id).toBe("r1");
    view.shadowRoot?.querySelector<HTMLButtonElement>(".rows p button")?.click();
    await settled(view);
    expect(asked).toMatchObject([{ before: "" }, { before: "n99" }]);
  });
});

describe("a term", () => {
  it.each([
    ["2026-01-31T22:59:59Z", false],
    ["2026-01-31T23:00:00Z", true],
    ["2026-02-05T00:00:00Z", true],
  ])("of 1 February has come at %s: %s, by the day in Paris", (now, past) => {
    expect(isPast("2026-02-01", Date.parse(now))).toBe(past);
  });
});
