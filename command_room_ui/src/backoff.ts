/**
 * How long to wait before trying again.
 *
 * Owns: the arithmetic.  Must never know: what is tried.
 */

export class Backoff {
  #failures = 0;

  constructor(
    private readonly firstMs = 250,
    private readonly maxMs = 4000,
    private readonly random: () => number = Math.random,
  ) {}

  /** Milliseconds to wait now: doubling, at most `maxMs`, shortened by up to a third so that pages do not come in step. */
  next(): number {
    const full = Math.min(this.maxMs, this.firstMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    return full * (1 - this.random() / 3);
  }

  /** It worked. */
  reset(): void {
    this.#failures = 0;
  }
}
