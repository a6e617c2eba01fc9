// A list of rows of one height of which only those in view are drawn. One stop for the Tab key; arrows, Home and End move the choice.
import { html, useEffect, useId, useRef, useState } from "../../app/dom.js";

/**
 * @param {object} props
 * @param {string} props.label
 * @param {number} props.count
 * @param {number} props.rowHeight
 * @param {number} props.maxHeight
 * @param {number} props.chosen      the index that is chosen, or -1
 * @param {(index: number) => void} props.onChoose
 * @param {(index: number) => any} props.row        what a row holds
 * @param {(index: number) => object} props.attributes
 */
export function VirtualList({ label, count, rowHeight, maxHeight, chosen, onChoose, row, attributes }) {
  const id = useId();
  const element = useRef(null);
  const [top, setTop] = useState(0);
  const height = Math.min(count * rowHeight, maxHeight);
  useEffect(() => {
    const box = element.current;
    if (!box || chosen < 0) return;
    const at = chosen * rowHeight;
    if (at < box.scrollTop) box.scrollTop = at;
    else if (at + rowHeight > box.scrollTop + height) box.scrollTop = at + rowHeight - height;
  }, [chosen]);
  const onKeyDown = (event) => {
    const page = Math.max(Math.floor(height / rowHeight) - 1, 1);
    const to = { ArrowDown: chosen + 1, ArrowUp: chosen - 1, PageDown: chosen + page, PageUp: chosen - page, Home: 0, End: count - 1 }[event.key];
    if (to === undefined || count === 0) return;
    event.preventDefault();
    onChoose(Math.min(Math.max(to, 0), count - 1));
  };
  const first = Math.max(Math.floor(top / rowHeight) - 6, 0);
  const last = Math.min(first + Math.ceil(height / rowHeight) + 12, count);
  const rows = [];
  for (let index = first; index < last; index += 1) {
    rows.push(html`<div key=${index} id=${`${id}-${index}`} role="option" class="v-row" aria-selected=${index === chosen ? "true" : "false"} aria-posinset=${index + 1}
      aria-setsize=${count} style=${{ transform: `translateY(${index * rowHeight}px)`, height: `${rowHeight}px` }} onClick=${() => onChoose(index)} ...${attributes(index)}>${row(index)}</div>`);
  }
  return html`<div ref=${element} class="v-list" role="listbox" tabindex="0" aria-label=${label} aria-activedescendant=${chosen >= first && chosen < last ? `${id}-${chosen}` : undefined}
      style=${{ height: `${height}px` }} onScroll=${(event) => setTop(event.currentTarget.scrollTop)} onKeyDown=${onKeyDown}>
    <div class="v-space" style=${{ height: `${count * rowHeight}px` }} role="presentation">${rows}</div>
  </div>`;
}
