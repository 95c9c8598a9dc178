/**
 * Every HTTP call of the page.  No call throws: each returns one of four answers, and the caller must look at its kind.
 *
 * Owns: addresses, the CSRF header, the kinds of failure.  Must never know: elements, the wall, the live socket.
 */

import { DecodeError, fields, list, numberOr, text, textOr } from "./decode";
import type * as http from "./generated/http";
import { type Hold, type HoldRequest, type RecordingHolds, readHold, readRecordingHolds } from "./holds";
import {
  type Camera,
  type Intervention,
  type JournalEntry,
  type Person,
  type Recording,
  readCamera,
  readIntervention,
  readJournalEntry,
  readPerson,
  readRecording,
  readSignInSession,
  type SignInSession,
} from "./model";
import { type Problem, readFacts } from "./problem";
import { readVerdict, type Verdict } from "./verdict";

/** The relay refused (RFC 9457); `retryAfter` in seconds. */
export interface Refused extends Problem {
  readonly kind: "refused";
  readonly status: number;
  readonly retryAfter: number | null;
}

export type Answer<T> =
  | { readonly kind: "ok"; readonly value: T }
  | Refused
  | { readonly kind: "unreachable" }
  | { readonly kind: "garbled"; readonly detail: string };

export type Failure = Exclude<Answer<never>, { kind: "ok" }>;

export interface ViewerSessionAnswer {
  readonly sdp: string;
  readonly location: string;
  readonly secret: string;
}

export interface Playback {
  readonly view: string;
  readonly playlist: string;
}

/** `from` and `to` in UTC nanoseconds: a JavaScript number is exact to 256 ns here, which is less than a frame. */
export type ExportRequest = http.ExportAsk;

export interface ExportState {
  readonly id: string;
  readonly state: string;
  readonly progress: number | null;
  readonly detail: string;
}

export interface JournalPage {
  readonly size: number;
  readonly leaves: readonly JournalEntry[];
}

type Body = Readonly<Record<string, unknown>>;

/**
 * A part of an address that the caller chooses.  To the compiler it is `{}`, so that an address can be compared with the
 * relay's.
 */
type Part = "{}";
const path = (part: string): Part => encodeURIComponent(part) as Part;

type Method = "GET" | "POST" | "PATCH" | "DELETE";
type WithParts<P extends string> = P extends `${infer Before}{${string}}${infer After}`
  ? `${Before}${Part}${WithParts<After>}`
  : P;

/** The relay's own addresses for a method: one that it does not serve fails the compiler. */
type Route<M extends Method> = {
  [P in keyof http.paths & string]: [NonNullable<http.paths[P][Lowercase<M>]>] extends [never]
    ? never
    : WithParts<P> | `${WithParts<P>}?${string}`;
}[keyof http.paths & string];

export class Api {
  #csrf = "";
  /** Called when the relay answers that nobody is signed in any more. */
  onSignedOut: () => void = () => {};

  constructor(private readonly base = "") {}

