import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import "../src/elements/player";
import type { RecordingPlayer } from "../src/elements/player";
import { dateTime, setLanguage } from "../src/i18n";
import { byId, click, fakeApi, mount, ok, part, refused, settle, text } from "./support";

/** hls.js as the player uses it; the newest one is `Hls.last`. */
const { Hls } = vi.hoisted(() => {
  type Handler = (event: string, data: unknown) => void;
  class Hls {
    static Events = { LEVEL_UPDATED: "levelUpdated", ERROR: "error" };
    static all: Hls[] = [];
    destroyed = false;
    source = "";
    handlers = new Map<string, Handler>();
    constructor(readonly config: { pLoader: new () => { load(...given: unknown[]): void } }) {
      Hls.all.push(this);
    }
    on(event: string, handler: Handler): void {
      this.handlers.set(event, handler);
    }
    loadSource(source: string): void {
      this.source = source;
    }
    attachMedia(): void {}
    destroy(): void {
      this.destroyed = true;
    }
    emit(event: string, data: unknown): void {
      this.handlers.get(event)?.(event, data);
    }
  }
  return { Hls };
});
vi.mock("hls.js/light", () => ({ default: Hls }));

const PLAYLIST = `#EXTM3U
#EXT-X-MAP:URI="0.init.mp4"
#EXTINF:5.000,
0.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="1.init.mp4"
#EXTINF:60.000,
1.m4s
`;
const bytes = (words: string): Uint8Array => new TextEncoder().encode(words);
const init = (handler: string): Uint8Array => bytes(`....hdlr\0\0\0\0\0\0\0\0${handler}`);
/** A camera that sent only sound at first. */
const FILES: Readonly<Record<string, Uint8Array>> = {
  "index.m3u8": bytes(PLAYLIST),
  "0.init.mp4": init("soun"),
  "1.init.mp4": init("vide"),
};
const SEGMENTS = [
  { segment: 0, startAt: 1_000_000, endAt: null },
  { segment: 1, startAt: 2_000_000, endAt: null },
];

type FrameCallback = (now: number, metadata: { mediaTime: number }) => void;
let frame: FrameCallback;
let player: RecordingPlayer;

/** Wait for the player's own import of hls.js. */
async function loaded(count: number): Promise<void> {
  await vi.waitFor(() => expect(Hls.all).toHaveLength(count));
  await settle(player);
}

async function play(media: (address: string) => ReturnType<typeof answer> = answer): Promise<void> {
  const { api } = fakeApi({ media: async (address) => media(address) });
  player = await mount<RecordingPlayer>("recording-player", { api, segments: SEGMENTS, playlist: "/api/views/v1/index.m3u8" });
}

const answer = (address: string) => {
  const file = FILES[address.split("/").pop() ?? ""];
  return file === undefined ? refused(404, "segment_not_found") : ok(file);
};

const video = (): HTMLVideoElement => byId<HTMLVideoElement>(player, "player");
const present = (mediaTime: number): void => frame(0, { mediaTime });

beforeEach(() => {
  setLanguage("fr");
  Hls.all = [];
  Object.assign(HTMLVideoElement.prototype, {
    requestVideoFrameCallback: (callback: FrameCallback) => {
      frame = callback;
      return 1;
    },
    cancelVideoFrameCallback: () => undefined,
    play: () => Promise.resolve(),
    pause: () => undefined,
  });
});

afterEach(() => document.body.replaceChildren());

describe("a recording whose tracks change", () => {
  it("begins with its first picture, and offers each part", async () => {
    await play();
    await loaded(1);
    const parts = [...part(player, '[role="group"]').querySelectorAll("button")];
    expect(parts.map((each) => [text(each), each.getAttribute("aria-pressed")])).toEqual([
      ["Partie 1 : son seul (5 s)", "false"],
      ["Partie 2 (1 min 00 s)", "true"],
    ]);
  });

  it("plays the part that a person chooses and ends the one before", async () => {
    await play();
    await loaded(1);
    part<HTMLButtonElement>(player, '[role="group"] button').click();
    await loaded(2);
    expect(Hls.all.map((hls) => hls.destroyed)).toEqual([true, false]);
  });

  it("goes on with the next part at the end of one", async () => {
    await play();
    await loaded(1);
    part<HTMLButtonElement>(player, '[role="group"] button').click();
    await loaded(2);
    video().dispatchEvent(new Event("ended"));
    await loaded(3);
    video().dispatchEvent(new Event("ended"));
    await settle(player);
    expect(Hls.all).toHaveLength(3);
  });

  it("hands hls.js a playlist of the part alone", async () => {
    await play();
    await loaded(1);
    const [hls] = Hls.all;
    if (hls === undefined) throw new Error("hls.js was not asked");
    const loader = new hls.config.pLoader();
    const playlist = await new Promise<string>((resolve) =>
      loader.load({ url: "x" }, {}, { onSuccess: (response: { data: string }) => resolve(response.data) }),
    );
    expect(playlist).toContain("1.m4s");
    expect(playlist).not.toContain("0.m4s");
  });
});

describe("a picture", () => {
  beforeEach(async () => {
    await play();
    await loaded(1);
    Hls.all[0]?.emit("levelUpdated", { details: { fragments: [{ start: 0 }] } });
  });

  it("is dated by its own segment", async () => {
    present(12.5);
    await settle(player);
    expect(text(byId(player, "picture-time"))).toBe(
      text(Object.assign(document.createElement("p"), { textContent: dateTime(2_012_500) })),
    );
  });

  it("is stepped over by the pace that was seen, to the middle of the next one", async () => {
    present(1);
    present(1.04);
    await click(player, "frame-forward");
    expect(video().currentTime).toBeCloseTo(1.04 + 0.04 * 1.5);
    await click(player, "frame-back");
    expect(video().currentTime).toBeCloseTo(1.04 - 0.04 * 0.5);
  });

  it("is left by ten seconds with a key, never before the beginning", () => {
    video().currentTime = 4;
    const press = (key: string): KeyboardEvent => {
      const event = new KeyboardEvent("keydown", { key, cancelable: true });
      video().dispatchEvent(event);
      return event;
    };
    expect(press("l").defaultPrevented).toBe(true);
    expect(video().currentTime).toBe(14);
    press("j");
    press("j");
    expect(video().currentTime).toBe(0);
    expect(press("x").defaultPrevented).toBe(false);
  });
});

describe("what cannot be played", () => {
  it("says why the relay refused the playlist", async () => {
    await play(() => refused(404, "playback_not_found"));
    await vi.waitFor(() => expect(text(part(player, "[role=alert]"))).toContain("Refusé"));
    expect(Hls.all).toEqual([]);
  });

  it("says so where hls.js gives up, not where it tries again", async () => {
    await play();
    await loaded(1);
    Hls.all[0]?.emit("error", { fatal: false, details: "fragLoadError" });
    await settle(player);
    expect(part(player, "[role=alert]").hidden).toBe(true);
    Hls.all[0]?.emit("error", { fatal: true, details: "fragLoadError" });
    await settle(player);
    expect(text(part(player, "[role=alert]"))).toBe("Lecture impossible : fragLoadError");
  });

  it("stops with the element", async () => {
    await play();
    await loaded(1);
    player.remove();
    expect(Hls.all[0]?.destroyed).toBe(true);
  });
});
