import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CAMERA_TYPE } from "../src/elements/camera_list";
import "../src/elements/wall_grid";
import type { WallGrid } from "../src/elements/wall_grid";
import type { WallTile } from "../src/elements/wall_tile";
import { setLanguage } from "../src/i18n";
import * as layout from "../src/layout";
import { EMPTY_LIVE_STATE, reduce } from "../src/live_state";
import type { TileView } from "../src/tile_view";
import type { Workstation } from "../src/workstation";
import { camera, emitted, mount, part, settle, stubMedia, text } from "./support";

/** A grid over a wall with one camera; only what `hear` needs of the workstation is there. */
function gridWith(liveAudio: boolean, audible: boolean): { grid: WallGrid; heard: () => string | null } {
  const wall = {
    layout: layout.place(layout.EMPTY_WALL, "a", 0),
    arrange: (next: layout.WallState) => {
      wall.layout = next;
    },
  };
  if (audible) wall.layout = layout.listen(wall.layout, "a");
  const state = reduce(EMPTY_LIVE_STATE, { t: "cameras", cameras: [camera("a", { live_audio: liveAudio })] }, 0);
  const grid = document.createElement("wall-grid") as WallGrid;
  grid.workstation = { wall, state } as unknown as Workstation;
  return { grid, heard: () => wall.layout.audible };
}

it.each([
  [true, false, "a"],
  [true, true, null],
  [false, false, null],
  [false, true, null],
])("live audio %s, heard %s: the key for sound makes it %s", (liveAudio, audible, expected) => {
  const { grid, heard } = gridWith(liveAudio, audible);
  grid.hear(0);
  expect(heard()).toBe(expected);
});

describe("the grid", () => {
  let grid: WallGrid;
  let retried: string[];
  let frames: [string, unknown][];

  const view = (tile: number, id: string | null): TileView => ({
    tile,
    id,
    camera: id === null ? null : camera(id, { label: `Unit ${id}` }),
    liveness: id === null ? { kind: "empty", cause: "none", age: null } : { kind: "frozen", cause: "camera_lost", age: 3 },
    refusal: null,
    fresh: true,
    sealedAge: null,
    stream: null,
    leg: null,
    stats: null,
    delayMs: null,
    endToEnd: null,
    ending: id === "b" ? { at: new Date(2026, 10, 25, 14, 32, 10).getTime(), seconds: 552 } : null,
    audible: false,
    worker: null,
    slot: null,
    view: null,
  });
  const wall = {
    layout: layout.EMPTY_WALL,
    arrange: (next: layout.WallState) => {
      wall.layout = next;
      grid.revision += 1;
    },
    tiles: () => Array.from({ length: wall.layout.size }, (_, tile) => view(tile, wall.layout.tiles[tile] ?? null)),
    retry: (name: string) => retried.push(name),
    presented: (name: string, frame: unknown) => frames.push([name, frame]),
  };
  const tile = (name: string): WallTile =>
    [...(grid.shadowRoot?.querySelectorAll<WallTile>("wall-tile") ?? [])].find((each) => each.view.id === name) as WallTile;
  const drag = (type: string, carried: string | null): DragEvent => {
    const dataTransfer = { types: carried === null ? [] : [CAMERA_TYPE], getData: () => carried ?? "" };
    return Object.assign(new Event(type, { cancelable: true, bubbles: true }), { dataTransfer }) as unknown as DragEvent;
  };

  beforeEach(async () => {
    setLanguage("fr");
    stubMedia();
    [retried, frames] = [[], []];
    wall.layout = layout.place(layout.place(layout.EMPTY_WALL, "a", 0), "b", 1);
    const state = reduce(EMPTY_LIVE_STATE, { t: "cameras", cameras: [camera("a"), camera("b", { pressed: true })] }, 0);
    grid = await mount<WallGrid>("wall-grid", { workstation: { wall, state } as unknown as Workstation });
  });

  afterEach(() => {
    grid.remove();
    vi.unstubAllGlobals();
  });

  it("names each tile with its camera and state, and marks an alarm that nobody has seen", () => {
    expect(tile("a").getAttribute("aria-label")).toContain("Unit a");
    expect(tile("a").getAttribute("aria-label")).toContain("IMAGE FIGÉE");
    expect([tile("a").alarm, tile("b").alarm]).toEqual(["", "unseen"]);
  });

  it("keeps the element of a camera that moves: its picture goes on", async () => {
    const before = tile("a");
    wall.arrange(layout.place(wall.layout, "a", 3));
    await settle(grid);
    expect(tile("a")).toBe(before);
    expect(before.view.tile).toBe(3);
  });

  it("changes its size by a button", async () => {
    part<HTMLButtonElement>(grid, '[data-testid="size-9"]').click();
    await settle(grid);
    expect(grid.shadowRoot?.querySelectorAll("wall-tile")).toHaveLength(9);
    expect(part(grid, '[data-testid="size-9"]').getAttribute("aria-pressed")).toBe("true");
  });

  it("enlarges a tile, another one instead, and goes back", () => {
    grid.enlarge(0);
    expect(wall.layout).toMatchObject({ spotlight: true, selected: 0 });
    grid.enlarge(1);
    expect(wall.layout).toMatchObject({ spotlight: true, selected: 1 });
    grid.enlarge(1);
    expect(wall.layout.spotlight).toBe(false);
  });

  it("takes a camera that is dropped on a tile, and nothing else", async () => {
    const target = tile("b");
    expect(target.dispatchEvent(drag("dragover", "c"))).toBe(false);
    target.dispatchEvent(drag("drop", "c"));
    expect(wall.layout.tiles[1]).toBe("c");
    expect(target.dispatchEvent(drag("dragover", null))).toBe(true);
    target.dispatchEvent(drag("drop", null));
    expect(wall.layout.tiles[1]).toBe("c");
  });

  it("empties, and asks again, where a tile wants it", () => {
    tile("a").dispatchEvent(new CustomEvent("tile-retry"));
    expect(retried).toEqual(["a"]);
    tile("a").dispatchEvent(new CustomEvent("tile-remove"));
    expect(wall.layout.tiles[0]).toBeNull();
  });

  it("hands every presented frame to the wall", () => {
    const frame = { at: 1, received: 1, rtp: 1 };
    tile("a").dispatchEvent(new CustomEvent("tile-frame", { detail: { camera: "a", frame }, bubbles: true, composed: true }));
    expect(frames).toEqual([["a", frame]]);
  });

  it("asks for full screen of all that is around it", () => {
    const asked = emitted(grid, "full-screen");
    part<HTMLButtonElement>(grid, '[data-testid="full-screen"]').click();
    expect(asked).toHaveLength(1);
  });

  it("announces pictures that stand still and transmissions that end soon", () => {
    const words = text(part(grid, '[aria-live="polite"]'));
    expect(words).toContain("Unit a : IMAGE FIGÉE");
    expect(words).toContain("Unit b : fin de la transmission à 14:32:10");
  });
});