  async signIn(user: string, password: string): Promise<Answer<SignInSession>> {
    return this.#keepCsrf(
      await this.#call("POST", "/api/session", readSignInSession, { user, password } satisfies http.SignIn),
    );
  }

  async session(): Promise<Answer<SignInSession>> {
    return this.#keepCsrf(await this.#call("GET", "/api/session", readSignInSession));
  }

  signOut(): Promise<Answer<null>> {
    return this.#call("DELETE", "/api/session", nothing);
  }

  changePassword(old: string, fresh: string): Promise<Answer<null>> {
    return this.#call("POST", "/api/session/password", nothing, { old, new: fresh } satisfies http.PasswordChange);
  }

  interventions(): Promise<Answer<Intervention[]>> {
    return this.#call("GET", "/api/interventions", (value) =>
      list(fields<http.InterventionList>(value), "interventions", readIntervention),
    );
  }

  openIntervention(label: string, motive: string): Promise<Answer<Intervention>> {
    return this.#call("POST", "/api/interventions", readIntervention, { label, motive } satisfies http.InterventionOpen);
  }

  joinIntervention(id: string, motive: string): Promise<Answer<Intervention>> {
    return this.#call("POST", `/api/interventions/${path(id)}/join`, readIntervention, { motive } satisfies http.Motive);
  }

  closeIntervention(id: string): Promise<Answer<null>> {
    return this.#call("POST", `/api/interventions/${path(id)}/close`, nothing, {});
  }

  cameras(): Promise<Answer<Camera[]>> {
    return this.#call("GET", "/api/cameras", (value) => list(fields<http.CameraList>(value), "cameras", readCamera));
  }

  requestStream(camera: string, intervention: string, threat: string, reason: string): Promise<Answer<null>> {
    const body: http.StreamRequest = { intervention, threat, reason };
    return this.#call("POST", `/api/cameras/${path(camera)}/request`, nothing, body);
  }

  /** Confirm that the threat lasts: the transmission goes on past its end. */
  confirmStream(camera: string, motive: string): Promise<Answer<null>> {
    return this.#call("POST", `/api/cameras/${path(camera)}/confirm`, nothing, { motive } satisfies http.Confirm);
  }

  enrolCamera(body: http.CameraEnrol): Promise<Answer<string>> {
    return this.#call("POST", "/api/cameras", (value) => textOr(fields<http.Token>(value), "token", ""), body);
  }

  changeCamera(camera: string, body: http.CameraChange): Promise<Answer<null>> {
    return this.#call("PATCH", `/api/cameras/${path(camera)}`, nothing, body);
  }

  revokeCamera(camera: string): Promise<Answer<null>> {
    return this.#call("DELETE", `/api/cameras/${path(camera)}`, nothing);
  }

  users(): Promise<Answer<Person[]>> {
    return this.#call("GET", "/api/users", (value) => list(fields<http.UserList>(value), "users", readPerson));
  }

  addUser(body: http.UserAdd): Promise<Answer<string>> {
    return this.#call("POST", "/api/users", (value) => textOr(fields<http.UserOut>(value), "password", ""), body);
  }

  changeUser(user: string, body: http.UserChange): Promise<Answer<string>> {
    const password = (value: unknown): string => textOr(fields<http.UserOut>(value ?? {}), "password", "");
    return this.#call("PATCH", `/api/users/${path(user)}`, password, body);
  }

  removeUser(user: string): Promise<Answer<null>> {
    return this.#call("DELETE", `/api/users/${path(user)}`, nothing);
  }

  signOutUser(user: string): Promise<Answer<null>> {
    return this.#call("POST", `/api/users/${path(user)}/sign-out`, nothing, {});
  }

  recordings(query: Readonly<Record<string, string>>): Promise<Answer<Recording[]>> {
    const wanted = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
    return this.#call("GET", `/api/recordings?${wanted}`, (value) =>
      list(fields<http.RecordingList>(value), "recordings", readRecording),
    );
  }

  recording(id: string): Promise<Answer<Recording>> {
    return this.#call("GET", `/api/recordings/${path(id)}`, readRecording);
  }

  openPlayback(id: string, motive: string, intervention: string | null): Promise<Answer<Playback>> {
    const body: http.ViewOpen = intervention === null ? { motive } : { motive, intervention };
    return this.#call("POST", `/api/recordings/${path(id)}/views`, readPlayback, body);
  }

  /** Fetch a playlist or an init segment of the person's own playback. */
  async media(address: string): Promise<Answer<Uint8Array>> {
    const response = await this.#fetch(address, {});
    if (response === null) return { kind: "unreachable" };
    if (!response.ok) return refusal(response);
    return { kind: "ok", value: new Uint8Array(await response.arrayBuffer()) };
  }

  closePlayback(view: string): Promise<Answer<null>> {
    return this.#call("DELETE", `/api/views/${path(view)}`, nothing, undefined, true);
  }

  verify(id: string): Promise<Answer<Verdict>> {
    return this.#call("POST", `/api/recordings/${path(id)}/verify`, readVerdict, {});
  }

  startExport(id: string, body: ExportRequest): Promise<Answer<ExportState>> {
    return this.#call("POST", `/api/recordings/${path(id)}/exports`, readExport, { ...body });
  }

  exportState(id: string): Promise<Answer<ExportState>> {
    return this.#call("GET", `/api/exports/${path(id)}`, readExport);
  }

  exportFile(id: string): string {
    const route: Route<"GET"> = `/api/exports/${path(id)}/file`;
    return this.base + route;
  }

  holds(): Promise<Answer<Hold[]>> {
    return this.#call("GET", "/api/holds", (value) => list(fields<http.HoldList>(value), "holds", readHold));
  }

  holdsOf(recording: string): Promise<Answer<RecordingHolds>> {
    return this.#call("GET", `/api/recordings/${path(recording)}/holds`, readRecordingHolds);
  }

  openHold(recording: string, body: HoldRequest): Promise<Answer<Hold>> {
    return this.#call("POST", `/api/recordings/${path(recording)}/holds`, readHold, { ...body });
  }

  reviewHold(hold: string, motive: string): Promise<Answer<Hold>> {
    return this.#call("POST", `/api/holds/${path(hold)}/review`, readHold, { motive } satisfies http.Motive);
  }

  liftHold(hold: string, motive: string): Promise<Answer<Hold>> {
    return this.#call("POST", `/api/holds/${path(hold)}/lift`, readHold, { motive } satisfies http.Motive);
  }

  journal(after: number, limit: number): Promise<Answer<JournalPage>> {
    return this.#call("GET", `/api/journal?after=${after}&limit=${limit}`, readJournalPage);
  }

  checkpoint(): Promise<Answer<string>> {
    return this.#call("GET", "/api/journal/checkpoint", readCheckpoint);
  }

  /**
   * Open a viewer session on a worker with an SDP offer.  In the answer, `secret` names the viewer session in `/live` messages.
   */
  async openViewerSession(worker: number, offer: string): Promise<Answer<ViewerSessionAnswer>> {
    const headers = { "Content-Type": "application/sdp", "X-CSRF": this.#csrf };
    const route: Route<"POST"> = `/wall?worker=${worker}`;
    const response = await this.#fetch(route, { method: "POST", headers, body: offer });
    if (response === null) return { kind: "unreachable" };
    if (response.status === 401) this.onSignedOut();
    if (!response.ok) return refusal(response);
    const location = response.headers.get("Location");
    if (location === null) return { kind: "garbled", detail: "no Location" };
    const secret = new URL(location, globalThis.location?.href ?? "http://localhost").pathname.split("/").pop() ?? "";
    return { kind: "ok", value: { sdp: await response.text(), location, secret } };
  }

  /** Close a viewer session.  This also works while the page is being left. */
  async closeViewerSession(location: string): Promise<void> {
    await this.#fetch(location, { method: "DELETE", headers: { "X-CSRF": this.#csrf }, keepalive: true });
  }

  #keepCsrf(answer: Answer<SignInSession>): Answer<SignInSession> {
    if (answer.kind === "ok") this.#csrf = answer.value.csrf;
    return answer;
  }

  async #call<T, M extends Method>(
    method: M,
    route: Route<M>,
    read: (value: unknown) => T,
    body?: Body,
    keepalive = false,
  ): Promise<Answer<T>> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (method !== "GET") headers["X-CSRF"] = this.#csrf;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const init: RequestInit = { method, headers, keepalive };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await this.#fetch(route, init);
    if (response === null) return { kind: "unreachable" };
    // At this address 401 means a wrong old password, not the end of the sign-in.
    if (response.status === 401 && route !== "/api/session/password") this.onSignedOut();
    return response.ok ? decoded(response, read) : refusal(response);
  }

  async #fetch(route: string, init: RequestInit): Promise<Response | null> {
    try {
      return await fetch(route.startsWith("/") ? this.base + route : route, {
        credentials: "same-origin",
        cache: "no-store",
        ...init,
      });
    } catch {
      return null;
    }
  }
}

