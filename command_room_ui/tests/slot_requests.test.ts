import { beforeEach, describe, expect, it } from "vitest";
import { isSettled, mayAsk, SlotRequests } from "../src/slot_requests";

const refusal = (kind: string) =>
  ({ t: "refused", worker: 0, slot: 1, camera: "a", kind, code: "store_busy", detail: "busy", facts: {} }) as const;
let requests: SlotRequests;

beforeEach(() => {
  requests = new SlotRequests();
  requests.sent(0, 1, "a", "high");
});

describe("the request for a slot", () => {
  it("is settled once it is sent, and its view is known once it is assigned", () => {
    expect(isSettled(requests.of(0, 1), 0)).toBe(true);
    expect(requests.viewOf("a")).toBeNull();
    expect(requests.assigned(0, 1, "a", "v1")).toBe(true);
    expect(requests.viewOf("a")).toBe("v1");
  });

  it("is not answered by what was assigned to the request before", () => {
    expect(requests.assigned(0, 1, "b", "v1")).toBe(false);
    expect(requests.of(0, 1).view).toBeNull();
  });

  it("may be sent again two seconds after a refusal that passes", () => {
    requests.refused(refusal("unavailable"), 1000);
    expect(isSettled(requests.of(0, 1), 2999)).toBe(true);
    expect(isSettled(requests.of(0, 1), 3000)).toBe(false);
    expect(mayAsk(requests.of(0, 1), "a", 3000)).toBe(true);
  });

  it.each(["forbidden", "incomplete", "invalid", "not_acceptable", "gone"])(
    "waits for a person after a refusal that stays: %s",
    (kind) => {
      requests.refused(refusal(kind), 1000);
      expect(requests.of(0, 1).final).toBe(true);
      expect(mayAsk(requests.of(0, 1), "a", 1e12)).toBe(false);
      requests.retry("a");
      expect(mayAsk(requests.of(0, 1), "a", 1000)).toBe(true);
    },
  );

  it("for another camera need not wait for the camera before", () => {
    requests.refused(refusal("forbidden"), 1000);
    expect(mayAsk(requests.of(0, 1), "b", 1000)).toBe(true);
  });

  it("may be sent again 300 ms after its view ended, and not because an earlier view did", () => {
    requests.assigned(0, 1, "a", "v2");
    requests.ended(0, 1, "v1", 1000);
    expect(requests.viewOf("a")).toBe("v2");
    requests.ended(0, 1, "v2", 1000);
    expect([mayAsk(requests.of(0, 1), "a", 1299), mayAsk(requests.of(0, 1), "a", 1300)]).toEqual([false, true]);
  });

  it("is sent again although it is the same, once the relay may have forgotten it", () => {
    requests.resendAll();
    expect(isSettled(requests.of(0, 1), 0)).toBe(false);
    requests.sent(0, 1, "a", "high");
    expect(isSettled(requests.of(0, 1), 0)).toBe(true);
  });

  it("is forgotten with its own viewer session only: worker 1 is not worker 10", () => {
    requests.sent(1, 0, "b", "high");
    requests.sent(10, 0, "c", "high");
    requests.forgetWorker(1);
    expect([requests.of(0, 1).camera, requests.of(1, 0).camera, requests.of(10, 0).camera]).toEqual(["a", null, "c"]);
  });
});
