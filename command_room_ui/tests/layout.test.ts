import { describe, expect, it } from "vitest";
import * as layout from "../src/layout";

const cameras = (wall: layout.WallState): (string | null)[] => wall.tiles.slice(0, wall.size);
const filled = (size: layout.Size, ...names: string[]): layout.WallState =>
  names.reduce((wall, name, tile) => layout.place(wall, name, tile), layout.resize(layout.EMPTY_WALL, size));

describe("placing", () => {
  it("puts a camera on the tile and selects it", () => {
    const wall = layout.place(layout.EMPTY_WALL, "a", 2);
    expect(cameras(wall)).toEqual([null, null, "a", null]);
    expect(wall.selected).toBe(2);
  });

  it("never shows a camera twice: it swaps", () => {
    const wall = layout.place(filled(4, "a", "b"), "a", 1);
    expect(cameras(wall)).toEqual(["b", "a", null, null]);
  });

  it("refuses a tile that is not on the wall", () => {
    expect(layout.place(layout.EMPTY_WALL, "a", 4)).toBe(layout.EMPTY_WALL);
  });

  it("prefers the selected tile if free, then the first free, then the selected", () => {
    const wall = layout.select(filled(4, "a"), 3);
    expect(cameras(layout.placeAnywhere(wall, "b"))).toEqual(["a", null, null, "b"]);
    expect(cameras(layout.placeAnywhere(layout.select(wall, 0), "b"))).toEqual(["a", "b", null, null]);
    const full = layout.select(filled(4, "a", "b", "c", "d"), 1);
    expect(cameras(layout.placeAnywhere(full, "e"))).toEqual(["a", "e", "c", "d"]);
  });

  it("selects a camera that is on the wall already and moves nothing", () => {
    const wall = layout.placeAnywhere(layout.select(filled(4, "a", "b"), 3), "a");
    expect(cameras(wall)).toEqual(["a", "b", null, null]);
    expect(wall.selected).toBe(0);
  });

  it("swaps two tiles by drag and drop", () => {
    expect(cameras(layout.swap(filled(4, "a", "b"), 0, 1))).toEqual(["b", "a", null, null]);
    expect(cameras(layout.swap(filled(4, "a"), 0, 3))).toEqual([null, null, null, "a"]);
  });
});

describe("resizing", () => {
  it("keeps cameras in order and brings hidden ones back", () => {
    const nine = layout.select(filled(9, "a", "b", "c", "d", "e"), 0);
    const four = layout.resize(nine, 4);
    expect(cameras(four)).toEqual(["a", "b", "c", "d"]);
    expect(layout.visible(four)).toHaveLength(4);
    expect(cameras(layout.resize(four, 9)).slice(0, 5)).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("keeps the selected camera on screen when the wall shrinks", () => {
    const wall = layout.resize(layout.select(filled(9, "a", "b", "c", "d", "e"), 4), 1);
    expect(cameras(wall)).toEqual(["e"]);
    expect(wall.selected).toBe(0);
  });

  it("moves cameras from vanished places to free ones", () => {
    const wall = layout.resize(
      layout.select(layout.place(layout.place(layout.resize(layout.EMPTY_WALL, 9), "z", 8), "a", 0), 0),
      4,
    );
    expect(cameras(wall)).toEqual(["a", "z", null, null]);
  });

  it.each(layout.SIZES)("loses no camera through %i tiles and back", (size) => {
    const wall = filled(16, ..."abcdefghijklmnop");
    const back = layout.resize(layout.resize(wall, size), 16);
    expect([...cameras(back)].sort()).toEqual([..."abcdefghijklmnop"]);
  });
});

describe("sound", () => {
  it("comes from one camera at most, and the same again is silence", () => {
    const wall = layout.listen(layout.listen(filled(4, "a", "b"), "a"), "b");
    expect(wall.audible).toBe("b");
    expect(layout.listen(wall, "b").audible).toBeNull();
  });

  it("ends when its camera leaves the screen", () => {
    const wall = layout.listen(filled(4, "a", "b"), "b");
    expect(layout.clear(wall, 1).audible).toBeNull();
    expect(layout.resize(layout.select(wall, 0), 1).audible).toBeNull();
  });
});

describe("spotlight", () => {
  it("places the selected tile large and every other beside it, none on top of another", () => {
    for (const size of [4, 9, 16] as const) {
      const wall = layout.toggleSpotlight(layout.select(filled(size, ..."abcdefghijklmnop".slice(0, size)), 1));
      expect(wall.spotlight).toBe(true);
      const places = Array.from({ length: size }, (_, tile) => layout.placeOf(wall, tile));
      expect(new Set(places.map((place) => `${place.column}/${place.row}`)).size).toBe(size);
      expect(places[1]?.column).toBe("1");
      expect(layout.isLarge(wall, 1)).toBe(true);
      expect(layout.isLarge(wall, 0)).toBe(false);
    }
  });

  it("is not for an empty tile nor for a wall of one, and ends with its camera", () => {
    expect(layout.toggleSpotlight(layout.EMPTY_WALL).spotlight).toBe(false);
    expect(layout.toggleSpotlight(filled(1, "a")).spotlight).toBe(false);
    expect(layout.clear(layout.toggleSpotlight(filled(4, "a")), 0).spotlight).toBe(false);
  });
});

describe("keys", () => {
  it("reach every tile, two digits typed quickly being one number", () => {
    const first = layout.digit(null, "1", 1000, 16);
    expect(first.tile).toBe(0);
    expect(layout.digit(first.digits, "2", 1500, 16).tile).toBe(11);
    expect(layout.digit(first.digits, "2", 1701, 16).tile).toBe(1);
  });

  it("do not join digits to a tile that is not there", () => {
    const first = layout.digit(null, "1", 0, 9);
    expect(layout.digit(first.digits, "2", 10, 9).tile).toBe(1);
    expect(layout.digit(null, "0", 0, 16).tile).toBeNull();
    expect(layout.digit(null, "5", 0, 4).tile).toBeNull();
  });

  it("move the selection and stop at the edges", () => {
    const wall = filled(9);
    expect(layout.move(wall, 1, 0).selected).toBe(1);
    expect(layout.move(wall, -1, -1).selected).toBe(0);
    expect(layout.move(layout.select(wall, 8), 1, 1).selected).toBe(8);
    expect(layout.move(layout.select(wall, 4), 0, 1).selected).toBe(7);
  });
});

describe("what a reload keeps", () => {
  it("is size, cameras and selection", () => {
    const wall = layout.select(filled(9, "a", "b", "c"), 1);
    expect(layout.restore(layout.save(wall))).toEqual(wall);
  });

  it("is neither sound nor spotlight", () => {
    const wall = layout.toggleSpotlight(layout.listen(filled(4, "a"), "a"));
    expect(layout.restore(layout.save(wall))).toMatchObject({ audible: null, spotlight: false });
  });

  it.each([[null], ["nonsense"], ["[]"], ["7"], ['{"size":5,"tiles":"x","selected":99}'], ['{"tiles":[{"a":1},7]}']])(
    "is an empty wall for %s",
    (saved) => {
      expect(layout.restore(saved)).toEqual(layout.EMPTY_WALL);
    },
  );

  it("never shows a camera twice", () => {
    expect(cameras(layout.restore('{"size":4,"tiles":["a","a",null,null,"b"]}')).filter((name) => name === "a")).toHaveLength(
      1,
    );
  });
});
