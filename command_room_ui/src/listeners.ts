/** A list of functions that are called at a change.  Owns: the list.  Must never know: what changed. */

export class Listeners {
  readonly #all = new Set<() => void>();

  /** Add a listener.  Return a function that removes it. */
  add(listener: () => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  fire(): void {
    for (const listener of [...this.#all]) listener();
  }
}
