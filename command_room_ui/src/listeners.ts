/** A list of people to tell.  Owns: who wants to know.  Must never know: what happened. */

export class Listeners {
  readonly #all = new Set<() => void>();

  /** Add a listener; returns how to remove it. */
  add(listener: () => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  fire(): void {
    for (const listener of [...this.#all]) listener();
  }
}
