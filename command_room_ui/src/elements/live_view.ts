/**
 * The live work place: list, wall, alarms, the intervention under which everything is watched, the keyboard.
 *
 * Owns: which intervention is current, what each key does.  Must never know: sockets, peer connections.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { type DiskNotice, diskNotice } from "../disk";
import { age, bytes, type Key, refusal, span, t } from "../i18n";
import { type KeyAction, KeyReader } from "../keys";
import * as layout from "../layout";
import type { Camera, Intervention, SignInSession } from "../model";
import { firstToEnd, upcomingEnd } from "../transmission_end";
import type { Workstation } from "../workstation";
import { controls, explain, LocalizedElement } from "./base";
import type { CameraList } from "./camera_list";
import type { ConfirmDialog } from "./confirm_dialog";
import type { InterventionGate } from "./intervention";
import type { RequestDialog, StreamRequest } from "./request_dialog";
import type { WallGrid } from "./wall_grid";
import "./alarm_banner";
import "./camera_list";
import "./confirm_dialog";
import "./intervention";
import "./request_dialog";
import "./wall_grid";

const STORAGE_KEY = "relay.intervention";
/** A socket that is back this soon needs no banner. */
const STALE_AFTER_S = 2;

/** A dialog that is open has the keyboard, Escape above all; it stands in an element's own tree, where no selector finds it. */
function isInDialog(event: KeyboardEvent): boolean {
  return event.composedPath().some((each) => each instanceof HTMLDialogElement);
}

function fullSoon(notice: Extract<DiskNotice, { level: "line" | "warn" }>): string {
  return t("disk.soon", { when: span(notice.fullInS), free: bytes(notice.free) });
}

