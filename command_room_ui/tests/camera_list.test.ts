import { afterEach, beforeEach, describe, expect, it } from "vitest";
import "../src/elements/camera_list";
import type { CameraList } from "../src/elements/camera_list";
import { setLanguage } from "../src/i18n";
import { EMPTY_LIVE_STATE, reduce } from "../src/live_state";
import type { Camera } from "../src/model";
import { camera } from "./support";

let list: CameraList;

async function shown(cameras: readonly Camera[], fresh: boolean): Promise<string> {
  list.live = reduce(EMPTY_LIVE_STATE, { t: "cameras", cameras }, 0);
  list.fresh = () => fresh;
  document.body.append(list);
  await list.updateComplete;
  return (list.shadowRoot?.textContent ?? "").replace(/\s+/g, " ");
}

const row = (name: string): string =>
  (list.shadowRoot?.querySelector(`li[data-camera="${name}"]`)?.textContent ?? "").replace(/\s+/g, " ");

beforeEach(() => {
  setLanguage("fr");
  list = document.createElement("camera-list") as CameraList;
});

afterEach(() => {
  list.remove();
});

describe("the list of cameras", () => {
  it("says which are live and recorded while their states are fresh", async () => {
    const text = await shown([camera("a", { battery: 80 }), camera("b", { rec: "stalled" })], true);
    expect(text).toContain("2 en direct sur 2");
    expect(row("a")).toContain("en direct · REC · batterie 80 %");
    expect(row("b")).toContain("REC INTERROMPU");
  });

  it("claims neither a live picture nor a recording while it is not", async () => {
    const text = await shown([camera("a", { battery: 80 }), camera("idle", { state: "idle", worker: null })], false);
    expect(text).not.toContain("en direct");
    expect(text).not.toContain("batterie");
    expect(row("a")).toContain("état inconnu · REC inconnu");
    expect(row("idle")).toContain("état inconnu");
    expect(row("idle")).not.toContain("REC");
    expect(list.shadowRoot?.querySelector('li[data-camera="a"]')?.getAttribute("data-standing")).toBe("unknown");
  });

  it("says when a transmission ends, and offers to confirm it", async () => {
    const asked: string[] = [];
    list.addEventListener("confirm-wanted", (event) => asked.push((event as CustomEvent<string>).detail));
    const at = new Date(2026, 10, 25, 14, 32, 10).getTime();
    list.ending = (known) => (known.camera === "a" ? { at, seconds: 552 } : null);
    await shown([camera("a"), camera("b")], true);
    expect(row("a")).toContain("Fin à 14:32:10, dans 9 min 12 s");
    expect(row("b")).not.toContain("Fin");
    const buttons = list.shadowRoot?.querySelectorAll<HTMLButtonElement>('[data-testid="confirm"]') ?? [];
    expect(buttons).toHaveLength(1);
    buttons[0]?.click();
    expect(asked).toEqual(["a"]);
  });

  it("calls no emergency what the relay reports by itself", async () => {
    const cameras = [camera("a"), camera("b", { pressed: true })];
    list.live = reduce(EMPTY_LIVE_STATE, { t: "cameras", cameras }, 0);
    for (const name of ["a", "b"])
      list.live = reduce(list.live, { t: "alarm", camera: name, reason: "recording_failed", at: null }, 0);
    list.fresh = () => true;
    document.body.append(list);
    await list.updateComplete;
    expect(row("a")).toContain("ALERTE TECHNIQUE");
    expect(row("a")).not.toContain("URGENCE");
    expect(row("b")).toContain("URGENCE");
  });

  it("keeps an emergency, also where the state is no longer fresh", async () => {
    await shown([camera("a", { pressed: true })], false);
    expect(row("a")).toContain("URGENCE");
    expect(row("a")).toContain("REC inconnu");
  });
});
