import { expect, it } from "vitest";
import { Listeners } from "../src/listeners";

it("call each listener until it is removed, and one that removes itself does not keep another from being called", () => {
  const listeners = new Listeners();
  const called: string[] = [];
  const removeOnce = listeners.add(() => {
    called.push("once");
    removeOnce();
  });
  listeners.add(() => called.push("always"));
  listeners.fire();
  listeners.fire();
  expect(called).toEqual(["once", "always", "always"]);
});
