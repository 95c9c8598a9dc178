/**
 * The live view: the list of cameras, the wall, the alarms, the intervention under which a person watches, the keyboard.
 *
 * Owns: the arrangement of these parts, what each key does, the message below the wall.  Must never know: sockets, peer
 * connections.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { t } from "../i18n";
import { type KeyAction, KeyReader } from "../keys";
import * as layout from "../layout";
import type { Camera, Intervention, SignInSession } from "../model";
import { firstToEnd, upcomingEnd } from "../transmission_end";
import type { Workstation } from "../workstation";
import { controls, explain, LocalizedElement } from "./base";
import type { CameraList } from "./camera_list";
import type { ConfirmDialog } from "./confirm_dialog";
import type { InterventionGate } from "./intervention";
import { banners, connectionLine, statusStyles } from "./live_status";
import type { RequestDialog, StreamRequest } from "./request_dialog";
import type { WallGrid } from "./wall_grid";
import "./alarm_banner";
import "./camera_list";
import "./confirm_dialog";
import "./intervention";
import "./request_dialog";
import "./wall_grid";

/** How long a message stays below the wall. */
const MESSAGE_MS = 8000;

/** An open dialog has the keyboard, Escape above all.  It stands in an element's own tree, where no selector finds it. */
function isInDialog(event: KeyboardEvent): boolean {
  return event.composedPath().some((each) => each instanceof HTMLDialogElement);
}

@customElement("live-view")
export class LiveView extends LocalizedElement {
  static override styles = [
    controls,
    statusStyles,
    css`
      :host {
        display: flex;
        flex-direction: column;
        height: 100%;
        min-height: 0;
        background: var(--ground);
      }
      .workplace {
        flex: 1;
        min-height: 0;
        display: grid;
        grid-template-columns: minmax(15rem, 19%) minmax(0, 1fr);
      }
      .workplace.alone {
        grid-template-columns: minmax(0, 1fr);
      }
      .workplace > * {
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
    `,
  ];

  @property({ attribute: false }) workstation!: Workstation;
  @property({ attribute: false }) session!: SignInSession;
  /** Whether it is the view that is shown: only then the keyboard belongs to it. */
  @property({ type: Boolean }) active = false;
  @state() private listShown = true;
  /** Grows with each change of the workstation, so that this element and the wall are drawn again. */
  @state() private revision = 0;
  @state() private message = "";
  @query("intervention-gate") private gate!: InterventionGate | null;
  @query("camera-list") private list!: CameraList | null;
  @query("wall-grid") private grid!: WallGrid | null;
  @query("confirm-dialog") private confirmation!: ConfirmDialog;
  @query("request-dialog") private request!: RequestDialog;
  readonly #keys = new KeyReader();
  #removeListeners: (() => void)[] = [];
  /** The camera whose alarm a person wanted to see before giving a motive. */
  #alarmToShow: string | null = null;
  #messageTimer: ReturnType<typeof setTimeout> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener("keydown", this.#onKey);
    this.addEventListener("fullscreenchange", this.#onFullScreen);
    const redraw = (): void => {
      this.revision += 1;
    };
    const { changed, wall, intervention } = this.workstation;
    this.#removeListeners = [
      changed.add(redraw),
      wall.changed.add(redraw),
      intervention.changed.add(() => this.#showWaitingAlarm()),
    ];
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("keydown", this.#onKey);
    this.removeEventListener("fullscreenchange", this.#onFullScreen);
    for (const remove of this.#removeListeners) remove();
    clearTimeout(this.#messageTimer);
  }

  protected override render(): TemplateResult {
    const { state, wall, api, intervention } = this.workstation;
    const onWall = new Set(wall.layout.tiles.filter((camera) => camera !== null));
    return html`<alarm-banner .live=${state} .shown=${onWall} .now=${Date.now()} @alarm-show=${this.#onAlarmShow} @alarm-seen=${this.#onAlarmSeen} @confirm-wanted=${this.#onConfirmWanted}></alarm-banner>
      ${banners(this.workstation, Date.now())}
      ${
        intervention.value === null
          ? html`<intervention-gate .api=${api} .revision=${state.interventions} .closed=${intervention.closed} @entered=${this.#onEntered}></intervention-gate>`
          : this.#workplace()
      }
      ${this.#status()}
      <request-dialog @stream-request=${this.#onRequest}></request-dialog>
      <confirm-dialog .api=${api} @stream-confirmed=${this.#onConfirmed}></confirm-dialog>`;
  }

  #workplace(): TemplateResult {
    return html`<div class="workplace ${this.listShown ? "" : "alone"}" @confirm-wanted=${this.#onConfirmWanted}>
      ${this.listShown ? this.#cameraList() : nothing}
      <wall-grid .workstation=${this.workstation} .revision=${this.revision} @full-screen=${this.#toggleFullScreen}>
        <button slot="bar" @click=${this.#toggleList} aria-pressed=${this.listShown} data-testid="toggle-list">☰ ${t("list.toggle")}</button>
      </wall-grid>
    </div>`;
  }

  #cameraList(): TemplateResult {
    const { state, wall } = this.workstation;
    const onTile = new Map(layout.visible(wall.layout).map(({ camera, tile }) => [camera, tile]));
    return html`<camera-list .live=${state} .onTile=${onTile} .fresh=${(camera: Camera) => wall.isFresh(camera)} .ending=${(camera: Camera) => upcomingEnd(camera, wall.utc())}
      @camera-chosen=${this.#onChosen} @camera-request=${this.#onAsk}></camera-list>`;
  }

  #status(): TemplateResult {
    const { value } = this.workstation.intervention;
    return html`<footer class="status">
      ${value === null ? nothing : this.#interventionStatus(value)}
      <span role="status" data-testid="message">${this.message}</span>
      <span class="space"></span>
      ${connectionLine(this.workstation)}
    </footer>`;
  }

  #interventionStatus(current: Intervention): TemplateResult {
    return html`<span class="what" data-testid="current-intervention">${t("intervention.current", { label: current.label })}</span>
      <span class="soft">${t("intervention.yourMotive", { motive: current.motive ?? "" })}</span>
      <button @click=${() => this.workstation.intervention.leave()} data-testid="change-intervention">${t("intervention.change")}</button>
      <button @click=${() => this.#close(current)} data-testid="close-intervention">${t("intervention.close")}</button>`;
  }

  // --- the intervention ------------------------------------------------------------------------------------------------

  #onEntered(event: CustomEvent<Intervention>): void {
    this.workstation.intervention.enter(event.detail);
  }

  #showWaitingAlarm(): void {
    const camera = this.#alarmToShow;
    if (camera === null || this.workstation.intervention.value === null) return;
    this.#alarmToShow = null;
    this.#pullUp(camera);
  }

  async #close(current: Intervention): Promise<void> {
    if (!confirm(t("intervention.closeSure", { label: current.label }))) return;
    const answer = await this.workstation.intervention.close();
    if (answer !== null && answer.kind !== "ok") this.#showMessage(explain(answer));
  }

