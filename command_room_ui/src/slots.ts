/**
 * Which slot of which worker's wall carries which tile.  A slot keeps its camera when a tile moves (nothing is asked of the
 * relay), and a tile keeps its slot when its camera changes (the decoder runs on, so a switch is fast).
 *
 * Owns: the plan of slots.  Must never know: sockets, peer connections, elements.
 */

export interface Use {
  readonly tile: number;
  readonly camera: string;
}

export type Pool = readonly (Use | null)[];
export type Pools = ReadonlyMap<number, Pool>;

export interface Wanted extends Use {
  readonly worker: number;
}

export interface Change {
  readonly worker: number;
  readonly slot: number;
  readonly camera: string | null;
}

export const SLOTS = 16;
export const EMPTY_POOL: Pool = Array.from({ length: SLOTS }, () => null);

/** Return the pools that show what is wanted, and what has to be said to the relay for it, releases first. */
export function plan(before: Pools, wanted: readonly Wanted[]): { pools: Map<number, Pool>; changes: Change[] } {
  const workers = new Set([...before.keys(), ...wanted.map((item) => item.worker)]);
  const pools = new Map<number, Pool>();
  const changes: Change[] = [];
  for (const worker of workers) {
    const pool = before.get(worker) ?? EMPTY_POOL;
    const next = fill(
      pool,
      wanted.filter((item) => item.worker === worker),
    );
    pools.set(worker, next);
    changes.push(...difference(worker, pool, next));
  }
  return { pools, changes: changes.sort((left, right) => Number(left.camera !== null) - Number(right.camera !== null)) };
}

/** Where a tile's picture comes from. */
export function find(pools: Pools, tile: number): { readonly worker: number; readonly slot: number; readonly use: Use } | null {
  for (const [worker, pool] of pools) {
    const slot = pool.findIndex((use) => use?.tile === tile);
    const use = pool[slot];
    if (use != null) return { worker, slot, use };
  }
  return null;
}

function fill(pool: Pool, wanted: readonly Use[]): (Use | null)[] {
  const next: (Use | null)[] = pool.map(() => null);
  const homeless: Use[] = [];
  for (const { tile, camera } of wanted) {
    const slot = pool.findIndex((use) => use?.camera === camera);
    if (slot >= 0) next[slot] = { tile, camera };
    else homeless.push({ tile, camera });
  }
  for (const use of homeless) {
    const own = pool.findIndex((before, slot) => before?.tile === use.tile && next[slot] === null);
    const slot = own >= 0 ? own : freeSlot(pool, next);
    if (slot >= 0) next[slot] = use;
  }
  return next;
}

/** Prefer a slot that carried nothing: its first picture can be nobody else's. */
function freeSlot(before: Pool, next: readonly (Use | null)[]): number {
  const unused = next.findIndex((use, slot) => use === null && before[slot] === null);
  return unused >= 0 ? unused : next.indexOf(null);
}

function difference(worker: number, before: Pool, next: Pool): Change[] {
  return next.flatMap((use, slot) => {
    const camera = use?.camera ?? null;
    return camera === (before[slot]?.camera ?? null) ? [] : [{ worker, slot, camera }];
  });
}
