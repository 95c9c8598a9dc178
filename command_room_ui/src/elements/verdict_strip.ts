/**
 * A verdict as it is shown: four answers in words, one mark for each fragment, the findings and notes.
 *
 * Owns: the signs, colours and words of marks.  Must never know: how a verdict is reached.
 */

import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { dateTime, type Key, language, t, tCode } from "../i18n";
import { AXES, countMarks, type Finding, MARKS, type Mark, strip, tone, type Verdict } from "../verdict";
import { controls, LocalizedElement } from "./base";

const NAMES: Readonly<Record<Mark, Key>> = {
  ".": "mark.intact",
  X: "mark.altered",
  M: "mark.missing",
  D: "mark.misplaced",
  "?": "mark.unknown",
  "-": "mark.notExported",
};
const CLASSES: Readonly<Record<Mark, string>> = {
  ".": "ok",
  X: "altered",
  M: "missing",
  D: "misplaced",
  "?": "unknown",
  "-": "outside",
};
/** Each cell shows a sign beside its colour. */
const SIGNS: Readonly<Record<Mark, string>> = { ".": "", X: "✕", M: "∅", D: "⇄", "?": "?", "-": "–" };
const TONES = { good: "✓", warn: "⚠", bad: "✕" } as const;
const MAX_CELLS = 240;

@customElement("verdict-strip")
export class VerdictStrip extends LocalizedElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        gap: 0.9em;
      }
      .overall {
        font-size: 1.15em;
        font-weight: 700;
      }
      .good {
        color: var(--good);
      }
      .warn {
        color: var(--warn);
      }
      .bad {
        color: var(--bad);
      }
      dl {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr));
        gap: 0.6em;
        margin: 0;
      }
      dl div {
        border: 1px solid var(--line);
        border-radius: var(--radius);
        padding: 0.5em 0.8em;
      }
      dt {
        color: var(--soft);
      }
      dd {
        margin: 0;
        font-weight: 700;
      }
      .strip {
        display: flex;
        flex-wrap: wrap;
        gap: 2px;
      }
      .cell {
        width: 0.9em;
        height: 1.5em;
        padding: 0;
        min-height: 0;
        border: 0;
        border-radius: 2px;
        font-size: 0.9em;
        font-weight: 700;
        line-height: 1.5em;
        text-align: center;
        color: #000;
      }
      .ok {
        background: #2f7d52;
      }
      .altered {
        background: var(--bad);
      }
      .missing {
        background: repeating-linear-gradient(45deg, var(--bad) 0 3px, #fff 3px 6px);
      }
      .misplaced {
        background: var(--warn);
      }
      .unknown {
        background: #8494a3;
      }
      .outside {
        background: none;
        outline: 1px dashed var(--soft);
        color: var(--soft);
      }
      .legend {
        display: flex;
        flex-wrap: wrap;
        gap: 0.4em 1.4em;
      }
      .legend span {
        display: inline-flex;
        gap: 0.5em;
        align-items: center;
      }
      ul {
        margin: 0;
        padding-left: 1.2em;
      }
      code {
        overflow-wrap: anywhere;
      }
    `,
  ];

  @property({ attribute: false }) verdict!: Verdict;
  @state() private hovered = "";

  protected override render(): TemplateResult {
    const { verdict } = this;
    const good = verdict.exitCode === 0;
    return html`<p class="overall ${good ? "good" : "bad"}" role="status" data-testid="verdict" data-exit=${verdict.exitCode}>
        ${good ? TONES.good : TONES.bad} ${t(good ? "verify.good" : "verify.bad")}</p>
      <p class="soft">${dateTime(verdict.startAt)} → ${dateTime(verdict.endAt)}</p>
      ${this.#said()} ${this.#answers()} ${this.#strip()} ${this.#legend()}
      ${this.#findings("verify.findings", verdict.findings, "bad")} ${this.#findings("verify.notes", verdict.notes, "soft")}
      ${verdict.omitted > 0 ? html`<p class="soft">${t("verify.omitted", { count: verdict.omitted })}</p>` : nothing}
      <p class="soft">${t("verify.signer")} : <code>${verdict.signer}</code></p>
      ${verdict.trustedKey === "" ? nothing : html`<p class="soft">${t("verify.trusted")} : <code>${verdict.trustedKey}</code></p>`}`;
  }

  /** What the signed start and end say: texts of people, each in a place of its own. */
  #said(): TemplateResult | typeof nothing {
    const said = this.verdict.said;
    if (said === null) return nothing;
    const end = [said.reason === null ? "" : t(`reason.${said.reason}` as Key), said.author].filter((word) => word !== "");
    const rows: [Key, string][] = [
      ["verify.camera", said.label],
      ["recording.bearer", said.bearer],
      ["recording.trigger", tCode("trigger", said.trigger)],
      ["recording.reason", end.join(" · ")],
    ];
    return html`<div>
      ${this.verdict.answers.origin === "proved" ? nothing : html`<p class="warn">${t("verify.unproved")}</p>`}
      <dl data-testid="said">${rows.map(([key, value]) => html`<div><dt>${t(key)}</dt><dd><bdi>${value || "—"}</bdi></dd></div>`)}</dl>
    </div>`;
  }

  #answers(): TemplateResult {
    const words = this.verdict.words[language()];
    return html`<dl>${AXES.map((axis) => {
      const how = tone(this.verdict.answers[axis], this.verdict.exitCode);
      return html`<div data-testid="answer-${axis}"><dt>${t(`verify.${axis}` as Key)}</dt><dd class=${how}>${TONES[how]} ${words[axis]}</dd></div>`;
    })}</dl>`;
  }

  #strip(): TemplateResult {
    const { marks } = this.verdict;
    return html`<div>
      <p class="soft">${t("verify.strip", { count: marks.length })}</p>
      <div class="strip" data-testid="strip" role="img" aria-label=${this.#summary()}>
        ${strip(marks, MAX_CELLS).map((cell) => {
          const words = this.#cell(cell.first, cell.last, cell.mark);
          return html`<span class="cell ${CLASSES[cell.mark]}" title=${words} @pointerenter=${() => {
            this.hovered = words;
          }}>${SIGNS[cell.mark]}</span>`;
        })}
      </div>
      <p class="soft" aria-hidden="true">${this.hovered || "\u00a0"}</p>
    </div>`;
  }

  #cell(first: number, last: number, mark: Mark): string {
    const words = t(NAMES[mark]);
    return first === last ? t("verify.fragment", { first, mark: words }) : t("verify.fragments", { first, last, mark: words });
  }

  #summary(): string {
    return [...countMarks(this.verdict.marks)].map(([mark, count]) => `${t(NAMES[mark])} : ${count}`).join(", ");
  }

  #legend(): TemplateResult {
    const counts = countMarks(this.verdict.marks);
    return html`<div class="legend" aria-hidden="true">${MARKS.filter((mark) => counts.has(mark)).map(
      (mark) =>
        html`<span><span class="cell ${CLASSES[mark]}">${SIGNS[mark]}</span>${t(NAMES[mark])} : ${counts.get(mark)}</span>`,
    )}</div>`;
  }

  #findings(title: Key, findings: readonly Finding[], how: string): TemplateResult | typeof nothing {
    if (findings.length === 0) return nothing;
    return html`<div><h3>${t(title)}</h3><ul data-testid=${title}>${findings.map((finding) => html`<li class=${how}>${finding.words[language()]}</li>`)}</ul></div>`;
  }
}
