import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Answer } from "../src/api";
import { CurrentIntervention } from "../src/current_intervention";
import type { Intervention } from "../src/model";
import { intervention, ok, refused } from "./support";

let open: Answer<Intervention[]>;
let closed: string[];
let closing: Answer<null>;
let current: CurrentIntervention;

function fresh(): CurrentIntervention {
  return new CurrentIntervention({
    interventions: async () => open,
    closeIntervention: async (id) => {
      closed.push(id);
      return closing;
    },
  });
}

beforeEach(() => {
  [open, closed, closing] = [ok([intervention("i1")]), [], ok(null)];
  current = fresh();
});

afterEach(() => sessionStorage.clear());

describe("an intervention that was joined", () => {
  it("goes on after a reload of the page", async () => {
    current.enter(intervention("i1"));
    const reloaded = fresh();
    await reloaded.resume();
    expect(reloaded.value?.id).toBe("i1");
  });

  it.each([
    ["it was closed meanwhile", ok<Intervention[]>([])],
    ["the person has no motive in it", ok([intervention("i1", { motive: null })])],
    ["the relay does not answer", { kind: "unreachable" } as const],
  ])("does not go on after a reload where %s", async (_why, answer) => {
    current.enter(intervention("i1"));
    open = answer;
    const reloaded = fresh();
    await reloaded.resume();
    expect(reloaded.value).toBeNull();
  });

  it("does not go on after it was left", async () => {
    current.enter(intervention("i1"));
    current.leave();
    const reloaded = fresh();
    await reloaded.resume();
    expect([reloaded.value, current.closed]).toEqual([null, false]);
  });

  it("is over once another person has closed it, and is then marked as closed", async () => {
    current.enter(intervention("i1"));
    open = ok([intervention("other")]);
    await current.check();
    expect([current.value, current.closed]).toEqual([null, true]);
    current.enter(intervention("other"));
    expect(current.closed).toBe(false);
  });

  it("stays while the relay cannot be asked", async () => {
    current.enter(intervention("i1"));
    open = { kind: "unreachable" };
    await current.check();
    expect(current.value?.id).toBe("i1");
  });
});

describe("closing it", () => {
  it("ends it for everybody", async () => {
    current.enter(intervention("i1"));
    expect(await current.close()).toEqual(ok(null));
    expect([closed, current.value, current.closed]).toEqual([["i1"], null, true]);
  });

  it("changes nothing where the relay refuses", async () => {
    current.enter(intervention("i1"));
    closing = refused(403, "role_not_allowed");
    expect(await current.close()).toBe(closing);
    expect(current.value?.id).toBe("i1");
  });

  it("asks nothing where there is none", async () => {
    expect(await current.close()).toBeNull();
    expect(closed).toEqual([]);
  });
});

it("reports each change", () => {
  const values: (string | null)[] = [];
  current.changed.add(() => values.push(current.value?.id ?? null));
  current.enter(intervention("i1"));
  current.leave();
  expect(values).toEqual(["i1", null]);
});
