/**
 * What a page says of a recording under way.
 *
 * Owns: which words.  Must never know: elements, the socket.
 */

import type { Key } from "./i18n";
import type { Camera } from "./model";

/** Return the words for the state of a camera's recording: where one track is not recorded, which. */
export function recordingWords({ rec, unrecorded }: Camera): Key {
  const [only, ...others] = unrecorded;
  return rec === "unrecorded" && only !== undefined && others.length === 0 ? `rec.unrecorded.${only}` : `rec.${rec}`;
}
