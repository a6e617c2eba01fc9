// The view "Try it". Its parts are in `try/`.
import { html } from "../app/dom.js";
import { Empty } from "../parts/status.js";

export function Try() {
  return html`<${Empty} title="Not here yet" />`;
}