  // --- cameras and alarms ----------------------------------------------------------------------------------------------

  /** A person who puts a camera on the wall has seen its alarm. */
  #onChosen(event: CustomEvent<string>): void {
    this.workstation.acknowledge(event.detail);
    this.workstation.wall.arrange(layout.placeAnywhere(this.workstation.wall.layout, event.detail));
  }

  #onAsk(event: CustomEvent<string>): void {
    const camera = this.workstation.state.cameras.get(event.detail);
    if (camera !== undefined) void this.request.open(camera);
  }

  async #onRequest(event: CustomEvent<StreamRequest>): Promise<void> {
    const { api, intervention } = this.workstation;
    if (intervention.value === null) return;
    const { camera, threat, reason } = event.detail;
    const answer = await api.requestStream(camera.camera, intervention.value.id, threat, reason);
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

  /** The key means the focused or selected camera where its end is near, else the camera that ends first. */
  #confirmByKey(): void {
    const { cameras } = this.workstation.state;
    const { layout: wall } = this.workstation.wall;
    const now = this.workstation.wall.utc();
    const focused = cameras.get(this.list?.focused ?? wall.tiles[wall.selected] ?? "");
    const ends =
      focused !== undefined && upcomingEnd(focused, now) !== null ? focused.camera : firstToEnd(cameras.values(), now);
    if (ends === null) this.#showMessage(t("confirm.none"));
    else this.#confirm(ends);
  }

  #onAlarmSeen(event: CustomEvent<string>): void {
    this.workstation.acknowledge(event.detail);
  }

  /** Show the camera of an alarm large, the others beside it. */
  #onAlarmShow(event: CustomEvent<string>): void {
    this.#pullUp(event.detail);
  }

  #pullUp(camera: string): void {
    if (this.workstation.intervention.value === null) {
      this.#askMotive(camera);
      return;
    }
    this.workstation.acknowledge(camera);
    const placed = layout.placeAnywhere(this.workstation.wall.layout, camera);
    this.workstation.wall.arrange(placed.spotlight ? placed : layout.toggleSpotlight(placed));
  }

  /** No picture without a motive: put the cursor into the field for it, and show the camera large once the motive is given. */
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
    }, MESSAGE_MS);
  }

  readonly #toggleFullScreen = async (): Promise<void> => {
    if (document.fullscreenElement === null) await this.requestFullscreen();
    else await document.exitFullscreen();
  };

  /** In full screen the wall has all the room.  The list comes back by its button, and at the end of full screen. */
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
    if (action === null || (this.workstation.intervention.value === null && action.kind !== "alarm")) return;
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

  /** With the focus on a camera of the list, a number puts that camera on the tile; else it selects the tile. */
  #onDigit(tile: number): void {
    const { wall } = this.workstation;
    const camera = this.list?.focused ?? null;
    wall.arrange(camera === null ? layout.select(wall.layout, tile) : layout.place(wall.layout, camera, tile));
  }
}
