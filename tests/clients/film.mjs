// Reads a film (film.py says how it is stored) and plays it in its own time.
import { readFileSync } from "node:fs";

// Calls send(kind, data, seconds) for each picture and sound until the film or `ended` comes; returns how many were sent.
export async function play(path, send, ended) {
  let running = true;
  ended.then(() => (running = false));
  const film = readFileSync(path);
  const start = performance.now();
  const sent = { video: 0, audio: 0 };
  for (let at = 0; at < film.length && running; ) {
    const kind = film[at] ? "audio" : "video";
    const [ms, length] = [film.readUInt32BE(at + 1), film.readUInt32BE(at + 5)];
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, start + ms - performance.now())));
    send(kind, film.subarray(at + 9, at + 9 + length), ms / 1000);
    sent[kind]++;
    at += 9 + length;
  }
  return sent;
}
