// Tabs within a view, by the pattern of WAI-ARIA: one stop for the Tab key, arrows between the tabs.
import { html, useId, useRef } from "../app/dom.js";

/**
 * @param {{label: string, tabs: {id: string, title: any}[], chosen: string, onChoose: (id: string) => void, children: any}} props
 *   `children` is the panel of the chosen tab
 */
export function Tabs({ label, tabs, chosen, onChoose, children }) {
  const id = useId();
  const list = useRef(null);
  const onKeyDown = (event) => {
    const at = tabs.findIndex((tab) => tab.id === chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = tabs[(to + tabs.length) % tabs.length];
    onChoose(next.id);
    list.current?.querySelector(`[data-tab="${CSS.escape(next.id)}"]`)?.focus();
  };
  return html`<div class="tabs">
    <div role="tablist" aria-label=${label} ref=${list} onKeyDown=${onKeyDown}>
      ${tabs.map((tab) => html`<button key=${tab.id} type="button" role="tab" id=${`${id}-${tab.id}`} data-tab=${tab.id}
        aria-selected=${tab.id === chosen ? "true" : "false"} aria-controls=${`${id}-panel`} tabindex=${tab.id === chosen ? 0 : -1}
        onClick=${() => onChoose(tab.id)}>${tab.title}</button>`)}
    </div>
    <div role="tabpanel" id=${`${id}-panel`} aria-labelledby=${`${id}-${chosen}`}>${children}</div>
  </div>`;
}