@customElement("live-view")
export class LiveView extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        display: flex;
        flex-direction: column;
        height: 100%;
        min-height: 0;
        background: var(--ground);
      }
      .workstation {
        flex: 1;
        min-height: 0;
        display: grid;
        grid-template-columns: minmax(15rem, 19%) minmax(0, 1fr);
      }
      .workstation.alone {
        grid-template-columns: minmax(0, 1fr);
      }
      .workstation > * {
        min-height: 0;
      }
      intervention-gate {
        flex: 1;
      }
      .status {
        display: flex;
        flex-wrap: wrap;
        gap: 0.2em 1.4em;
        align-items: center;
        padding: 0.25em 0.9em;
        background: var(--panel);
        border-top: 1px solid var(--line);
        font-size: 0.9em;
      }
      .status button {
        min-height: 1.9em;
        padding: 0.1em 0.7em;
      }
      .status .what {
        font-weight: 600;
      }
      .status .space {
        flex: 1;
      }
      .stale {
        padding: 0.4em 0.9em;
        background: #4a3500;
        border-bottom: 2px solid var(--warn);
        font-weight: 600;
      }
      .stale.bad {
        background: var(--bad-ground);
        border-color: var(--bad);
      }
      .up {
        color: var(--good);
      }
      .down {
        color: var(--warn);
        font-weight: 700;
      }
    `,
  ];

  @property({ attribute: false }) workstation!: Workstation;
  @property({ attribute: false }) session!: SignInSession;
  /** Shown now; the keyboard belongs to it only then. */
  @property({ type: Boolean }) active = false;
  @state() private current: Intervention | null = null;
  @state() private closed = false;
  @state() private listShown = true;
  @state() private revision = 0;
  @state() private message = "";
  @query("intervention-gate") private gate!: InterventionGate | null;
  @query("camera-list") private list!: CameraList | null;
  @query("wall-grid") private grid!: WallGrid | null;
  @query("confirm-dialog") private confirmation!: ConfirmDialog;
  @query("request-dialog") private request!: RequestDialog;
  readonly #keys = new KeyReader();
  #stops: (() => void)[] = [];
  #interventions = 0;
  /** The camera whose alarm was to be shown before there was a motive. */
  #alarmToShow: string | null = null;
  #messageTimer: ReturnType<typeof setTimeout> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener("keydown", this.#onKey);
    this.addEventListener("fullscreenchange", this.#onFullScreen);
    const redraw = (): void => {
      this.revision += 1;
    };
    this.#stops = [
      this.workstation.changed.add(redraw),
      this.workstation.changed.add(() => this.#onChange()),
      this.workstation.wall.changed.add(redraw),
    ];
    this.workstation.wall.onMotiveNeeded = () => void this.#check();
    void this.#resume();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("keydown", this.#onKey);
    this.removeEventListener("fullscreenchange", this.#onFullScreen);
    for (const stop of this.#stops) stop();
  }

  protected override render(): TemplateResult {
    return html`<alarm-banner .live=${this.workstation.state} .shown=${new Set(this.workstation.wall.layout.tiles.filter((camera) => camera !== null))} .now=${Date.now()} @alarm-show=${this.#onAlarmShow} @alarm-seen=${this.#onAlarmSeen} @confirm-wanted=${this.#onConfirmWanted}></alarm-banner>
      ${this.#staleBanner()} ${this.#refusedBanner()} ${this.#diskBanner()}
      ${
        this.current === null
          ? html`<intervention-gate .api=${this.workstation.api} .revision=${this.workstation.state.interventions} .closed=${this.closed} @entered=${this.#onEntered}></intervention-gate>`
          : this.#workplace()
      }
      ${this.#status()}
      <request-dialog @stream-request=${this.#onRequest}></request-dialog>
      <confirm-dialog .api=${this.workstation.api} @stream-confirmed=${this.#onConfirmed}></confirm-dialog>`;
  }

  #staleBanner(): TemplateResult | typeof nothing {
    const { downSince } = this.workstation;
    const seconds = downSince === null ? 0 : (Date.now() - downSince) / 1000;
    if (seconds < STALE_AFTER_S) return nothing;
    return html`<p class="stale" role="alert" data-testid="stale">⚠ ${t("link.stale", { age: age(seconds) })}</p>`;
  }

  /** Trying again would be refused again: somebody has to know why. */
  #refusedBanner(): TemplateResult | typeof nothing {
    const refused = [...this.workstation.wall.viewerSessions.values()]
      .map((viewerSession) => viewerSession.refusal)
      .find((why) => why !== null);
    if (refused == null) return nothing;
    return html`<p class="stale bad" role="alert" data-testid="media-refused">⚠ ${t("link.refused", { detail: refusal(refused) })}</p>`;
  }

  #diskBanner(): TemplateResult | typeof nothing {
    const notice = diskNotice(this.workstation.state.disk);
    if (notice.level === "bad")
      return html`<p class="stale bad" role="alert" data-testid="disk" data-state=${notice.state}>⚠ ${t(`disk.${notice.state}`)}</p>`;
    return notice.level === "warn"
      ? html`<p class="stale" role="status" data-testid="disk">⚠ ${fullSoon(notice)}</p>`
      : nothing;
  }

  #diskLine(): TemplateResult | typeof nothing {
    const notice = diskNotice(this.workstation.state.disk);
    return notice.level === "line" ? html`<span class="soft" data-testid="disk-line">${fullSoon(notice)}</span>` : nothing;
  }

  #workplace(): TemplateResult {
    const wall = this.workstation.wall.layout;
    const onTile = new Map(layout.visible(wall).map(({ camera, tile }) => [camera, tile]));
    return html`<div class="workstation ${this.listShown ? "" : "alone"}" @confirm-wanted=${this.#onConfirmWanted}>
      ${this.listShown ? html`<camera-list .live=${this.workstation.state} .fresh=${(camera: Camera) => this.workstation.wall.isFresh(camera)} .onTile=${onTile} @camera-chosen=${this.#onChosen} .ending=${(camera: Camera) => upcomingEnd(camera, this.workstation.wall.utc())} @camera-request=${this.#onAsk}></camera-list>` : nothing}
      <wall-grid .workstation=${this.workstation} .revision=${this.revision} @full-screen=${this.#toggleFullScreen}>
        <button slot="bar" @click=${this.#toggleList} aria-pressed=${this.listShown} data-testid="toggle-list">☰ ${t("list.toggle")}</button>
      </wall-grid>
    </div>`;
  }

  #status(): TemplateResult {
    const socket = this.workstation.socket.state;
    const reopening = [...this.workstation.wall.viewerSessions.values()].filter(
      (viewerSession) => viewerSession.state !== "refused",
    );
    const broken = reopening.filter(
      (viewerSession) => !viewerSession.mediaUp || this.workstation.state.down.has(viewerSession.worker),
    ).length;
    return html`<footer class="status">
      ${this.current === null ? nothing : this.#interventionStatus(this.current)}
      <span role="status" data-testid="message">${this.message}</span>
      <span class="space"></span>
      ${this.#diskLine()}
      ${broken > 0 && socket === "open" ? html`<span class="down" data-testid="media-state">⚠ ${t("link.media", { count: broken })}</span>` : nothing}
      <span role="status" class=${socket === "open" ? "up" : "down"} data-testid="socket-state" data-state=${socket}>${socket === "open" ? "✓" : "⚠"} ${t(`link.${socket}` as Key)}</span>
    </footer>`;
  }

  #interventionStatus(current: Intervention): TemplateResult {
    return html`<span class="what" data-testid="current-intervention">${t("intervention.current", { label: current.label })}</span>
      <span class="soft">${t("intervention.yourMotive", { motive: current.motive ?? "" })}</span>
      <button @click=${() => this.#leave(false)} data-testid="change-intervention">${t("intervention.change")}</button>
      <button @click=${this.#close} data-testid="close-intervention">${t("intervention.close")}</button>`;
  }

  // --- the intervention ------------------------------------------------------------------------------------------------

  /** After a reload the intervention that was joined goes on, if it is still open. */
  async #resume(): Promise<void> {
    const kept = sessionStorage.getItem(STORAGE_KEY);
    const answer = await this.workstation.api.interventions();
    if (answer.kind !== "ok" || kept === null) return;
    const found = answer.value.find((item) => item.id === kept && item.motive !== null);
    if (found !== undefined) this.#enter(found);
  }

  /** The list changed: is ours still open? */
  async #check(): Promise<void> {
    const answer = await this.workstation.api.interventions();
    if (answer.kind !== "ok" || this.current === null) return;
    if (!answer.value.some((item) => item.id === this.current?.id && item.motive !== null)) this.#leave(true);
  }

  #onChange(): void {
    if (this.workstation.state.interventions === this.#interventions) return;
    this.#interventions = this.workstation.state.interventions;
    void this.#check();
  }

  #onEntered(event: CustomEvent<Intervention>): void {
    this.#enter(event.detail);
  }

  #enter(item: Intervention): void {
    this.current = item;
    this.closed = false;
    sessionStorage.setItem(STORAGE_KEY, item.id);
    this.workstation.wall.setIntervention(item.id);
    const wanted = this.#alarmToShow;
    this.#alarmToShow = null;
    if (wanted !== null) this.#pullUp(wanted);
  }

  #leave(closed: boolean): void {
    this.current = null;
    this.closed = closed;
    sessionStorage.removeItem(STORAGE_KEY);
    this.workstation.wall.setIntervention(null);
  }

  async #close(): Promise<void> {
    const { current } = this;
    if (current === null || !confirm(t("intervention.closeSure", { label: current.label }))) return;
    const answer = await this.workstation.api.closeIntervention(current.id);
    if (answer.kind === "ok") this.#leave(true);
    else this.#showMessage(explain(answer));
  }

  // --- cameras and alarms ----------------------------------------------------------------------------------------------

  /** Whoever puts a camera on the wall has seen its alarm. */
  #onChosen(event: CustomEvent<string>): void {
    this.workstation.acknowledge(event.detail);
    this.workstation.wall.arrange(layout.placeAnywhere(this.workstation.wall.layout, event.detail));
  }

  #onAsk(event: CustomEvent<string>): void {
    const camera = this.workstation.state.cameras.get(event.detail);
    if (camera !== undefined) void this.request.open(camera);
  }

  async #onRequest(event: CustomEvent<StreamRequest>): Promise<void> {
    if (this.current === null) return;
    const { camera, threat, reason } = event.detail;
    const answer = await this.workstation.api.requestStream(camera.camera, this.current.id, threat, reason);
    this.#showMessage(answer.kind === "ok" ? t("list.requested", { label: camera.label }) : explain(answer));
  }

  #onConfirmWanted(event: CustomEvent<string>): void {
    this.#confirm(event.detail);
  }

  #onConfirmed(event: CustomEvent<string>): void {
    this.#showMessage(t("confirm.done", { label: event.detail }));
  }

  #confirm(name: string): void {
    const camera = this.workstation.state.cameras.get(name);
    if (camera !== undefined) void this.confirmation.open(camera);
  }

  /** The key means the camera in hand where its end is near, else whichever ends first. */
  #confirmByKey(): void {
    const { cameras } = this.workstation.state;
    const { layout: wall } = this.workstation.wall;
    const now = this.workstation.wall.utc();
    const inHand = cameras.get(this.list?.focused ?? wall.tiles[wall.selected] ?? "");
    const ends = inHand !== undefined && upcomingEnd(inHand, now) !== null ? inHand.camera : firstToEnd(cameras.values(), now);
    if (ends === null) this.#showMessage(t("confirm.none"));
    else this.#confirm(ends);
  }

  #onAlarmSeen(event: CustomEvent<string>): void {
    this.workstation.acknowledge(event.detail);
  }

  /** Pull-up: the camera stands large, the others beside it. */
  #onAlarmShow(event: CustomEvent<string>): void {
    this.#pullUp(event.detail);
  }

  #pullUp(camera: string): void {
    if (this.current === null) {
      this.#askMotive(camera);
      return;
    }
    this.workstation.acknowledge(camera);
    const placed = layout.placeAnywhere(this.workstation.wall.layout, camera);
    this.workstation.wall.arrange(placed.spotlight ? placed : layout.toggleSpotlight(placed));
  }

  /** No picture without a motive: the way to it is shown, and the camera stands large once it was given. */
  #askMotive(camera: string): void {
    this.#alarmToShow = camera;
    const label = this.workstation.state.cameras.get(camera)?.label ?? camera;
    this.#showMessage(t("alarm.needsMotive", { label }));
    this.gate?.ask(this.workstation.state.cameras.get(camera)?.intervention ?? null);
  }

  #latestAlarm(): string | null {
    const alarms = [...this.workstation.state.alarms.values()].sort(
      (left, right) => Number(left.seen) - Number(right.seen) || right.at - left.at,
    );
    return alarms[0]?.camera ?? null;
  }

  #showMessage(message: string): void {
    this.message = message;
    clearTimeout(this.#messageTimer);
    this.#messageTimer = setTimeout(() => {
      this.message = "";
    }, 8000);
  }

  readonly #toggleFullScreen = async (): Promise<void> => {
    if (document.fullscreenElement === null) await this.requestFullscreen();
    else await document.exitFullscreen();
  };

  /** In full screen the wall has all the room; the list comes back when it is called, and with the end of full screen. */
  readonly #onFullScreen = (): void => {
    this.listShown = document.fullscreenElement === null;
    this.revision += 1;
  };

  readonly #toggleList = (): void => {
    this.listShown = !this.listShown;
  };

  // --- keyboard --------------------------------------------------------------------------------------------------------

  readonly #onKey = (event: KeyboardEvent): void => {
    if (!this.active || isInDialog(event)) return;
    const action = this.#keys.read(event, this.workstation.wall.layout.size, performance.now());
    if (action === null || (this.current === null && action.kind !== "alarm")) return;
    event.preventDefault();
    this.#run(action);
  };

  #run(action: KeyAction): void {
    const { wall } = this.workstation;
    const { selected } = wall.layout;
    if (action.kind === "tile") this.#onDigit(action.tile);
    else if (action.kind === "size") wall.arrange(layout.resize(wall.layout, action.size));
    else if (action.kind === "move") wall.arrange(layout.move(wall.layout, action.dx, action.dy));
    else if (action.kind === "enlarge") this.grid?.enlarge(selected);
    else if (action.kind === "hear") this.grid?.hear(selected);
    else if (action.kind === "remove") wall.arrange(layout.clear(wall.layout, selected));
    else this.#runCommand(action.kind);
  }

  #runCommand(kind: "fullScreen" | "search" | "alarm" | "confirm" | "escape"): void {
    const { wall } = this.workstation;
    if (kind === "confirm") this.#confirmByKey();
    if (kind === "fullScreen") void this.#toggleFullScreen();
    if (kind === "search") this.#seek();
    if (kind === "escape" && wall.layout.spotlight) wall.arrange(layout.toggleSpotlight(wall.layout));
    const latest = kind === "alarm" ? this.#latestAlarm() : null;
    if (latest !== null) this.#pullUp(latest);
  }

  async #seek(): Promise<void> {
    this.listShown = true;
    await this.updateComplete;
    this.list?.seek();
  }

  /** With the focus on a camera of the list, a number puts that camera there; else it selects the tile. */
  #onDigit(tile: number): void {
    const { wall } = this.workstation;
    const camera = this.list?.focused ?? null;
    wall.arrange(camera === null ? layout.select(wall.layout, tile) : layout.place(wall.layout, camera, tile));
  }
}
