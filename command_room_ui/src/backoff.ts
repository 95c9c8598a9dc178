/**
 * The wait before the next attempt (exponential back-off).
 *
 * Owns: the arithmetic.  Must never know: what is attempted.
 */

export class Backoff {
  #failures = 0;

  constructor(
    private readonly firstMs = 250,
    private readonly maxMs = 4000,
    private readonly random: () => number = Math.random,
  ) {}

  /**
   * Return the milliseconds to wait now: doubled each time, at most `maxMs`, shortened at random by up to a third so that pages
   * do not retry in step.
   */
  next(): number {
    const full = Math.min(this.maxMs, this.firstMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    return full * (1 - this.random() / 3);
  }

  /** An attempt succeeded. */
  reset(): void {
    this.#failures = 0;
  }
}
