import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Answer, Api } from "../src/api";
import "../src/elements/confirm_dialog";
import type { ConfirmDialog } from "../src/elements/confirm_dialog";
import { setLanguage } from "../src/i18n";
import { camera } from "./support";

let dialog: ConfirmDialog;
let asked: [string, string][];
let answer: Answer<null>;
let confirmed: string[];

const part = <T extends Element>(selector: string): T => dialog.shadowRoot?.querySelector<T>(selector) as T;

async function submit(motive: string): Promise<void> {
  part<HTMLInputElement>("input[name=motive]").value = motive;
  part<HTMLFormElement>("form").dispatchEvent(new SubmitEvent("submit", { cancelable: true }));
  await Promise.resolve();
  await dialog.updateComplete;
  await dialog.updateComplete;
}

beforeEach(async () => {
  setLanguage("fr");
  [asked, confirmed, answer] = [[], [], { kind: "ok", value: null }];
  dialog = document.createElement("confirm-dialog") as ConfirmDialog;
  const api: Pick<Api, "confirmStream"> = {
    confirmStream: (name, motive) => {
      asked.push([name, motive]);
      return Promise.resolve(answer);
    },
  };
  dialog.api = api;
  dialog.addEventListener("stream-confirmed", (event) => confirmed.push((event as CustomEvent<string>).detail));
  document.body.append(dialog);
  await dialog.open(camera("a", { label: "Patrouille 7" }));
});

afterEach(() => {
  dialog.remove();
});

describe("confirming a transmission", () => {
  it("asks for a motive by name of the camera", () => {
    expect(part<HTMLDialogElement>("dialog").open).toBe(true);
    expect(dialog.shadowRoot?.textContent).toContain("Patrouille 7");
    const field = part<HTMLInputElement>("input[name=motive]");
    expect(field.required).toBe(true);
    expect(field.minLength).toBe(3);
  });

  it("sends it to the relay, closes, and reports it", async () => {
    await submit("individu retranché");
    expect(asked).toEqual([["a", "individu retranché"]]);
    expect(part<HTMLDialogElement>("dialog").open).toBe(false);
    expect(confirmed).toEqual(["Patrouille 7"]);
  });

  it("shows a refusal and stays, so that the motive can be mended", async () => {
    answer = {
      kind: "refused",
      status: 422,
      code: "motive_too_vague",
      detail: "the motive must say why (JRN-02)",
      facts: { rule: "JRN-02" },
      retryAfter: null,
    };
    await submit("xxx");
    expect(part<HTMLDialogElement>("dialog").open).toBe(true);
    expect(part("[role=alert]").textContent).toContain("le motif doit dire pourquoi (JRN-02)");
    expect(part<HTMLInputElement>("input[name=motive]").value).toBe("xxx");
    expect(confirmed).toEqual([]);
    answer = { kind: "unreachable" };
    await submit("encore");
    expect(part("[role=alert]").textContent).toContain("Le relais ne répond pas.");
  });

  it("begins afresh for the next camera", async () => {
    answer = { kind: "unreachable" };
    await submit("encore");
    await dialog.open(camera("b"));
    expect(part("[role=alert]")).toBeNull();
    expect(part<HTMLInputElement>("input[name=motive]").value).toBe("");
  });
});
