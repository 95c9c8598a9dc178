import { describe, expect, it } from "vitest";
import { readFacts } from "../src/problem";

describe("the facts of a refusal", () => {
  it("are the strings and numbers beside the members that every problem has (RFC 9457)", () => {
    const problem = {
      type: "urn:x",
      title: "T",
      status: 422,
      detail: "d",
      instance: "/x",
      code: "text_too_long",
      max: 80,
      field: "label",
    };
    expect(readFacts(problem)).toEqual({ max: 80, field: "label" });
  });

  it("are nothing else: a sentence is filled in with plain values only", () => {
    expect(readFacts({ list: [1], map: {}, yes: true, none: null, n: 0 })).toEqual({ n: 0 });
    for (const value of [null, "text", 7, undefined]) expect(readFacts(value)).toEqual({});
  });
});
