import { describe, expect, it } from "vitest";
import { find, type Pools, plan, SLOTS, type Wanted } from "../src/slots";

const want = (tile: number, camera: string, worker = 0): Wanted => ({ tile, camera, worker });
const following = (pools: Pools, ...wanted: Wanted[]) => plan(pools, wanted);
const NONE: Pools = new Map();

describe("the plan of slots", () => {
  it("gives each camera a slot of its own worker", () => {
    const { changes } = following(NONE, want(0, "a", 0), want(1, "b", 1));
    expect(changes).toEqual([
      { worker: 0, slot: 0, camera: "a" },
      { worker: 1, slot: 0, camera: "b" },
    ]);
  });

  it("changes nothing when nothing changed, nor when a tile only moved", () => {
    const { pools } = following(NONE, want(0, "a"), want(1, "b"));
    expect(following(pools, want(0, "a"), want(1, "b")).changes).toEqual([]);
    const moved = following(pools, want(1, "a"), want(0, "b"));
    expect(moved.changes).toEqual([]);
    expect(find(moved.pools, 1)?.placement.camera).toBe("a");
    expect(find(moved.pools, 1)?.slot).toBe(0);
  });

  it("switches a tile's camera in the tile's own slot", () => {
    const { pools } = following(NONE, want(0, "a"), want(1, "b"));
    expect(following(pools, want(0, "a"), want(1, "c")).changes).toEqual([{ worker: 0, slot: 1, camera: "c" }]);
  });

  it("puts releases before assignments", () => {
    const { pools } = following(NONE, want(0, "a"), want(1, "b"));
    const { changes } = following(pools, want(2, "c"), want(3, "d"), want(4, "e"));
    expect(changes.map((change) => change.camera !== null)).toEqual([false, false, true, true, true]);
  });

  it("prefers a slot that carried nothing: its first picture can be nobody else's", () => {
    const { pools } = following(NONE, want(0, "a"));
    expect(following(pools, want(5, "b")).changes).toContainEqual({ worker: 0, slot: 1, camera: "b" });
  });

  it("follows a camera to another worker", () => {
    const { pools } = following(NONE, want(0, "a", 0));
    const { changes, pools: next } = following(pools, want(0, "a", 1));
    expect(changes).toEqual([
      { worker: 0, slot: 0, camera: null },
      { worker: 1, slot: 0, camera: "a" },
    ]);
    expect(find(next, 0)?.worker).toBe(1);
  });

  it("fits a full wall exactly, through any reshuffle", () => {
    const all = [..."abcdefghijklmnop"];
    const full = following(NONE, ...all.map((camera, tile) => want(tile, camera)));
    expect(full.changes).toHaveLength(SLOTS);
    const others = all.map((camera, tile) => want(tile, camera.toUpperCase()));
    const { changes, pools } = following(full.pools, ...others);
    expect(changes).toHaveLength(SLOTS);
    expect(new Set(others.map((item) => find(pools, item.tile)?.slot)).size).toBe(SLOTS);
  });
});
