// The view "As Dify shows it": the plugin's declarations drawn by Dify's rules. Its parts are in `show/`.
import { html } from "../app/dom.js";
import { Empty } from "../parts/status.js";

export function Show({ plugin }) {
  return html`<${Empty} title=${plugin.state === "loading" ? "Reading the declarations…" : "Not here yet"} />`;
}
