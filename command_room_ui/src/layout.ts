/**
 * The layout of the wall: the number of tiles, the camera on each, the selected tile, the tile of a digit key.
 *
 * Owns: the state of the wall that the person decides, and every change of it as a pure function.  Must never know: slots,
 * workers, elements.
 */

export const SIZES = [1, 4, 9, 16] as const;
export type Size = (typeof SIZES)[number];
export const MAX_TILES = 16;

export interface WallState {
  readonly size: Size;
  /** Sixteen places.  Those beyond `size` are kept for a larger wall, and are not watched meanwhile. */
  readonly tiles: readonly (string | null)[];
  readonly selected: number;
  /** The tile shown large with the others beside it. */
  readonly spotlight: boolean;
  readonly audible: string | null;
}

export const EMPTY_WALL: WallState = {
  size: 4,
  tiles: Array.from({ length: MAX_TILES }, () => null),
  selected: 0,
  spotlight: false,
  audible: null,
};

/** Return the text that a reload of the page keeps: size, cameras, selection.  Sound and spotlight are not kept. */
export function save(wall: WallState): string {
  return JSON.stringify({ size: wall.size, tiles: wall.tiles, selected: wall.selected });
}

/** Read the text of `save`; any other text gives an empty wall. */
export function restore(saved: string | null): WallState {
  const from = parse(saved);
  const size = SIZES.find((known) => known === from.size) ?? EMPTY_WALL.size;
  const names = Array.isArray(from.tiles)
    ? from.tiles.filter((name, at, all) => all.indexOf(name) === at || name === null)
    : [];
  const tiles = EMPTY_WALL.tiles.map((_, tile) => (typeof names[tile] === "string" ? names[tile] : null));
  const selected = typeof from.selected === "number" && Number.isInteger(from.selected) ? from.selected : 0;
  return select({ ...EMPTY_WALL, size, tiles }, selected);
}

function parse(saved: string | null): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(saved ?? "{}");
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** Return the cameras on screen with their tiles; only these are watched. */
export function visible(wall: WallState): { readonly tile: number; readonly camera: string }[] {
  return wall.tiles.slice(0, wall.size).flatMap((camera, tile) => (camera === null ? [] : [{ tile, camera }]));
}

/** Put a camera on a tile.  If it is already elsewhere on the wall, the two tiles swap. */
export function place(wall: WallState, camera: string, tile: number): WallState {
  if (tile < 0 || tile >= wall.size) return wall;
  const tiles = [...wall.tiles];
  const before = tiles.indexOf(camera);
  if (before >= 0) tiles[before] = before < wall.size ? (tiles[tile] ?? null) : null;
  tiles[tile] = camera;
  return settle({ ...wall, tiles, selected: tile });
}

/**
 * Put a camera where it fits best: where it already is, else the selected tile if free, else the first free, else the selected.
 */
export function placeAnywhere(wall: WallState, camera: string): WallState {
  const shown = wall.tiles.slice(0, wall.size);
  const already = shown.indexOf(camera);
  if (already >= 0) return { ...wall, selected: already };
  if (shown[wall.selected] === null) return place(wall, camera, wall.selected);
  const free = shown.indexOf(null);
  return place(wall, camera, free >= 0 ? free : wall.selected);
}

/** Exchange two tiles (drag and drop inside the wall). */
export function swap(wall: WallState, from: number, to: number): WallState {
  const camera = wall.tiles[from];
  return camera == null || from === to ? wall : place(wall, camera, to);
}

/** Empty a tile: its view ends. */
export function clear(wall: WallState, tile: number): WallState {
  const tiles = [...wall.tiles];
  tiles[tile] = null;
  return settle({ ...wall, tiles });
}

/** Change the number of tiles.  Cameras that no longer fit move to free tiles, the selected one first. */
export function resize(wall: WallState, size: Size): WallState {
  const keep = wall.tiles[wall.selected] ?? null;
  const shown = wall.tiles.filter((camera) => camera !== null);
  const first = keep !== null && wall.selected >= size ? [keep, ...shown.filter((camera) => camera !== keep)] : null;
  const tiles = first === null ? compact(wall.tiles, size) : padded(first);
  const selected = keep === null ? Math.min(wall.selected, size - 1) : tiles.indexOf(keep);
  return settle({ ...wall, size, tiles, selected: Math.max(0, Math.min(selected, size - 1)), spotlight: false });
}

