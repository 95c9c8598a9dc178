import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import "../src/elements/cameras_admin";
import type { CamerasView } from "../src/elements/cameras_admin";
import { setLanguage } from "../src/i18n";
import { byId, camera, fakeApi, has, mount, ok, part, refused, settle, submit, text } from "./support";

const row = (view: CamerasView, name: string): HTMLElement => part(view, `[data-camera="${name}"]`);

async function cameras() {
  const fake = fakeApi({
    cameras: async () =>
      ok([
        camera("pm-1", { regime: "bodycam_pm", commune: "Rennes" }),
        camera("old", { revoked_at: "2026-11-01T00:00:00Z", original: "camera" }),
      ]),
    enrolCamera: async () => ok("t0ken"),
    changeCamera: async () => ok(null),
    revokeCamera: async () => ok(null),
  });
  return { view: await mount<CamerasView>("cameras-view", { api: fake.api }), ...fake };
}

beforeEach(() => setLanguage("fr"));

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

describe("enrolled cameras", () => {
  it("are listed with regime, place of the original and commune, and no picture", async () => {
    const { view } = await cameras();
    expect(text(row(view, "pm-1"))).toContain("police municipale");
    expect(text(row(view, "pm-1"))).toContain("Rennes");
    expect(view.shadowRoot?.querySelector("video")).toBeNull();
  });

  it("cannot be changed once revoked", async () => {
    const { view } = await cameras();
    expect(row(view, "old").querySelector("button")).toBeNull();
    expect(row(view, "old").querySelector("input")?.disabled).toBe(true);
    expect(text(row(view, "old"))).toContain("✕");
  });

  it("are enrolled without live sound unless it is chosen; the token is shown once", async () => {
    const { view, calls } = await cameras();
    const values = { camera: "pm-2", label: "Patrouille 2", regime: "bodycam_pm", original: "relay", commune: "Rennes" };
    await submit(view, "form", values);
    expect(calls).toContainEqual(["enrolCamera", { ...values, live_audio: false }]);
    expect(text(byId(view, "camera-token"))).toBe("t0ken");
    part<HTMLInputElement>(view, '[name="audio"]').checked = true;
    await submit(view, "form", values);
    expect(calls).toContainEqual(["enrolCamera", { ...values, live_audio: true }]);
  });

  it("show no token where the relay refuses, and keep the form", async () => {
    const { view, answers } = await cameras();
    answers.enrolCamera = async () => refused(409, "already_exists");
    await submit(view, "form", { camera: "pm-1", label: "x" });
    expect(has(view, "camera-token")).toBe(false);
    expect(text(part(view, "[role=alert]"))).toContain("Refusé");
    expect(part<HTMLInputElement>(view, '[name="camera"]').value).toBe("pm-1");
  });

  it("have their live sound switched on and off", async () => {
    const { view, calls } = await cameras();
    const box = row(view, "pm-1").querySelector("input") as HTMLInputElement;
    expect(box.checked).toBe(true);
    box.checked = false;
    box.dispatchEvent(new Event("change"));
    await settle(view);
    expect(calls).toContainEqual(["changeCamera", "pm-1", { live_audio: false }]);
  });

  it("are revoked only after asking", async () => {
    const { view, calls } = await cameras();
    vi.stubGlobal("confirm", () => false);
    row(view, "pm-1").querySelector("button")?.click();
    await settle(view);
    expect(calls).not.toContainEqual(["revokeCamera", "pm-1"]);
    vi.stubGlobal("confirm", () => true);
    row(view, "pm-1").querySelector("button")?.click();
    await settle(view);
    expect(calls).toContainEqual(["revokeCamera", "pm-1"]);
  });
});
