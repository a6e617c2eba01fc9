// A session as something to keep or to send: an `invoke` command, curl, the request, a recording. All of it is redacted by the server.
import { html, useState } from "../../app/dom.js";
import { getJson, request } from "../../app/api.js";
import { Code } from "../../parts/code.js";
import { recordingName } from "./recording.js";

/** @param {{session: any}} props */
export function CopyAs({ session }) {
  const [found, set] = useState({ state: "idle", texts: null, error: null });
  const open = async (event) => {
    if (!event.currentTarget.open || found.state !== "idle") return;
    set({ state: "loading", texts: null, error: null });
    try {
      set({ state: "ready", texts: await getJson(`/api/sessions/${encodeURIComponent(session.id)}/copy`), error: null });
    } catch (error) {
      set({ state: "error", texts: null, error });
    }
  };
  return html`<details class="panel" data-part="copy-as" data-state=${found.state} onToggle=${open}>
    <summary>Copy as a command</summary>
    ${found.error && html`<p class="field-error">${found.error.message}</p>`}
    ${found.texts && html`<div class="copies">
      ${found.texts.invoke && html`<${Code} text=${found.texts.invoke} label="invoke: the call once more, with credentials to fill in" />`}
      ${(found.texts.curl ?? []).map((text, index) => html`<${Code} key=${index} text=${text} label=${`curl: exchange ${index + 1} with the upstream`} />`)}
      ${found.texts.request && html`<${Code} text=${JSON.stringify(found.texts.request, null, 2)} label="The request as JSON" />`}
    </div>`}
  </details>`;
}

/** @param {{session: any}} props */
export function SaveRecording({ session }) {
  const [state, set] = useState("idle");
  const save = async () => {
    set("loading");
    try {
      const response = await request(`/api/sessions/${encodeURIComponent(session.id)}/recording`);
      const address = URL.createObjectURL(await response.blob());
      const link = Object.assign(document.createElement("a"), { href: address, download: recordingName(session) });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
      set("ready");
    } catch {
      set("error");
    }
  };
  return html`<button type="button" data-action="save-recording" data-state=${state} onClick=${save}>
    ${{ idle: "Save as a recording", loading: "Saving…", ready: "Saved", error: "Could not save" }[state]}</button>`;
}
