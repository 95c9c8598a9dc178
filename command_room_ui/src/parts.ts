/**
 * The parts of a recording that a player can play without a break.  A camera that sent only sound at first, or whose picture
 * stopped, leaves pieces with fewer tracks than the rest, and a browser cannot change the number of its buffers while it plays.
 *
 * Owns: reading the relay's playlist, gathering its pieces to parts, writing a playlist for each part.  Must never know: the
 * player.
 */

export interface Piece {
  /** Number of the segment in the vault. */
  readonly segment: number;
  readonly uri: string;
  readonly map: string;
  readonly seconds: number;
}

export type Tracks = "picture" | "sound";

export interface Part {
  readonly tracks: Tracks;
  readonly pieces: readonly Piece[];
  readonly seconds: number;
}

/** Read an HLS media playlist as the relay writes it (RFC 8216 §4.3); addresses become absolute. */
export function readPlaylist(text: string, base: string): Piece[] {
  const pieces: Piece[] = [];
  let map = "";
  let seconds = 0;
  for (const line of text.split(/\r?\n/)) {
    const uri = /^#EXT-X-MAP:.*URI="([^"]+)"/.exec(line)?.[1];
    if (uri !== undefined) map = new URL(uri, base).href;
    const length = /^#EXTINF:([\d.]+)/.exec(line)?.[1];
    if (length !== undefined) seconds = Number(length);
    if (line === "" || line.startsWith("#") || map === "") continue;
    const segment = Number.parseInt(line, 10);
    pieces.push({ segment: Number.isNaN(segment) ? pieces.length : segment, uri: new URL(line, base).href, map, seconds });
  }
  return pieces;
}

/** Return which tracks an init segment declares: a picture has a `hdlr` box of type `vide` (ISO/IEC 14496-12 §8.4.3). */
export function tracksOf(init: Uint8Array): Tracks {
  const letters = new TextDecoder("latin1").decode(init);
  for (let at = letters.indexOf("hdlr"); at >= 0; at = letters.indexOf("hdlr", at + 4)) {
    if (letters.slice(at + 12, at + 16) === "vide") return "picture";
  }
  return "sound";
}

/** Gather neighbouring pieces with the same tracks to parts. */
export function gather(pieces: readonly Piece[], tracks: ReadonlyMap<string, Tracks>): Part[] {
  const parts: { tracks: Tracks; pieces: Piece[]; seconds: number }[] = [];
  for (const piece of pieces) {
    const kind = tracks.get(piece.map) ?? "picture";
    const last = parts.at(-1);
    if (last?.tracks === kind) {
      last.pieces.push(piece);
      last.seconds += piece.seconds;
    } else {
      parts.push({ tracks: kind, pieces: [piece], seconds: piece.seconds });
    }
  }
  return parts;
}

/** Write the playlist of one part. */
export function writePlaylist(part: Part): string {
  const longest = Math.max(1, ...part.pieces.map((piece) => piece.seconds));
  const lines = ["#EXTM3U", "#EXT-X-VERSION:7", `#EXT-X-TARGETDURATION:${Math.ceil(longest)}`, "#EXT-X-PLAYLIST-TYPE:VOD"];
  let map = "";
  for (const piece of part.pieces) {
    if (piece.map !== map) lines.push(...(map === "" ? [] : ["#EXT-X-DISCONTINUITY"]), `#EXT-X-MAP:URI="${piece.map}"`);
    map = piece.map;
    lines.push(`#EXTINF:${piece.seconds.toFixed(3)},`, piece.uri);
  }
  return [...lines, "#EXT-X-ENDLIST", ""].join("\n");
}

/** Return the part to begin with: the first with a picture, else the first. */
export function firstPart(parts: readonly Part[]): number {
  return Math.max(
    0,
    parts.findIndex((part) => part.tracks === "picture"),
  );
}
