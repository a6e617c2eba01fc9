// Small charts as SVG: bars of a session's gaps, and bars over sessions. The numbers are made in numbers.js; each chart has a text
// for screen readers.
import { html } from "../../app/dom.js";
import { millisecondsText } from "../../app/text.js";
import { SERIES, gapBins, seriesOf, sessionNumbers, short } from "./numbers.js";

const HEIGHT = 56;

/**
 * @param {{title: string, unit?: string, name: string, bars: {id: string, label: string, value: number}[], chosen?: string, onChoose?: (id: string) => void, note?: string}} props
 */
export function Bars({ title, unit = "", name, bars, chosen, onChoose, note }) {
  const top = Math.max(...bars.map((bar) => bar.value), 0) || 1;
  const step = Math.max(Math.min(240 / Math.max(bars.length, 1), 28), 3);
  const say = (value) => (unit === "ms" ? millisecondsText(value) : `${short(value)}${unit}`);
  const last = bars.at(-1);
  return html`<figure class="chart" data-chart=${name}>
    <figcaption><span>${title}</span> <strong>${note ?? (last ? say(last.value) : "–")}</strong></figcaption>
    ${bars.length === 0 ? html`<p class="quiet">No numbers yet.</p>` : html`
      <svg viewBox=${`0 0 240 ${HEIGHT}`} role="img" aria-label=${`${title}: ${bars.length} values, highest ${say(top)}`} preserveAspectRatio="xMinYMid meet">
        ${bars.slice(-80).map((bar, index) => {
          const height = Math.max((bar.value / top) * (HEIGHT - 6), 1);
          return html`<rect key=${bar.id} x=${index * step} y=${HEIGHT - height} width=${step - 1.5} height=${height} rx="1" data-chosen=${bar.id === chosen ? "true" : "false"}
            onClick=${onChoose ? () => onChoose(bar.id) : undefined}><title>${bar.label}: ${say(bar.value)}</title></rect>`;
        })}
      </svg>
      <p class="quiet">highest ${say(top)}</p>`}
  </figure>`;
}

/** Charts over all sessions. @param {{summaries: any[], chosen: string|null, onChoose: (id: string) => void}} props */
export function SessionCharts({ summaries, chosen, onChoose }) {
  return html`<div class="charts">${SERIES.map(({ id, title, unit, of }) => html`<${Bars} key=${id} name=${id} title=${title} unit=${unit} bars=${seriesOf(summaries, of)}
    chosen=${chosen} onChoose=${onChoose} />`)}</div>`;
}

/** The numbers and the gaps of one session. @param {{session: any}} props */
export function SessionNumbers({ session }) {
  const numbers = sessionNumbers(session);
  const { usage } = session;
  const facts = [
    ["first item", millisecondsText(numbers.firstItem)], ["first token", millisecondsText(numbers.firstToken)],
    ["longest gap", millisecondsText(numbers.longestGap)],
    ["tokens", usage?.total_tokens !== undefined ? `${usage.prompt_tokens ?? "–"} + ${usage.completion_tokens ?? "–"}` : "–"],
    ["tokens/s", numbers.tokensPerSecond === null ? "–" : short(numbers.tokensPerSecond)],
    ["price", usage?.total_price !== undefined ? `${usage.total_price} ${usage.currency ?? ""}` : "–"],
  ];
  const bins = gapBins(numbers.gaps).map((bin) => ({
    id: String(bin.from), label: bin.to === Infinity ? `${bin.from} ms and more` : `${bin.from}–${bin.to} ms`, value: bin.count,
  }));
  return html`<div class="numbers">
    <dl class="facts" data-part="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${numbers.gaps.length > 0 && html`<${Bars} name="gaps" title="Gaps between items, by length" bars=${bins} note=${`${numbers.gaps.length} gaps`} />`}
  </div>`;
}
