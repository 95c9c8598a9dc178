import { afterEach, beforeEach, describe, expect, it } from "vitest";
import "../src/elements/request_dialog";
import type { RequestDialog, StreamRequest } from "../src/elements/request_dialog";
import { setLanguage } from "../src/i18n";
import { camera, emitted, mount, part, settle, submit, text } from "./support";

const UNIT = camera("a", { label: "Patrouille 7" });
let element: RequestDialog;
let requests: StreamRequest[];

beforeEach(async () => {
  setLanguage("fr");
  element = await mount<RequestDialog>("request-dialog", {});
  requests = emitted<StreamRequest>(element, "stream-request");
});

afterEach(() => document.body.replaceChildren());

describe("asking a camera for a live transmission", () => {
  it("names the camera and offers the threats that the law knows", async () => {
    await element.open(UNIT);
    expect(part<HTMLDialogElement>(element, "dialog").open).toBe(true);
    expect(text(element)).toContain("Demander la transmission en temps réel de Patrouille 7");
    const options = [...(element.shadowRoot?.querySelectorAll("option") ?? [])];
    expect(options.map((option) => option.value)).toEqual(["agents", "biens", "personnes"]);
  });

  it("reports camera, threat and details, and closes", async () => {
    await element.open(UNIT);
    await submit(element, "form", { threat: "personnes", reason: " individu armé " });
    expect(requests).toEqual([{ camera: UNIT, threat: "personnes", reason: "individu armé" }]);
    expect(part<HTMLDialogElement>(element, "dialog").open).toBe(false);
  });

  it("reports nothing when it is cancelled", async () => {
    await element.open(UNIT);
    part<HTMLButtonElement>(element, 'button[type="button"]').click();
    await settle(element);
    expect(part<HTMLDialogElement>(element, "dialog").open).toBe(false);
    expect(requests).toEqual([]);
  });
});
