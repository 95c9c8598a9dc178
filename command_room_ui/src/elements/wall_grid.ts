/**
 * The wall on screen: tiles in their places, the buttons of the layout, drag and drop.
 *
 * Owns: the grid, and what each gesture on it does.  Must never know: slots, sockets.
 *
 * A tile's element belongs to its camera and is never moved in the document, because a moved video would stop and lose its last
 * picture.  The lines of the CSS grid give its place.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { styleMap } from "lit/directives/style-map.js";
import { clock, type Key, t } from "../i18n";
import * as layout from "../layout";
import type { PresentedFrame } from "../liveness";
import type { TileView } from "../tile_view";
import type { Workstation } from "../workstation";
import { controls, LocalizedElement } from "./base";
import { CAMERA_TYPE } from "./camera_list";
import "./wall_tile";

@customElement("wall-grid")
export class WallGrid extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        display: flex;
        flex-direction: column;
        min-width: 0;
        min-height: 0;
        background: #000;
      }
      .bar {
        display: flex;
        align-items: center;
        gap: 0.4em;
        padding: 0.3em 0.5em;
        background: var(--panel);
        flex-wrap: wrap;
      }
      .bar button {
        min-height: 2em;
        padding: 0.15em 0.7em;
      }
      .bar button[aria-pressed="true"] {
        background: var(--accent-ground);
        border-color: var(--accent);
        font-weight: 700;
      }
      .bar .space {
        flex: 1;
      }
      .grid {
        flex: 1;
        min-height: 0;
        display: grid;
        gap: 3px;
        padding: 3px;
      }
      .grid:focus-visible {
        outline-offset: -3px;
      }
      wall-tile.over {
        outline: 4px dashed var(--accent);
        outline-offset: -6px;
      }
    `,
  ];

  @property({ attribute: false }) workstation!: Workstation;
  /** Grows with each change of the wall, so that this element is drawn again. */
  @property({ type: Number }) revision = 0;
  @state() private over: number | null = null;

  protected override render(): TemplateResult {
    const wall = this.workstation.wall.layout;
    const tiles = this.workstation.wall.tiles().sort((left, right) => key(left).localeCompare(key(right)));
    const template = layout.gridTemplate(wall);
    return html`<div class="bar" role="toolbar" aria-label=${t("wall.layout")}>
        ${layout.SIZES.map((size) => this.#sizeButton(size))}
        <span class="space"></span>
        <slot name="bar"></slot>
        <button @click=${this.#toggleFullScreen} data-testid="full-screen">${t(document.fullscreenElement !== null ? "wall.leaveFullScreen" : "wall.fullScreen")}</button>
      </div>
      <div class="grid" role="group" tabindex="0" aria-label=${t("wall.title")} data-testid="wall" data-size=${wall.size}
        style=${styleMap({ "grid-template-columns": template.columns, "grid-template-rows": template.rows })}
        @tile-frame=${this.#onFrame}>
        ${repeat(tiles, key, (view) => this.#tile(view))}
      </div>
      <p class="hidden" role="status" aria-live="polite">${this.#announce()}</p>`;
  }

  #sizeButton(size: layout.Size): TemplateResult {
    return html`<button aria-pressed=${this.workstation.wall.layout.size === size} aria-label=${t("wall.size", { count: size })} data-testid="size-${size}"
      @click=${() => this.#arrange(layout.resize(this.workstation.wall.layout, size))}>${size}</button>`;
  }

  #tile(view: TileView): TemplateResult {
    const wall = this.workstation.wall.layout;
    const place = layout.placeOf(wall, view.tile);
    return html`<wall-tile .view=${view} .large=${layout.isLarge(wall, view.tile)} .spotlight=${wall.spotlight && wall.selected === view.tile}
      ?selected=${wall.selected === view.tile} .alarm=${this.#alarm(view)}
      class=${this.over === view.tile ? "over" : nothing} draggable=${view.id === null ? "false" : "true"}
      style=${styleMap({ "grid-column": place.column, "grid-row": place.row })}
      role="group" aria-label=${label(view)}
      @click=${() => this.#arrange(layout.select(this.workstation.wall.layout, view.tile))}
      @dragover=${(event: DragEvent) => this.#onDragOver(event, view.tile)} @dragleave=${() => this.#onDragLeave(view.tile)}
      @drop=${(event: DragEvent) => this.#onDrop(event, view.tile)}
      @tile-hear=${() => this.hear(view.tile)} @tile-enlarge=${() => this.enlarge(view.tile)}
      @tile-remove=${() => this.#arrange(layout.clear(this.workstation.wall.layout, view.tile))}
      @tile-retry=${() => this.workstation.wall.retry(view.id ?? "")}></wall-tile>`;
  }

  #alarm(view: TileView): "" | "seen" | "unseen" {
    const alarm = this.workstation.state.alarms.get(view.id ?? "");
    if (alarm === undefined) return "";
    return alarm.seen ? "seen" : "unseen";
  }

  /** Listen to a tile, or stop listening to it. */
  hear(tile: number): void {
    const camera = this.workstation.wall.layout.tiles[tile] ?? null;
    const wall = this.workstation.wall.layout;
    if (camera === null) return;
    if (wall.audible === camera || this.workstation.state.cameras.get(camera)?.liveAudio)
      this.#arrange(layout.listen(wall, camera));
  }

  /** Show a tile large with the others beside it, or go back. */
  enlarge(tile: number): void {
    const wall = this.workstation.wall.layout;
    const other = wall.spotlight && wall.selected !== tile;
    const next = layout.select(wall, tile);
    this.#arrange(other ? next : layout.toggleSpotlight(next));
  }

  /** The whole live view fills the screen, not the wall alone: an emergency must be seen in full screen too. */
  readonly #toggleFullScreen = (): void => {
    this.dispatchEvent(new CustomEvent("full-screen"));
  };

  #arrange(next: layout.WallState): void {
    this.workstation.wall.arrange(next);
  }

  #onFrame(event: CustomEvent<{ camera: string; frame: PresentedFrame }>): void {
    this.workstation.wall.presented(event.detail.camera, event.detail.frame);
  }

  #onDragOver(event: DragEvent, tile: number): void {
    if (!event.dataTransfer?.types.includes(CAMERA_TYPE)) return;
    event.preventDefault();
    this.over = tile;
  }

  #onDragLeave(tile: number): void {
    if (this.over === tile) this.over = null;
  }

  #onDrop(event: DragEvent, tile: number): void {
    const camera = event.dataTransfer?.getData(CAMERA_TYPE) ?? "";
    this.over = null;
    if (camera === "") return;
    event.preventDefault();
    this.#arrange(layout.place(this.workstation.wall.layout, camera, tile));
  }

  /** For a person who does not see the screen: the pictures that are not live, and the transmissions that end soon. */
  #announce(): string {
    const tiles = this.workstation.wall.tiles();
    const ends = tiles.flatMap(({ camera, ending }) =>
      camera === null || ending === null ? [] : [`${camera.label} : ${t("ending.announce", { time: clock(ending.at) })}`],
    );
    const still = tiles.filter((view) => view.liveness.kind === "frozen" || view.liveness.kind === "refused");
    const words = still.map((view) => `${view.camera?.label ?? view.id} : ${t(`tile.${view.liveness.kind}` as Key)}`);
    return [...words, ...ends].join(". ");
  }
}

function key(view: TileView): string {
  return view.id === null ? `~${String(view.tile).padStart(2, "0")}` : view.id;
}

function label(view: TileView): string {
  if (view.id === null) return t("tile.empty", { tile: view.tile + 1 });
  return t("tile.label", {
    tile: view.tile + 1,
    label: view.camera?.label ?? view.id,
    state: t(`tile.${view.liveness.kind}` as Key),
  });
}
