/**
 * The player of a recording: HLS in a video element with the browser's own controls, steps of one frame, the time of each
 * picture.
 *
 * Owns: hls.js and the keys of the player.  Must never know: motives and rights.
 */

import type { Loader, LoaderCallbacks, LoaderConfiguration, LoaderContext, LoaderStats, PlaylistLoaderContext } from "hls.js";
import { css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import type { Api } from "../api";
import { age, dateTime, t } from "../i18n";
import type { Segment } from "../model";
import { firstPart, gather, type Part, readPlaylist, type Tracks, tracksOf, writePlaylist } from "../parts";
import { pictureTime, type Span } from "../picture_time";
import { controls, explain, LocalizedElement } from "./base";

/** Length of a frame until two frames have been presented. */
const FRAME_GUESS_S = 1 / 30;
const SKIP_S = 10;

@customElement("recording-player")
export class RecordingPlayer extends LocalizedElement {
  static override styles = [
    controls,
    css`
      video {
        width: 100%;
        max-height: 56vh;
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
      button[aria-pressed="true"] {
        background: var(--accent-ground);
        border-color: var(--accent);
      }
    `,
  ];

  @property({ attribute: false }) api!: Api;
  @property() playlist = "";
  @property({ attribute: false }) segments: readonly Segment[] = [];
  @state() private message = "";
  @state() private at: number | null = null;
  @state() private parts: readonly Part[] = [];
  @state() private playing = 0;
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
    return html`${this.parts.length > 1 ? this.#partButtons() : nothing}
      <video controls playsinline tabindex="0" data-testid="player" @keydown=${this.#onKey} @ended=${this.#onEnded}></video>
      <div class="row">
        <button @click=${() => this.#skip(-SKIP_S)}>${t("play.back")}</button>
        <button @click=${() => this.#step(-1)} data-testid="frame-back">${t("play.frameBack")}</button>
        <button @click=${() => this.#step(1)} data-testid="frame-forward">${t("play.frameForward")}</button>
        <button @click=${() => this.#skip(SKIP_S)}>${t("play.forward")}</button>
        <span><span class="soft">${t("play.at")} :</span> <span class="at" data-testid="picture-time">${dateTime(this.at)}</span></span>
      </div>
      <p class="error" role="alert" ?hidden=${this.message === ""}>${this.message}</p>`;
  }

  #partButtons(): TemplateResult {
    return html`<div class="row" role="group" aria-label=${t("play.parts")}>${this.parts.map((part, index) => {
      const words = { n: index + 1, length: age(part.seconds) };
      return html`<button aria-pressed=${index === this.playing} @click=${() => this.#play(index)}>${t(part.tracks === "picture" ? "play.part" : "play.soundPart", words)}</button>`;
    })}</div>`;
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("playlist") && this.playlist !== "") void this.#open();
  }

  async #open(): Promise<void> {
    const answer = await this.api.media(this.playlist);
    if (answer.kind !== "ok") {
      this.message = explain(answer);
      return;
    }
    const pieces = readPlaylist(new TextDecoder().decode(answer.value), new URL(this.playlist, location.href).href);
    const tracks = new Map<string, Tracks>();
    for (const map of new Set(pieces.map((piece) => piece.map))) {
      const init = await this.api.media(map);
      if (init.kind === "ok") tracks.set(map, tracksOf(init.value));
    }
    this.parts = gather(pieces, tracks);
    await this.#play(firstPart(this.parts));
  }

  /** Play a part.  hls.js is loaded here, so that a page that never plays a recording never fetches it. */
  async #play(index: number): Promise<void> {
    const part = this.parts[index];
    if (part === undefined) return;
    this.#close();
    this.playing = index;
    this.message = "";
    const { default: Hls } = await import("hls.js/light");
    const text = writePlaylist(part);
    const hls = new Hls({ enableWorker: false, maxBufferLength: 60, pLoader: textLoader(text) });
    this.#close = () => hls.destroy();
    hls.on(Hls.Events.LEVEL_UPDATED, (_event, data) => {
      this.#spans = data.details.fragments.map((fragment, at) => ({
        segment: part.pieces[at]?.segment ?? -1,
        start: fragment.start,
      }));
    });
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (data.fatal) this.message = t("play.failed", { detail: data.details });
    });
    hls.loadSource(this.playlist);
    hls.attachMedia(this.video);
    this.#watch();
    await this.video.play().catch(() => undefined);
  }

  /** Go on with the next part. */
  #onEnded(): void {
    if (this.playing + 1 < this.parts.length) void this.#play(this.playing + 1);
  }

  #watching = 0;

  #watch(): void {
    this.video.cancelVideoFrameCallback(this.#watching);
    this.#watching = this.video.requestVideoFrameCallback((_now, metadata) => {
      const apart = metadata.mediaTime - this.#shown;
      if (apart > 0.005 && apart < 0.25) this.#frame = apart;
      this.#shown = metadata.mediaTime;
      this.at = pictureTime(metadata.mediaTime, this.#spans, this.segments);
      if (this.isConnected) this.#watch();
    });
  }

  #step(frames: number): void {
    this.video.pause();
    // While a step is under way, the next one counts from its target, which is already half a frame into a frame.
    const from = this.video.seeking ? this.video.currentTime - this.#frame / 2 : this.#shown;
    // Aim half a frame further, so that rounding cannot land on the frame before.
    this.video.currentTime = Math.max(0, from + this.#frame * (frames + 0.5));
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

/** Return a loader that answers every playlist request with this text: the playlist of a part exists only in the page. */
function textLoader(text: string): new () => Loader<PlaylistLoaderContext> {
  return class implements Loader<PlaylistLoaderContext> {
    context: PlaylistLoaderContext | null = null;
    readonly stats: LoaderStats = {
      aborted: false,
      loaded: 0,
      retry: 0,
      total: 0,
      chunkCount: 0,
      bwEstimate: 0,
      loading: { start: 0, first: 0, end: 0 },
      parsing: { start: 0, end: 0 },
      buffering: { start: 0, first: 0, end: 0 },
    };

    load(context: PlaylistLoaderContext, _config: LoaderConfiguration, callbacks: LoaderCallbacks<LoaderContext>): void {
      this.context = context;
      const now = performance.now();
      this.stats.loading = { start: now, first: now, end: now };
      queueMicrotask(() => callbacks.onSuccess({ url: context.url, data: text }, this.stats, context, null));
    }

    abort(): void {}

    destroy(): void {
      this.context = null;
    }
  };
}