/** Move the cameras beyond `size` to free places within it, in order. */
function compact(tiles: readonly (string | null)[], size: Size): (string | null)[] {
  const next = [...tiles];
  for (let tile = size; tile < next.length; tile += 1) {
    const free = next.indexOf(null);
    if (next[tile] === null || free < 0 || free >= size) continue;
    next[free] = next[tile] ?? null;
    next[tile] = null;
  }
  return next;
}

function padded(cameras: readonly (string | null)[]): (string | null)[] {
  return Array.from({ length: MAX_TILES }, (_, tile) => cameras[tile] ?? null);
}

/** Select a tile.  This never changes what is watched. */
export function select(wall: WallState, tile: number): WallState {
  return tile < 0 || tile >= wall.size ? wall : { ...wall, selected: tile };
}

/** Move the selection; it stops at the edges. */
export function move(wall: WallState, dx: number, dy: number): WallState {
  const columns = Math.sqrt(wall.size);
  const column = Math.min(columns - 1, Math.max(0, (wall.selected % columns) + dx));
  const row = Math.min(columns - 1, Math.max(0, Math.floor(wall.selected / columns) + dy));
  return select(wall, row * columns + column);
}

/** Show the selected tile large and the others beside it, or go back.  A wall of one tile is large already. */
export function toggleSpotlight(wall: WallState): WallState {
  return { ...wall, spotlight: wall.size > 1 && !wall.spotlight && wall.tiles[wall.selected] !== null };
}

/** Listen to a camera, and to no other.  The camera that is heard already is muted. */
export function listen(wall: WallState, camera: string | null): WallState {
  return settle({ ...wall, audible: wall.audible === camera ? null : camera });
}

/** A camera that is no longer on screen is neither heard nor shown large. */
function settle(wall: WallState): WallState {
  const shown = wall.tiles.slice(0, wall.size);
  const audible = wall.audible !== null && shown.includes(wall.audible) ? wall.audible : null;
  return { ...wall, audible, spotlight: wall.spotlight && shown[wall.selected] != null };
}

export interface Digits {
  readonly typed: string;
  readonly at: number;
}

/** Two digits typed within this time make one number, so that tile 12 can be reached. */
export const DIGITS_WITHIN_MS = 700;

/**
 * Read a digit key.  Return the tile that it names (counted from 0; null where there is no such tile) and the digits to
 * remember.
 */
export function digit(before: Digits | null, key: string, now: number, size: Size): { tile: number | null; digits: Digits } {
  const joined = before !== null && now - before.at < DIGITS_WITHIN_MS ? before.typed + key : key;
  const number = Number(joined);
  const typed = number >= 1 && number <= size ? joined : key;
  const tile = Number(typed) - 1;
  return { tile: tile >= 0 && tile < size ? tile : null, digits: { typed, at: now } };
}

export interface Place {
  readonly column: string;
  readonly row: string;
}

/**
 * Return the CSS grid lines of a tile.  In the spotlight the selected tile fills the left side, the others stand at the right.
 */
export function placeOf(wall: WallState, tile: number): Place {
  const columns = Math.sqrt(wall.size);
  if (!wall.spotlight) return { column: `${(tile % columns) + 1}`, row: `${Math.floor(tile / columns) + 1}` };
  const side = sideGrid(wall.size);
  if (tile === wall.selected) return { column: "1", row: `1 / span ${side.rows}` };
  const index = tile < wall.selected ? tile : tile - 1;
  return { column: `${2 + (index % side.columns)}`, row: `${Math.floor(index / side.columns) + 1}` };
}

/** Return the grid of the small tiles beside a large one: 3 as 1×3, 8 as 2×4, 15 as 3×5. */
export function sideGrid(size: Size): { readonly columns: number; readonly rows: number } {
  const columns = Math.sqrt(size) - 1;
  return { columns, rows: columns === 0 ? 1 : Math.ceil((size - 1) / columns) };
}

/** Return the CSS `grid-template` of the wall. */
export function gridTemplate(wall: WallState): { readonly columns: string; readonly rows: string } {
  const columns = Math.sqrt(wall.size);
  if (!wall.spotlight) return { columns: `repeat(${columns}, minmax(0, 1fr))`, rows: `repeat(${columns}, minmax(0, 1fr))` };
  const side = sideGrid(wall.size);
  return {
    columns: `minmax(0, ${side.rows}fr) repeat(${side.columns}, minmax(0, 1fr))`,
    rows: `repeat(${side.rows}, minmax(0, 1fr))`,
  };
}

/** Whether a tile is large enough for figures; small tiles show name and state only. */
export function isLarge(wall: WallState, tile: number): boolean {
  return wall.size <= 4 ? !wall.spotlight || tile === wall.selected : wall.spotlight && tile === wall.selected;
}
