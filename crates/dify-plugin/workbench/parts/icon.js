// An icon of the plugin, by a blob address. An icon that is missing or cannot be drawn is a grey place, as in Dify.
import { html, useEffect, useState } from "../app/dom.js";
import { fileAddress } from "../app/api.js";
import { usePlugin } from "../app/plugin.js";

/** @param {{path: string|null|undefined, size?: number, label?: string}} props  `label` empty: decoration */
export function Icon({ path, size = 24, label = "" }) {
  const { revision } = usePlugin();
  const [address, set] = useState(null);
  const [state, setState] = useState(path ? "loading" : "none");
  useEffect(() => {
    let current = true;
    if (!path) return set(null), setState("none");
    fileAddress(path, revision).then(
      (found) => current && (set(found), setState("ready")),
      () => current && (set(null), setState("error")),
    );
    return () => { current = false; };
  }, [path, revision]);
  const style = { width: `${size}px`, height: `${size}px` };
  if (!address) return html`<span class="icon missing" style=${style} data-state=${state} role=${label ? "img" : undefined} aria-label=${label || undefined}></span>`;
  return html`<img class="icon" style=${style} src=${address} alt=${label} data-state=${state} data-path=${path}
    onError=${() => { set(null); setState("error"); }} />`;
}
