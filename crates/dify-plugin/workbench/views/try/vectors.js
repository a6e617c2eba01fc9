// Vectors as small bars, and how near they are to each other.
import { html } from "../../app/dom.js";
import { Table } from "../../parts/table.js";

const MAX_BARS = 96;

/** @param {number[]} a @param {number[]} b */
export function cosine(a, b) {
  let product = 0;
  let left = 0;
  let right = 0;
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    product += a[at] * b[at];
    left += a[at] * a[at];
    right += b[at] * b[at];
  }
  return left && right ? product / Math.sqrt(left * right) : 0;
}

function Bars({ vector, label }) {
  const shown = vector.slice(0, MAX_BARS);
  const top = Math.max(...shown.map(Math.abs), 1e-9);
  return html`<svg class="bars" viewBox=${`0 0 ${MAX_BARS * 2} 24`} role="img" aria-label=${label} preserveAspectRatio="none">
    ${shown.map((value, at) => {
      const height = (Math.abs(value) / top) * 11;
      return html`<rect key=${at} x=${at * 2} width="1.5" y=${value >= 0 ? 12 - height : 12} height=${Math.max(height, 0.4)} data-sign=${value >= 0 ? "plus" : "minus"} />`;
    })}
  </svg>`;
}

/** @param {{vectors: number[][], texts: string[]}} props */
export function VectorBars({ vectors, texts }) {
  const columns = [
    { id: "text", title: "Text" }, { id: "size", title: "Numbers", numeric: true }, { id: "near", title: "Nearness to the first", numeric: true },
    { id: "bars", title: `The first ${MAX_BARS}` },
  ];
  const rows = vectors.slice(0, 50).map((vector, index) => ({
    id: index,
    cells: {
      text: texts[index] ?? `${index + 1}`, size: vector.length, near: cosine(vectors[0], vector).toFixed(4),
      bars: html`<${Bars} vector=${vector} label=${`Vector ${index + 1}`} />`,
    },
  }));
  return html`<${Table} caption="Vectors" columns=${columns} rows=${rows} />`;
}
