/**
 * The keys of every text that the page shows.
 *
 * Owns: which keys there are; the French catalogue has them all, and each other language must have the same.  Must never know:
 * which language is in use.
 */

import type { fr } from "./fr";

export type Key = keyof typeof fr;
export type Catalogue = Readonly<Record<Key, string>>;
