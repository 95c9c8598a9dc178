/**
 * Which slot of which worker's viewer session carries which tile.  A slot keeps its camera when a tile moves, so that nothing
 * is asked of the relay.  A tile keeps its slot when its camera changes, so that the decoder runs on and the switch is fast.
 *
 * Owns: the plan of slots.  Must never know: sockets, peer connections, elements.
 */

export interface Placement {
  readonly tile: number;
  readonly camera: string;
}

export type Pool = readonly (Placement | null)[];
export type Pools = ReadonlyMap<number, Pool>;

export interface Wanted extends Placement {
  readonly worker: number;
}

export interface Change {
  readonly worker: number;
  readonly slot: number;
  readonly camera: string | null;
}

export const SLOTS = 16;
export const EMPTY_POOL: Pool = Array.from({ length: SLOTS }, () => null);

/** Return the pools that show what is wanted, and the changes that the relay has to make for it, releases first. */
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

/** Return the slot that carries a tile; null where none does. */
export function find(
  pools: Pools,
  tile: number,
): { readonly worker: number; readonly slot: number; readonly placement: Placement } | null {
  for (const [worker, pool] of pools) {
    const slot = pool.findIndex((placement) => placement?.tile === tile);
    const placement = pool[slot];
    if (placement != null) return { worker, slot, placement };
  }
  return null;
}

function fill(pool: Pool, wanted: readonly Placement[]): (Placement | null)[] {
  const next: (Placement | null)[] = pool.map(() => null);
  const unplaced: Placement[] = [];
  for (const { tile, camera } of wanted) {
    const slot = pool.findIndex((placement) => placement?.camera === camera);
    if (slot >= 0) next[slot] = { tile, camera };
    else unplaced.push({ tile, camera });
  }
  for (const placement of unplaced) {
    const own = pool.findIndex((before, slot) => before?.tile === placement.tile && next[slot] === null);
    const slot = own >= 0 ? own : freeSlot(pool, next);
    if (slot >= 0) next[slot] = placement;
  }
  return next;
}

/** Prefer a slot that carried nothing: its first picture cannot be another camera's. */
function freeSlot(before: Pool, next: readonly (Placement | null)[]): number {
  const unused = next.findIndex((placement, slot) => placement === null && before[slot] === null);
  return unused >= 0 ? unused : next.indexOf(null);
}

function difference(worker: number, before: Pool, next: Pool): Change[] {
  return next.flatMap((placement, slot) => {
    const camera = placement?.camera ?? null;
    return camera === (before[slot]?.camera ?? null) ? [] : [{ worker, slot, camera }];
  });
}
