import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Api } from "../src/api";

const SESSION = {
  user: "u",
  name: "U",
  role: "commander",
  csrf: "secret",
  expires_at: "2026-11-22T23:00:00Z",
  must_change: true,
};
const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });

let calls: { route: string; init: RequestInit }[] = [];
let answers: (Response | Error)[] = [];
let api: Api;

beforeEach(() => {
  calls = [];
  answers = [];
  api = new Api();
  vi.stubGlobal("fetch", (route: string, init: RequestInit) => {
    calls.push({ route, init });
    const next = answers.shift() ?? new Error("no answer");
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

const header = (at: number, name: string): string | undefined =>
  (calls[at]?.init.headers as Record<string, string> | undefined)?.[name];

describe("a transmission that goes on", () => {
  it("is confirmed with its motive", async () => {
    answers = [new Response(null, { status: 204 })];
    expect(await api.confirmStream("pm 7", "individu retranché")).toEqual({ kind: "ok", value: null });
    expect(calls[0]?.route).toBe("/api/cameras/pm%207/confirm");
    expect(calls[0]?.init).toMatchObject({ method: "POST", body: JSON.stringify({ motive: "individu retranché" }) });
  });
});

describe("answers", () => {
  it("are values that were read", async () => {
    answers = [json(SESSION)];
    expect(await api.session()).toEqual({
      kind: "ok",
      value: {
        user: "u",
        name: "U",
        role: "commander",
        csrf: "secret",
        expiresAt: Date.UTC(2026, 10, 22, 23),
        mustChange: true,
      },
    });
  });

  it("carry a refusal with its code, sentence, facts and the seconds to wait", async () => {
    const problem = {
      type: "urn:bodycam-relay:problem:text_too_long",
      title: "Too Many Requests",
      status: 429,
      max: 80,
      odd: {},
    };
    answers = [json({ ...problem, code: "text_too_long", detail: "slow down" }, 429, { "Retry-After": "7" })];
    expect(await api.signIn("u", "p")).toEqual({
      kind: "refused",
      status: 429,
      code: "text_too_long",
      detail: "slow down",
      facts: { max: 80 },
      retryAfter: 7,
    });
  });

  it("carry a refusal that is no JSON", async () => {
    answers = [new Response("<html>", { status: 502, statusText: "Bad Gateway" })];
    expect(await api.users()).toMatchObject({
      kind: "refused",
      status: 502,
      code: "unknown",
      detail: "Bad Gateway",
      facts: {},
    });
  });

  it("are `unreachable` where the relay does not answer", async () => {
    answers = [new TypeError("Failed to fetch")];
    expect(await api.users()).toEqual({ kind: "unreachable" });
  });

  it("are `garbled` where they cannot be read: a wrong type, or no JSON", async () => {
    answers = [json({ user: 7 }), new Response("{", { headers: { "Content-Type": "application/json" } })];
    expect((await api.session()).kind).toBe("garbled");
    expect((await api.session()).kind).toBe("garbled");
  });

  it("are nothing for 204", async () => {
    answers = [new Response(null, { status: 204 })];
    expect(await api.signOut()).toEqual({ kind: "ok", value: null });
  });
});

describe("requests", () => {
  it("carry the CSRF value of the session where they change something, and only there", async () => {
    answers = [
      json(SESSION),
      json([]),
      json({ intervention: "i", label: "l", opened_by: "u", opened_at: null, motive: "m" }, 201),
    ];
    await api.signIn("u", "p");
    await api.cameras();
    const opened = await api.openIntervention("l", "m");
    expect(header(1, "X-CSRF")).toBeUndefined();
    expect(header(2, "X-CSRF")).toBe("secret");
    expect(opened).toMatchObject({ kind: "ok", value: { id: "i", motive: "m" } });
  });

  it("escape what goes into an address", async () => {
    answers = [new Response(null, { status: 204 }), json({ recordings: [] })];
    await api.revokeCamera("a/../b");
    await api.recordings({ camera: "x&y", state: "" });
    expect(calls[0]?.route).toBe("/api/cameras/a%2F..%2Fb");
    expect(calls[1]?.route).toBe("/api/recordings?camera=x%26y");
  });

  it("name the recording to hold it and the hold to lift it, each with a motive or a procedure", async () => {
    const told = { hold: "h/1", recording: "r", procedure_no: "PV 12" };
    answers = [
      json({ holds: [told], procedures: ["PV 12"] }),
      json(told, 201),
      json(told),
      json({ ...told, lifted_by: "carl" }),
    ];
    expect(await api.holdsOf("r")).toMatchObject({ kind: "ok", value: { procedures: ["PV 12"] } });
    const asked = { procedure_type: "judiciaire", procedure_no: "PV 12", authority: "a", requested_by: "b" };
    await api.openHold("r", asked);
    await api.reviewHold("h/1", "m");
    expect(await api.liftHold("h/1", "m")).toMatchObject({ kind: "ok", value: { liftedBy: "carl" } });
    expect(calls.map(({ route }) => route)).toEqual([
      "/api/recordings/r/holds",
      "/api/recordings/r/holds",
      "/api/holds/h%2F1/review",
      "/api/holds/h%2F1/lift",
    ]);
    expect(calls.slice(1).map(({ init }) => JSON.parse(String(init.body)))).toEqual([asked, { motive: "m" }, { motive: "m" }]);
  });

  it("send nanoseconds as whole numbers", async () => {
    answers = [json({ export: "e", state: "ready" }, 201)];
    const from = Date.UTC(2026, 10, 22) * 1e6;
    await api.startExport("r", {
      from,
      to: from,
      motive: "",
      legal_basis: "",
      requesting_agent: "",
      requesting_service: "",
      procedure_no: "",
    });
    expect(String(calls[0]?.init.body)).toContain('"from":1795305600000000000,"to":1795305600000000000,');
  });
});

describe("the end of a sign-in", () => {
  it("is reported once the relay answers 401, but not for a wrong old password", async () => {
    let ended = 0;
    api.onSignedOut = () => {
      ended += 1;
    };
    answers = [
      json({ code: "wrong_old_password", detail: "the old password is wrong" }, 401),
      json({ code: "sign_in_required", detail: "" }, 401),
    ];
    await api.changePassword("a", "b");
    expect(ended).toBe(0);
    await api.cameras();
    expect(ended).toBe(1);
  });
});

describe("a viewer session", () => {
  it("is named by the last part of its Location", async () => {
    answers = [new Response("v=0", { status: 201, headers: { Location: "/wall/abc.def" } })];
    expect(await api.openViewerSession(1, "offer")).toEqual({
      kind: "ok",
      value: { sdp: "v=0", location: "/wall/abc.def", secret: "abc.def" },
    });
    expect(calls[0]).toMatchObject({ route: "/wall?worker=1", init: { method: "POST", body: "offer" } });
  });

  it("without a Location is none", async () => {
    answers = [new Response("v=0", { status: 201 })];
    expect((await api.openViewerSession(0, "offer")).kind).toBe("garbled");
  });
});

describe("resources", () => {
  it("read a recording with its segments and gaps", async () => {
    const row = {
      recording: "r",
      camera: "c",
      camera_label: "C",
      state: "closed",
      duration_s: 1.5,
      started_at: "2026-11-22T00:00:00Z",
      gaps: 1,
      stored_bytes: 9,
    };
    const detail = {
      ...row,
      segments: [{ segment: 4, start_at: "2026-11-22T00:00:01Z" }],
      gap_list: [{ start_at: null, seconds: 2, cause: "lost" }],
      held: true,
    };
    answers = [json(detail)];
    const answer = await api.recording("r");
    expect(answer).toMatchObject({
      kind: "ok",
      value: { id: "r", durationMs: 1500, held: true, gaps: 1, gapList: [{ seconds: 2, cause: "lost" }] },
    });
    if (answer.kind === "ok")
      expect(answer.value.segments).toEqual([{ segment: 4, startAt: Date.UTC(2026, 10, 22, 0, 0, 1), endAt: null }]);
  });

  it("read the journal, purged entries included", async () => {
    const body = {
      operation: "consultation",
      author: "u",
      role: "commander",
      motive: "m",
      object_type: "camera",
      object_id: "c",
      recipients: [],
      result: "ok",
      details: { view: "v", gone: null },
    };
    answers = [
      json({
        size: 9,
        leaves: [
          { leaf: 7, at: "2026-11-22T00:00:00Z", body, leaf_hash: "aa" },
          { leaf: 8, at: null, body: null, leaf_hash: "bb" },
        ],
      }),
    ];
    const answer = await api.journal(6, 2);
    expect(answer).toMatchObject({
      kind: "ok",
      value: {
        size: 9,
        leaves: [
          { leaf: 7, body: { motive: "m", details: { view: "v" } } },
          { leaf: 8, body: null, hash: "bb" },
        ],
      },
    });
  });

  it("read cameras in both shapes: live states and enrolments", async () => {
    answers = [
      json({
        cameras: [
          { camera: "a", state: "live", worker: 2, uplink_ms: 8 },
          { camera: "b", label: "B", revoked_at: "2026-11-22T00:00:00Z" },
        ],
      }),
    ];
    expect(await api.cameras()).toMatchObject({
      kind: "ok",
      value: [
        { camera: "a", label: "a", worker: 2, uplinkMs: 8, revoked: false },
        { state: "offline", revoked: true },
      ],
    });
  });
});
