// A table that scrolls within itself on narrow screens.
import { html } from "../app/dom.js";

/**
 * @param {{caption: string, columns: {id: string, title: any, numeric?: boolean}[], rows: {id: string|number, cells: Record<string, any>, attributes?: object}[]}} props
 */
export function Table({ caption, columns, rows }) {
  return html`<div class="table" tabindex="0" role="group" aria-label=${caption}><table>
    <caption class="unseen">${caption}</caption>
    <thead><tr>${columns.map((column) => html`<th key=${column.id} scope="col" class=${column.numeric ? "numeric" : ""}>${column.title}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.id} ...${row.attributes ?? {}}>
      ${columns.map((column) => html`<td key=${column.id} class=${column.numeric ? "numeric" : ""}>${row.cells[column.id]}</td>`)}
    </tr>`)}</tbody>
  </table></div>`;
}
