import { expect, it } from "vitest";
import type { Workstation } from "../src/workstation";
import "../src/elements/wall_grid";
import type { WallGrid } from "../src/elements/wall_grid";
import * as layout from "../src/layout";
import { EMPTY_LIVE_STATE, reduce } from "../src/live_state";
import { camera } from "./support";

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
