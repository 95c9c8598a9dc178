import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ENDS_SOON } from "../src/alarms";
import "../src/elements/alarm_banner";
import type { AlarmBanner } from "../src/elements/alarm_banner";
import { setLanguage } from "../src/i18n";
import { EMPTY_LIVE_STATE, type LiveMessage, reduce } from "../src/live_state";
import { camera } from "./support";

let banner: AlarmBanner;

async function shown(...messages: LiveMessage[]): Promise<string> {
  banner.live = messages.reduce((state, message) => reduce(state, message, 0), EMPTY_LIVE_STATE);
  document.body.append(banner);
  await banner.updateComplete;
  return (banner.shadowRoot?.querySelector('[data-testid="alarm"]')?.textContent ?? "").replace(/\s+/g, " ");
}

const alarm = (reason: string): LiveMessage => ({ t: "alarm", camera: "a", reason, at: 0 });

beforeEach(() => {
  // happy-dom has no sound.
  vi.stubGlobal(
    "AudioContext",
    class {
      state = "suspended";
    },
  );
  setLanguage("fr");
  banner = document.createElement("alarm-banner") as AlarmBanner;
});

afterEach(() => {
  banner.remove();
  vi.unstubAllGlobals();
});

it("shows a pressed button as an emergency, also beside what the relay reports", async () => {
  const text = await shown(alarm("recording_failed"), { t: "states", cameras: [camera("a", { pressed: true })] });
  expect(text).toContain("URGENCE");
  expect(text).toContain("bouton d'alerte actionné · enregistrement interrompu");
});

it("offers to confirm a transmission that ends soon", async () => {
  const asked: string[] = [];
  banner.addEventListener("confirm-wanted", (event) => asked.push((event as CustomEvent<string>).detail));
  const text = await shown({ t: "states", cameras: [camera("a", { ends_ns: 600e9 })] }, alarm(ENDS_SOON));
  expect(text).toContain("ALERTE TECHNIQUE");
  expect(text).toContain("fin prochaine de la transmission, sauf confirmation");
  banner.shadowRoot?.querySelector<HTMLButtonElement>('[data-testid="alarm-confirm"]')?.click();
  expect(asked).toEqual(["a"]);
});

it("offers nothing to confirm where a recording failed", async () => {
  await shown(alarm("recording_failed"));
  expect(banner.shadowRoot?.querySelector('[data-testid="alarm-confirm"]')).toBeNull();
});
