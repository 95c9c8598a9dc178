/**
 * What the live view says of the connection to the relay, of the video connections, of the disk and of the processes.
 *
 * Owns: these banners and lines, and when each is shown.  Must never know: cameras, interventions, keys.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { type DiskNotice, diskNotice } from "../disk";
import { age, bytes, type Key, refusal, span, t } from "../i18n";
import type { Workstation } from "../workstation";

type Line = TemplateResult | typeof nothing;

/** A live socket that is back within this time needs no banner. */
const STALE_AFTER_S = 2;

export const statusStyles = css`
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
`;

/** Banners above the wall; `now` in milliseconds since 1970. */
export function banners(workstation: Workstation, now: number): TemplateResult {
  return html`${staleBanner(workstation, now)} ${refusedBanner(workstation)} ${diskBanner(workstation)}`;
}

/** The right end of the line below the wall. */
export function connectionLine(workstation: Workstation): TemplateResult {
  const socket = workstation.socket.state;
  const broken = brokenCount(workstation);
  return html`${cageLine(workstation)} ${diskLine(workstation)}
    ${broken > 0 && socket === "open" ? html`<span class="down" data-testid="media-state">⚠ ${t("link.media", { count: broken })}</span>` : nothing}
    <span role="status" class=${socket === "open" ? "up" : "down"} data-testid="socket-state" data-state=${socket}>${socket === "open" ? "✓" : "⚠"} ${t(`link.${socket}` as Key)}</span>`;
}

/** Viewer sessions that the page is opening again. */
function brokenCount({ wall, state }: Workstation): number {
  const reopening = [...wall.viewerSessions.values()].filter((session) => session.state !== "refused");
  return reopening.filter((session) => !session.mediaUp || state.down.has(session.worker)).length;
}

function staleBanner({ downSince }: Workstation, now: number): Line {
  const seconds = downSince === null ? 0 : (now - downSince) / 1000;
  if (seconds < STALE_AFTER_S) return nothing;
  return html`<p class="stale" role="alert" data-testid="stale">⚠ ${t("link.stale", { age: age(seconds) })}</p>`;
}

/** The same offer would be refused again: a person has to know why. */
function refusedBanner({ wall }: Workstation): Line {
  const refused = [...wall.viewerSessions.values()].map((session) => session.refusal).find((why) => why !== null);
  if (refused == null) return nothing;
  return html`<p class="stale bad" role="alert" data-testid="media-refused">⚠ ${t("link.refused", { detail: refusal(refused) })}</p>`;
}

function diskBanner({ state }: Workstation): Line {
  const notice = diskNotice(state.disk);
  if (notice.level === "bad")
    return html`<p class="stale bad" role="alert" data-testid="disk" data-state=${notice.state}>⚠ ${t(`disk.${notice.state}`)}</p>`;
  return notice.level === "warn" ? html`<p class="stale" role="status" data-testid="disk">⚠ ${fullSoon(notice)}</p>` : nothing;
}

function diskLine({ state }: Workstation): Line {
  const notice = diskNotice(state.disk);
  return notice.level === "line" ? html`<span class="soft" data-testid="disk-line">${fullSoon(notice)}</span>` : nothing;
}

/** A line and no banner: it is for whoever looks after the machine, and stays until that person acts. */
function cageLine({ state }: Workstation): Line {
  if (state.uncaged.length === 0) return nothing;
  return html`<span class="down" data-testid="cage-line">⚠ ${t("cage.incomplete", { processes: state.uncaged.join(", ") })}</span>`;
}

function fullSoon(notice: Extract<DiskNotice, { level: "line" | "warn" }>): string {
  return t("disk.soon", { when: span(notice.fullInS), free: bytes(notice.free) });
}
