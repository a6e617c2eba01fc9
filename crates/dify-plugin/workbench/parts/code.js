// Text of machines in a block, with a button that copies it. Long texts are cut until more is asked for.
import { html, useState } from "../app/dom.js";

const MAX_SHOWN_CHARACTERS = 20_000;

/** @param {{text: string, label?: string}} props  what is copied, and the name for screen readers */
export function Copy({ text, label = "Copy" }) {
  const [state, set] = useState("idle");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      set("ready");
    } catch {
      set("error");
    }
    setTimeout(() => set("idle"), 1500);
  };
  return html`<button type="button" class="plain small" data-action="copy" data-state=${state} onClick=${copy}>
    ${{ idle: label, ready: "Copied", error: "Could not copy" }[state]}</button>`;
}

/** @param {{text: string, label?: string, copy?: boolean, wrap?: boolean}} props */
export function Code({ text, label, copy = true, wrap = false }) {
  const [all, showAll] = useState(false);
  const cut = !all && text.length > MAX_SHOWN_CHARACTERS;
  return html`<figure class="code">
    ${(label || copy) && html`<figcaption><span>${label}</span>${copy && html`<${Copy} text=${text} />`}</figcaption>`}
    <pre class=${wrap ? "wrap" : ""} tabindex="0" aria-label=${label ?? "Code"} role="group"><code>${cut ? text.slice(0, MAX_SHOWN_CHARACTERS) : text}</code></pre>
    ${cut && html`<button type="button" class="plain small" data-action="show-all" onClick=${() => showAll(true)}>
      Show all ${text.length.toLocaleString("en")} characters</button>`}
  </figure>`;
}
