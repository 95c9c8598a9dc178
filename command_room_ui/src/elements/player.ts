/**
 * Playing a recording: HLS into a video element with the browser's own controls, single frames, the time of each picture.
 *
 * Owns: hls.js and the keys of the player.  Must never know: why it may be played.
 */

import { css, html, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { dateTime, t } from "../i18n";
import type { Segment } from "../model";
import { pictureTime, type Span } from "../picture_time";
import { controls, Spoken } from "./base";

/** Until two frames have been seen. */
const FRAME_GUESS_S = 1 / 30;
const SKIP_S = 10;

@customElement("recording-player")
export class RecordingPlayer extends Spoken {
  static override styles = [
    controls,
    css`
      video {
        width: 100%;
        max-height: 70vh;
        background: #000;
        display: block;
      }
      .row {
        margin-top: 0.6em;
      }
      .at {
        font-variant-numeric: tabular-nums;
        font-weight: 600;
      }
    `,
  ];

  @property() playlist = "";
  @property({ attribute: false }) segments: readonly Segment[] = [];
  @state() private message = "";
  @state() private at: number | null = null;
  @query("video") private video!: HTMLVideoElement;
  #close: () => void = () => {};
  #spans: readonly Span[] = [];
  #frame = FRAME_GUESS_S;
  #shown = 0;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#close();
  }

  protected override render(): TemplateResult {
    return html`<video controls playsinline tabindex="0" data-testid="player" @keydown=${this.#onKey}></video>
      <div class="row">
        <button @click=${() => this.#skip(-SKIP_S)}>${t("play.back")}</button>
        <button @click=${() => this.#step(-1)} data-testid="frame-back">${t("play.frameBack")}</button>
        <button @click=${() => this.#step(1)} data-testid="frame-forward">${t("play.frameForward")}</button>
        <button @click=${() => this.#skip(SKIP_S)}>${t("play.forward")}</button>
        <span class="soft">${t("play.at")} :</span> <span class="at" data-testid="picture-time">${dateTime(this.at)}</span>
      </div>
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>`;
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("playlist") && this.playlist !== "") void this.#open();
  }

  /** hls.js is loaded only here: who never plays a recording never fetches it. */
  async #open(): Promise<void> {
    this.#close();
    const { default: Hls } = await import("hls.js/light");
    const hls = new Hls({ enableWorker: false, maxBufferLength: 60 });
    this.#close = () => hls.destroy();
    hls.on(Hls.Events.LEVEL_UPDATED, (_event, data) => {
      this.#spans = data.details.fragments.map((fragment) => ({ start: fragment.start, seconds: fragment.duration }));
    });
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (data.fatal) this.message = t("play.failed", { detail: data.details });
    });
    hls.loadSource(this.playlist);
    hls.attachMedia(this.video);
    this.#watch();
    await this.video.play().catch(() => undefined);
  }

  #watch(): void {
    this.video.requestVideoFrameCallback((_now, metadata) => {
      const apart = metadata.mediaTime - this.#shown;
      if (apart > 0.005 && apart < 0.25) this.#frame = apart;
      this.#shown = metadata.mediaTime;
      this.at = pictureTime(metadata.mediaTime, this.#spans, this.segments);
      if (this.isConnected) this.#watch();
    });
  }

  #step(frames: number): void {
    this.video.pause();
    // Half a frame further, so that rounding lands on the frame that is meant.
    this.video.currentTime = Math.max(0, this.#shown + this.#frame * (frames + 0.5));
  }

  #skip(seconds: number): void {
    this.video.currentTime = Math.max(0, this.video.currentTime + seconds);
  }

  #onKey(event: KeyboardEvent): void {
    const does: Readonly<Record<string, () => void>> = {
      ",": () => this.#step(-1),
      ".": () => this.#step(1),
      j: () => this.#skip(-SKIP_S),
      l: () => this.#skip(SKIP_S),
    };
    const action = does[event.key.toLowerCase()];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }
}
