// The mark at a field that Dify draws otherwise than declared: code, message, and the line in the file.
import { html } from "../app/dom.js";

/** @param {{note: import("../app/types.js").Note, severity?: "warning"|"error"}} props */
export function Note({ note, severity = "warning" }) {
  return html`<div class="note" data-code=${note.code} data-severity=${severity}>
    <span class="note-code">${note.code}</span>
    <span class="note-message">${note.message}</span>
    <span class="note-place" title=${note.path}>${note.file}${note.line ? `:${note.line}` : ""}</span>
  </div>`;
}

/** @param {{notes: import("../app/types.js").Note[]|null|undefined}} props */
export function Notes({ notes }) {
  if (!notes?.length) return null;
  return html`<div class="notes">${notes.map((note, index) => html`<${Note} key=${index} note=${note} />`)}</div>`;
}
