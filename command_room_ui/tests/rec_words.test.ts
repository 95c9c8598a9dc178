import { describe, expect, it } from "vitest";
import { recordingWords } from "../src/rec_words";
import { camera } from "./support";

describe("the words for a recording under way", () => {
  it("name the track that is not recorded, where it is one", () => {
    expect(recordingWords(camera("a"))).toBe("rec.recording");
    expect(recordingWords(camera("a", { rec: "unrecorded", unrecorded: ["video"] }))).toBe("rec.unrecorded.video");
    expect(recordingWords(camera("a", { rec: "unrecorded", unrecorded: ["audio"] }))).toBe("rec.unrecorded.audio");
    expect(recordingWords(camera("a", { rec: "unrecorded", unrecorded: ["video", "audio"] }))).toBe("rec.unrecorded");
    expect(recordingWords(camera("a", { rec: "unrecorded" }))).toBe("rec.unrecorded");
  });
});
