/**
 * One tile: the picture of a camera, and what may be claimed of it.
 *
 * Owns: the video element and its frame callbacks.  Must never know: slots, sockets, the wall's layout.
 *
 * A picture is shown without a cover only while `liveness` says *live*.  Before the first frame of its camera nothing is shown,
 * because the slot may still carry another camera's picture.  A picture that stands still is grey, hatched and dated.
 */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import { age, clock, decimal, type Key, refusal, t } from "../i18n";
import { type PresentedFrame, shownAt } from "../liveness";
import type { Camera } from "../model";
import { recordingWords } from "../rec_words";
import type { TileView } from "../tile_view";
import { controls, LocalizedElement } from "./base";
import { CAMERA_TYPE } from "./camera_list";
import { tileStyles } from "./wall_tile_styles";

/** A seal younger than this is in time: packets wait at most 0.4 s for their order, and a fragment lasts less than 0.45 s. */
const SEAL_LATE_AFTER_S = 3;
const SIGNS: Readonly<Record<string, string>> = { live: "●", frozen: "❚❚", waiting: "◌", asleep: "○", refused: "✕", empty: "" };

@customElement("wall-tile")
export class WallTile extends LocalizedElement {
  static override styles = [controls, tileStyles];

  @property({ attribute: false }) view!: TileView;
  @property({ type: Boolean }) large = false;
  @property({ type: Boolean, reflect: true }) selected = false;
  /** The state of the camera's alarm; `unseen` until a person at this page has seen it. */
  @property({ reflect: true }) alarm: "" | "seen" | "unseen" = "";
  @property({ type: Boolean }) spotlight = false;
  @query("video") private video!: HTMLVideoElement | null;
  #callback = 0;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.video?.cancelVideoFrameCallback(this.#callback);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.hasUpdated) this.#watch();
  }

  protected override render(): TemplateResult {
    const { view } = this;
    const kind = view.liveness.kind;
    if (view.id === null) return this.#empty();
    return html`<div class="tile ${kind} ${this.large ? "large" : "small"}" data-testid="tile" data-tile=${view.tile} data-camera=${view.id}
        data-kind=${kind} @dblclick=${() => this.#emit("tile-enlarge")}>
      <div class="top">
        <span class="number" aria-hidden="true">${view.tile + 1}</span>
        <span class="name">${this.alarm !== "" ? html`<span class="urgent">▲</span> ` : nothing}${view.camera?.label ?? view.id}</span>
        <span class="state">${SIGNS[kind]} <span class="word">${t(`tile.${kind}` as Key)}</span></span>
      </div>
      ${this.#ending(view)}
      <div class="picture">
        <video muted autoplay playsinline disablepictureinpicture tabindex="-1" aria-hidden="true"></video>
        ${kind === "live" ? nothing : this.#cover(view)}
        <div class="tools">${this.#tools(view)}</div>
      </div>
      ${this.large || this.selected ? this.#figures(view) : this.#shortFigures(view)}
    </div>`;
  }

  protected override firstUpdated(): void {
    this.#watch();
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (!changed.has("view") || this.video === null) return;
    const { stream, id } = this.view;
    if (this.video.srcObject !== stream) this.video.srcObject = stream;
    // Hide the video until the first frame of this camera: the slot may still carry the picture of the camera before.
    this.video.classList.toggle("unseen", id === null || this.view.liveness.age === null);
    if (stream !== null && this.video.paused) this.video.play().catch(() => undefined);
    if (this.#callback === 0) this.#watch();
  }

  #empty(): TemplateResult {
    const { tile } = this.view;
    return html`<div class="tile empty" data-testid="tile" data-tile=${tile} data-kind="empty">
      <span class="number">${tile + 1}</span><span class="soft">${t("tile.emptyHint")}</span>
    </div>`;
  }

  #cover(view: TileView): TemplateResult {
    const { kind, cause, age: seconds } = view.liveness;
    return html`<div class="cover">
      <span class="big">${SIGNS[kind]} ${t(`tile.${kind}` as Key)}</span>
      ${kind === "frozen" && seconds !== null ? html`<span class="when" data-testid="frozen-age">${t("tile.frozenAge", { age: age(seconds) })}</span>` : nothing}
      <span class="why">${view.refusal === null ? t(`cause.${cause}` as Key) : refusal(view.refusal)}</span>
      ${kind === "refused" ? html`<button @click=${() => this.#emit("tile-retry")}>${t("tile.retry")}</button>` : nothing}
    </div>`;
  }

  /** The end of a transmission is shown in every size of tile, so that a person can confirm it in time. */
  #ending({ ending }: TileView): TemplateResult | typeof nothing {
    if (ending === null) return nothing;
    return html`<div class="ending" data-testid="ending"><span>⚠ ${t("ending.at", { time: clock(ending.at), age: age(ending.seconds) })}</span>
      <button title=${`${t("ending.confirm")} (C)`} @click=${this.#confirm} data-testid="confirm">${t("ending.confirm")}</button></div>`;
  }

  /** Shown on large tiles, and on a small one while it is selected. */
  #figures(view: TileView): TemplateResult {
    const live = view.liveness.kind === "live";
    return html`<div class="bottom">
      ${this.#recording(view)}
      ${live ? this.#delay(view) : nothing}
      ${live && view.stats !== null ? html`<span data-testid="bitrate">${t("tile.bitrate", { kbps: Math.round(view.stats.kbps) })}</span>` : nothing}
      ${live && view.stats !== null ? html`<span data-testid="loss" class=${view.stats.loss > 0.02 ? "warn" : ""}>${t("tile.loss", { percent: decimal(view.stats.loss * 100, 1) })}</span>` : nothing}
      ${this.#limits(view)} ${this.#warnings(view, "help")}
    </div>`;
  }

  /** Small tiles show only what must not be missed: sound, a broken recording, a reduced picture. */
  #shortFigures(view: TileView): TemplateResult {
    const broken = view.fresh && isBroken(view.camera);
    return html`<div class="bottom">
      ${broken ? this.#recording(view) : nothing} ${this.#limits(view)} ${this.#warnings(view, "short")}
    </div>`;
  }

  #limits(view: TileView): TemplateResult {
    const key = view.leg?.layer === "key";
    return html`${view.audible ? html`<span class="heard" data-testid="heard">♪ ${t("tile.heard")}</span>` : nothing}
      ${key ? html`<span class="warn">⚠ ${t("tile.keyOnly")}</span>` : nothing}
      ${!key && view.leg?.limited ? html`<span class="warn">⚠ ${t("tile.limited")}</span>` : nothing}`;
  }

  /** What the camera's encoder does that spoils live pictures; a large tile also says what to set. */
  #warnings({ camera, fresh }: TileView, form: "short" | "help"): readonly TemplateResult[] {
    const words = fresh && camera !== null ? camera.warnings : [];
    return words.map(
      (word) =>
        html`<span class="warn" title=${t(`warning.${word}.help`)} data-testid="warning">⚠ ${t(`warning.${word}.${form}`)}</span>`,
    );
  }

  #delay(view: TileView): TemplateResult {
    const relay = view.delayMs === null ? t("tile.delayUnknown") : t("tile.delay", { ms: Math.round(view.delayMs) });
    const whole = view.endToEnd;
    if (whole === null) return html`<span data-testid="delay">${relay}</span>`;
    const words = t("tile.endToEnd", { ms: Math.round(whole.ms), uncertainty: Math.ceil(whole.uncertaintyMs) });
    return html`<span data-testid="delay">${relay}</span><span data-testid="end-to-end">${words}</span>`;
  }

  /** While no recent state has been received, the recording is shown as unknown. */
  #recording({ camera, fresh, liveness, sealedAge }: TileView): TemplateResult {
    if (camera === null) return html``;
    if (camera.original === "camera") return html`<span class="rec" data-testid="rec">${t("rec.onCamera")}</span>`;
    if (!fresh)
      return liveness.kind === "asleep"
        ? html``
        : html`<span class="soft" data-testid="rec" data-rec="unknown">? ${t("rec.unknown")}</span>`;
    const on = camera.rec === "recording";
    return html`<span class="rec ${on ? "on" : "off"}" data-testid="rec" data-rec=${camera.rec}>${on ? "◉" : "⚠"} ${t(recordingWords(camera))}</span>
      ${on ? html`<span class=${sealIsLate(sealedAge) ? "warn" : ""} data-testid="seal">${seal(sealedAge)}</span>` : nothing}`;
  }

  #tools(view: TileView): TemplateResult {
    // Sound may go on for a moment after it was switched off for the camera.  A person can always mute it.
    const canHear = view.audible || view.camera?.liveAudio === true;
    const hear = canHear ? t(view.audible ? "tile.mute" : "tile.hear") : t("tile.noAudio");
    return html`<button title=${hear} aria-label=${hear} aria-pressed=${view.audible} ?disabled=${!canHear} data-testid="hear" tabindex="-1"
        @click=${() => this.#emit("tile-hear")}>${view.audible ? "♪" : "♪̸"}</button>
      <button title=${t(this.spotlight ? "tile.shrink" : "tile.enlarge")} aria-label=${t(this.spotlight ? "tile.shrink" : "tile.enlarge")}
        data-testid="enlarge" tabindex="-1" @click=${() => this.#emit("tile-enlarge")}>${this.spotlight ? "⤡" : "⤢"}</button>
      <button title=${t("tile.remove")} aria-label=${t("tile.remove")} data-testid="remove" tabindex="-1" @click=${() => this.#emit("tile-remove")}>✕</button>`;
  }

  /** Report every presented frame to the wall, with the time at which its last packet was received. */
  #watch(): void {
    const { video } = this;
    if (video === null || this.view.id === null) {
      this.#callback = 0;
      return;
    }
    const camera = this.view.id;
    this.#callback = video.requestVideoFrameCallback((now, metadata) => {
      const received = metadata.receiveTime ?? null;
      const frame: PresentedFrame = {
        at: shownAt(now, received),
        received,
        rtp: metadata.rtpTimestamp ?? null,
      };
      this.dispatchEvent(
        new CustomEvent<{ camera: string; frame: PresentedFrame }>("tile-frame", {
          detail: { camera, frame },
          bubbles: true,
          composed: true,
        }),
      );
      this.#watch();
    });
  }

  readonly #confirm = (): void => {
    this.dispatchEvent(
      new CustomEvent<string>("confirm-wanted", { detail: this.view.id ?? "", bubbles: true, composed: true }),
    );
  };

  #emit(name: string): void {
    this.dispatchEvent(new CustomEvent<number>(name, { detail: this.view.tile, bubbles: true, composed: true }));
  }

  constructor() {
    super();
    this.addEventListener("dragstart", (event) => {
      if (this.view.id === null) return;
      event.dataTransfer?.setData(CAMERA_TYPE, this.view.id);
    });
  }
}

function isBroken(camera: Camera | null): boolean {
  return (
    camera !== null && camera.worker !== null && camera.original === "relay" && !["recording", "waiting"].includes(camera.rec)
  );
}

function sealIsLate(sealedAge: number | null): boolean {
  return sealedAge === null || sealedAge > SEAL_LATE_AFTER_S;
}

function seal(sealedAge: number | null): string {
  if (sealedAge === null) return `⚠ ${t("seal.none")}`;
  return sealIsLate(sealedAge) ? `⚠ ${t("seal.late", { age: age(sealedAge) })}` : `✓ ${t("seal.ok")}`;
}
