import { afterEach, beforeEach, describe, expect, it } from "vitest";
import "../src/elements/wall_tile";
import type { WallTile } from "../src/elements/wall_tile";
import { setLanguage } from "../src/i18n";
import type { TileView } from "../src/tile_view";
import { camera } from "./support";

const LIVE: TileView = {
  tile: 2,
  id: "a",
  camera: camera("a", { label: "Patrouille 7" }),
  liveness: { kind: "live", cause: "none", age: 0.03 },
  refusal: null,
  fresh: true,
  sealedAge: 0.5,
  stream: null,
  leg: null,
  stats: {
    framesDecoded: 1,
    freezeCount: 0,
    freezeSeconds: 0,
    framesDropped: 0,
    packetsReceived: 1,
    packetsLost: 0,
    kbps: 1234.4,
    loss: 0.05,
    width: 1,
    height: 1,
  },
  delayMs: 71.6,
  endToEnd: null,
  ending: null,
  audible: false,
  worker: 0,
  slot: 0,
  view: "v",
};

let tile: WallTile;

async function shown(view: TileView, large = true): Promise<string> {
  tile.view = view;
  tile.large = large;
  document.body.append(tile);
  await tile.updateComplete;
  return (tile.shadowRoot?.textContent ?? "").replace(/\s+/g, " ");
}

beforeEach(() => {
  // happy-dom has no frames; the element only needs to be able to ask for them.
  Object.assign(HTMLVideoElement.prototype, { requestVideoFrameCallback: () => 1, cancelVideoFrameCallback: () => undefined });
  setLanguage("fr");
  tile = document.createElement("wall-tile") as WallTile;
});

afterEach(() => {
  tile.remove();
});

describe("a tile", () => {
  it("says DIRECT, delay, bitrate, loss, REC and seal when it is live and large", async () => {
    const text = await shown(LIVE);
    for (const words of ["Patrouille 7", "DIRECT", "relais → écran 72 ms", "1234 kbit/s", "perte 5,0 %", "REC", "scellé"])
      expect(text).toContain(words);
  });

  it("never says DIRECT nor a delay once its picture stands still, and says since when", async () => {
    const text = await shown({ ...LIVE, liveness: { kind: "frozen", cause: "camera_lost", age: 65 } });
    expect(text).not.toContain("DIRECT");
    expect(text).not.toContain("relais → écran");
    expect(text).toContain("IMAGE FIGÉE");
    expect(text).toContain("dernière image il y a 1 min 05 s");
    expect(text).toContain("liaison avec la caméra perdue");
    expect(tile.shadowRoot?.querySelector('[data-kind="frozen"] video')).not.toBeNull();
  });

  it("hides the video until a frame of its own camera was shown", async () => {
    await shown({ ...LIVE, liveness: { kind: "waiting", cause: "none", age: null } });
    expect(tile.shadowRoot?.querySelector("video")?.classList.contains("unseen")).toBe(true);
    await shown({ ...LIVE });
    expect(tile.shadowRoot?.querySelector("video")?.classList.contains("unseen")).toBe(false);
  });

  it("keeps to name and state when small, but never hides a recording that is broken", async () => {
    expect(await shown(LIVE, false)).not.toContain("kbit/s");
    const text = await shown({ ...LIVE, camera: camera("a", { rec: "stalled" }) }, false);
    expect(text).toContain("REC INTERROMPU");
  });

  it("says what arrives and is not recorded in every size, and never REC and seal with it", async () => {
    for (const large of [true, false]) {
      const rec = { rec: "unrecorded" as const };
      const picture = await shown({ ...LIVE, camera: camera("a", { ...rec, unrecorded: ["video"] }) }, large);
      expect(picture).toContain("⚠ IMAGE NON ENREGISTRÉE");
      expect(picture).not.toContain("◉");
      expect(picture).not.toContain("scellé");
      const sound = await shown({ ...LIVE, camera: camera("a", { ...rec, unrecorded: ["audio"] }) }, large);
      expect(sound).toContain("⚠ SON NON ENREGISTRÉ");
      const both = await shown({ ...LIVE, camera: camera("a", { ...rec, unrecorded: ["video", "audio"] }) }, large);
      expect(both).toContain("⚠ REÇU, NON ENREGISTRÉ");
    }
  });

  it("shows the recording as unknown while the state is not fresh", async () => {
    const text = await shown({ ...LIVE, fresh: false });
    expect(text).toContain("REC inconnu");
    expect(text).not.toContain("scellé");
  });

  it("shows camera to screen with its uncertainty where that is known", async () => {
    expect(await shown({ ...LIVE, endToEnd: { ms: 118.4, uncertaintyMs: 6.2 } })).toContain("caméra → écran 118 ± 7 ms");
  });

  it("shows a late seal, a refusal in the person's language, a reduced picture", async () => {
    expect(await shown({ ...LIVE, sealedAge: 12 })).toContain("⚠ scellé il y a 12 s");
    expect(
      await shown({
        ...LIVE,
        liveness: { kind: "refused", cause: "none", age: null },
        refusal: { code: "camera_not_live", detail: "this camera is not live (LIV-02)", facts: { rule: "LIV-02" } },
      }),
    ).toContain("cette caméra ne transmet pas (LIV-02)");
    const leg = { view: "v", kbps: 1, loss: 0, rttMs: null, layer: "key" as const, limited: true, delayMs: 1, stamp: null };
    expect(await shown({ ...LIVE, leg }, false)).toContain("IMAGES CLÉS UNIQUEMENT");
  });

  it("says that live pictures may stutter, and on a large tile what to set on the encoder", async () => {
    const shaky = { ...LIVE, camera: camera("a", { warnings: ["b_frames", "of the future"] }) };
    expect(await shown(shaky, false)).toContain("⚠ direct saccadé (B-frames)");
    expect(await shown(shaky, true)).toContain("Désactiver les B-frames dans son encodeur");
    expect(await shown({ ...shaky, fresh: false }, true)).not.toContain("B-frames");
    expect(await shown(LIVE, true)).not.toContain("B-frames");
  });

  it.each([true, false])("says when the transmission ends, and offers to confirm it (large: %s)", async (large) => {
    const asked: string[] = [];
    tile.addEventListener("confirm-wanted", (event) => asked.push((event as CustomEvent<string>).detail));
    expect(await shown(LIVE, large)).not.toContain("Fin");
    const at = new Date(2026, 10, 25, 14, 32, 10).getTime();
    const text = await shown({ ...LIVE, ending: { at, seconds: 552 } }, large);
    expect(text).toContain("Fin à 14:32:10, dans 9 min 12 s");
    tile.shadowRoot?.querySelector<HTMLButtonElement>('[data-testid="confirm"]')?.click();
    expect(asked).toEqual(["a"]);
  });

  it("can always be muted, also where sound was switched off for the camera meanwhile", async () => {
    await shown({ ...LIVE, camera: camera("a", { live_audio: false }), audible: true });
    const button = tile.shadowRoot?.querySelector<HTMLButtonElement>('[data-testid="hear"]');
    expect(button?.disabled).toBe(false);
    expect(button?.getAttribute("aria-label")).toBe("Couper le son");
  });

  it("offers no sound where the source has none", async () => {
    await shown({ ...LIVE, camera: camera("a", { live_audio: false }) });
    expect(tile.shadowRoot?.querySelector<HTMLButtonElement>('[data-testid="hear"]')?.disabled).toBe(true);
  });
});
