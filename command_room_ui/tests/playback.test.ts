import { describe, expect, it } from "vitest";
import { firstPart, gather, readPlaylist, tracksOf, writePlaylist } from "../src/parts";
import { pictureTime } from "../src/picture_time";

const PLAYLIST = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:61
#EXT-X-MAP:URI="0.init.mp4"
#EXTINF:0.300,
0.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="1.init.mp4"
#EXTINF:60.000,
1.m4s
#EXTINF:12.500,
3.m4s
#EXT-X-ENDLIST
`;
const BASE = "http://relay/api/views/v/index.m3u8";
const at = (name: string): string => `http://relay/api/views/v/${name}`;

/** An init segment's handler boxes, as far as they matter. */
function init(...handlers: string[]): Uint8Array {
  const box = (handler: string): string => `\0\0\0!hdlr\0\0\0\0\0\0\0\0${handler}`;
  return new TextEncoder().encode(`....moov${handlers.map(box).join("....")}`);
}

describe("parts of a recording", () => {
  const pieces = readPlaylist(PLAYLIST, BASE);

  it("are read from the relay's playlist with absolute addresses and segment numbers", () => {
    expect(pieces).toEqual([
      { segment: 0, uri: at("0.m4s"), map: at("0.init.mp4"), seconds: 0.3 },
      { segment: 1, uri: at("1.m4s"), map: at("1.init.mp4"), seconds: 60 },
      { segment: 3, uri: at("3.m4s"), map: at("1.init.mp4"), seconds: 12.5 },
    ]);
  });

  it("gather neighbours with the same tracks, and playing begins with a picture", () => {
    const parts = gather(
      pieces,
      new Map([
        [at("0.init.mp4"), tracksOf(init("soun"))],
        [at("1.init.mp4"), tracksOf(init("soun", "vide"))],
      ]),
    );
    expect(parts.map((part) => [part.tracks, part.pieces.length, part.seconds])).toEqual([
      ["sound", 1, 0.3],
      ["picture", 2, 72.5],
    ]);
    expect(firstPart(parts)).toBe(1);
    expect(firstPart(parts.slice(0, 1))).toBe(0);
  });

  it("stay together across a change of resolution", () => {
    const both = tracksOf(init("vide", "soun"));
    expect(
      gather(
        pieces,
        new Map([
          [at("0.init.mp4"), both],
          [at("1.init.mp4"), both],
        ]),
      ),
    ).toHaveLength(1);
  });

  it("come back as they were written", () => {
    const [part] = gather(pieces, new Map());
    const again = part === undefined ? [] : readPlaylist(writePlaylist(part), "http://elsewhere/");
    expect(again.map(({ uri, map, seconds }) => ({ uri, map, seconds }))).toEqual(
      pieces.map(({ uri, map, seconds }) => ({ uri, map, seconds })),
    );
    expect(part && writePlaylist(part).match(/DISCONTINUITY/g)).toHaveLength(1);
  });
});

describe("the time of a picture", () => {
  const spans = [
    { segment: 1, start: 0 },
    { segment: 3, start: 60 },
  ];
  const segments = [
    { segment: 0, startAt: 0, endAt: null },
    { segment: 1, startAt: 100_000, endAt: null },
    { segment: 3, startAt: 300_000, endAt: null },
  ];

  it("counts from the start of its own segment, across the gap of a missing one", () => {
    expect(pictureTime(12.5, spans, segments)).toBe(112_500);
    expect(pictureTime(60, spans, segments)).toBe(300_000);
    expect(pictureTime(61.25, spans, segments)).toBe(301_250);
  });

  it("is not guessed", () => {
    expect(pictureTime(1, [], segments)).toBeNull();
    expect(pictureTime(1, [{ segment: 9, start: 0 }], segments)).toBeNull();
  });
});
