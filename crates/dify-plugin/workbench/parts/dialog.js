// A modal dialog on the native element: focus stays inside, Escape closes it, focus returns where it was.
import { html, useEffect, useId, useRef } from "../app/dom.js";

/** @param {{title: string, open: boolean, onClose: () => void, name?: string, footer?: any, children: any}} props */
export function Dialog({ title, open, onClose, name, footer, children }) {
  const element = useRef(null);
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    if (open && !dialog.open) dialog.showModal();
    if (!open && dialog.open) dialog.close();
  }, [open]);
  return html`<dialog ref=${element} aria-labelledby=${id} data-dialog=${name} data-state=${open ? "open" : "closed"}
      onClose=${onClose} onClick=${(event) => { if (event.target === element.current) onClose(); }}>
    ${open && html`<div class="dialog">
      <header><h2 id=${id}>${title}</h2>
        <button type="button" class="plain close" data-action="close" aria-label="Close" onClick=${onClose}>✕</button></header>
      <div class="dialog-body">${children}</div>
      ${footer && html`<footer>${footer}</footer>`}
    </div>`}
  </dialog>`;
}