async function refusal(response: Response): Promise<Refused> {
  const retry = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const common = { kind: "refused", status: response.status, retryAfter: Number.isNaN(retry) ? null : retry } as const;
  try {
    const body = fields(await response.json());
    const detail = textOr(body, "detail", response.statusText);
    return { ...common, code: textOr(body, "code", "unknown"), detail, facts: readFacts(body) };
  } catch {
    return { ...common, code: "unknown", detail: response.statusText, facts: {} };
  }
}

async function decoded<T>(response: Response, read: (value: unknown) => T): Promise<Answer<T>> {
  try {
    const body = await response.text();
    return { kind: "ok", value: read(parsed(body, response.headers.get("Content-Type") ?? "")) };
  } catch (error) {
    if (error instanceof DecodeError || error instanceof SyntaxError) return { kind: "garbled", detail: error.message };
    throw error;
  }
}

function parsed(body: string, contentType: string): unknown {
  if (body === "") return null;
  return contentType.includes("json") ? JSON.parse(body) : body;
}

function nothing(): null {
  return null;
}

function readPlayback(value: unknown): Playback {
  const from = fields<http.ViewOpened>(value, "a view");
  return { view: text(from, "view"), playlist: text(from, "playlist") };
}

function readExport(value: unknown): ExportState {
  const from = fields<http.ExportOut>(value, "an export");
  return {
    id: text(from, "export"),
    state: textOr(from, "state", "unknown"),
    progress: numberOr(from, "progress", null),
    detail: textOr(from, "detail", ""),
  };
}

function readJournalPage(value: unknown): JournalPage {
  const from = fields<http.JournalPage>(value, "a page");
  const leaves = list(from, "leaves", readJournalEntry);
  return { size: numberOr(from, "size", leaves.length), leaves };
}

function readCheckpoint(value: unknown): string {
  return text(fields<http.CheckpointOut>(value, "a checkpoint"), "note");
}
