/** Things that several tests need. */

import { type Camera, readCamera } from "../src/model";

/** A camera on air, as the relay would tell it, but for what is given. */
export function camera(name: string, given: Readonly<Record<string, unknown>> = {}): Camera {
  return readCamera({
    camera: name,
    label: `Unit ${name}`,
    state: "live",
    worker: 0,
    live_audio: true,
    rec: "recording",
    online: true,
    ...given,
  });
}
