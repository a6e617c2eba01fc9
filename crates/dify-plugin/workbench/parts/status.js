// Messages about the page itself: banners, the line that screen readers hear, and what is shown where there is nothing yet.
import { html } from "../app/dom.js";

/** @param {{kind: "error"|"warning"|"info"|"success", hint?: string|null, children: any}} props */
export function Banner({ kind, hint, children }) {
  return html`<div class="banner" data-kind=${kind} role=${kind === "error" ? "alert" : "status"}>
    <div>${children}</div>${hint && html`<div class="quiet">${hint}</div>`}
  </div>`;
}

/** One polite line for streams and long work; it is there from the start, so that its changes are read. @param {{children?: any}} props */
export const Status = ({ children }) => html`<p class="status" role="status">${children}</p>`;

/** What a view shows before there is anything. @param {{title: string, children?: any}} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children && html`<div class="quiet">${children}</div>`}</div>`;
}

/** A word in a box. @param {{kind?: string, title?: string, children: any}} props */
export const Badge = ({ kind, title, children }) => html`<span class="badge" data-kind=${kind} title=${title}>${children}</span>`;
