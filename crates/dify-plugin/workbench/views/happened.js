// The view "See what happened". Its parts are in `happened/`.
import { html } from "../app/dom.js";
import { Empty } from "../parts/status.js";

export function Happened() {
  return html`<${Empty} title="Not here yet" />`;
}
