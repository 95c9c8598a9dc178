/**
 * The styles of a tile.  Sizes follow the tile (container units), so that a name can be read on a video wall and on a laptop.
 *
 * Owns: the looks of each state of a tile.  Must never know: when a tile is in which state.
 */

import { css } from "lit";

export const tileStyles = css`
  :host {
    position: relative;
    min-width: 0;
    min-height: 0;
    overflow: hidden;
    background: #000;
    border: 2px solid var(--line);
    container-type: size;
    cursor: pointer;
  }
  :host([selected]) {
    border-color: var(--accent);
    box-shadow: inset 0 0 0 2px var(--accent);
  }
  :host([alarm="unseen"]) {
    border-color: var(--bad);
    border-width: 4px;
    border-style: double;
  }
  .tile {
    position: absolute;
    inset: 0;
    display: flex;
    flex-direction: column;
    font-size: clamp(12px, min(6.5cqh, 4.2cqw), 40px);
    line-height: 1.35;
  }
  .tile.large {
    font-size: clamp(13px, min(4.2cqh, 2.6cqw), 40px);
  }
  .picture {
    position: relative;
    flex: 1;
    min-height: 0;
  }
  .urgent {
    color: var(--bad);
  }
  video {
    position: absolute;
    inset: 0;
    width: 100%;
    height: 100%;
    object-fit: contain;
    background: #000;
  }
  video.unseen {
    visibility: hidden;
  }
  .frozen video,
  .refused video {
    filter: grayscale(1) brightness(0.45);
  }
  .cover {
    position: absolute;
    inset: 0;
    display: flex;
    flex-direction: column;
    align-items: center;
    justify-content: center;
    gap: 0.3em;
    text-align: center;
    padding: 0.3em 0.6em;
    text-shadow: 0 0 4px #000;
  }
  .frozen .cover {
    background: repeating-linear-gradient(45deg, rgb(0 0 0 / 0%) 0 1.2em, rgb(255 255 255 / 9%) 1.2em 1.6em);
  }
  .cover .big {
    font-size: 1.35em;
    font-weight: 700;
  }
  .frozen .big,
  .frozen .when,
  .refused .big {
    color: var(--warn);
  }
  .cover .when {
    font-size: 1.2em;
    font-weight: 600;
  }
  .cover .why {
    color: var(--soft);
    overflow: hidden;
  }
  .waiting .big,
  .asleep .big {
    color: var(--soft);
  }
  .top,
  .bottom {
    display: flex;
    align-items: center;
    gap: 0 0.7em;
    padding: 0.05em 0.45em;
    background: #0a1117;
    min-width: 0;
  }
  .bottom {
    flex-wrap: wrap;
    font-size: 0.85em;
    font-variant-numeric: tabular-nums;
  }
  .ending {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0 0.7em;
    padding: 0.1em 0.45em;
    background: #4a3500;
    font-size: 0.85em;
    font-weight: 700;
    font-variant-numeric: tabular-nums;
  }
  .ending button {
    min-height: 1.7em;
    padding: 0 0.6em;
    font-weight: 700;
  }
  .bottom:not(:has(span)) {
    display: none;
  }
  .number {
    border: 1px solid currentcolor;
    border-radius: 0.25em;
    padding: 0 0.35em;
    font-weight: 700;
    color: var(--soft);
  }
  .name {
    flex: 1;
    min-width: 0;
    font-weight: 700;
    white-space: nowrap;
    overflow: hidden;
    text-overflow: ellipsis;
  }
  .state {
    white-space: nowrap;
    font-weight: 700;
  }
  .live .state {
    color: var(--good);
  }
  .frozen .state,
  .refused .state {
    color: var(--warn);
  }
  .waiting .state,
  .asleep .state {
    color: var(--soft);
  }
  /* The cover says it in full over the picture. */
  .small:not(.live) .word {
    display: none;
  }
  .rec.on {
    color: var(--bad);
    font-weight: 700;
  }
  .rec.off,
  .warn {
    color: var(--warn);
    font-weight: 700;
  }
  .heard {
    color: var(--accent);
    font-weight: 700;
  }
  .empty {
    display: flex;
    align-items: center;
    justify-content: center;
    gap: 0.8em;
    color: var(--soft);
    background: var(--ground);
  }
  .tools {
    position: absolute;
    top: 0.3em;
    right: 0.3em;
    display: none;
    gap: 0.3em;
  }
  :host(:hover) .tools,
  :host(:focus-within) .tools,
  :host([selected]) .tools {
    display: flex;
  }
  .tools button {
    background: rgb(5 9 13 / 78%);
    min-height: 2em;
    min-width: 2em;
    padding: 0.1em 0.4em;
  }
`;
