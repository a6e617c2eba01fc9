// Opens a recording: a saved session, the files of a recording directory, or a line of a daemon's log.
import { html, useId, useState } from "../../app/dom.js";
import { postJson } from "../../app/api.js";
import { bytesText } from "../../app/text.js";
import { MAX_RECORDING_BYTES, lineOf, recordingOf } from "./recording.js";

/** @param {{onOpened: (summary: any) => void}} props */
export function OpenRecording({ onOpened }) {
  const id = useId();
  const [line, setLine] = useState("");
  const [state, set] = useState({ name: "idle", error: null });
  const open = async (body) => {
    set({ name: "loading", error: null });
    try {
      onOpened(await postJson("/api/recordings", body));
      set({ name: "ready", error: null });
      setLine("");
    } catch (error) {
      set({ name: "error", error: [error?.message, error?.hint].filter(Boolean).join(" ") });
    }
  };
  const onFiles = async (event) => {
    const files = [...event.currentTarget.files];
    event.currentTarget.value = "";
    const size = files.reduce((sum, file) => sum + file.size, 0);
    if (size > MAX_RECORDING_BYTES) return set({ name: "error", error: `${bytesText(size)} are too much for a recording; at most ${bytesText(MAX_RECORDING_BYTES)}.` });
    const read = await Promise.all(files.map(async (file) => ({ name: file.webkitRelativePath || file.name, text: await file.text() })));
    const { body, error } = recordingOf(read);
    return error ? set({ name: "error", error }) : open(body);
  };
  return html`<details class="panel" data-part="open" data-state=${state.name}>
    <summary>Open a recording</summary>
    <p class="quiet">A saved session, all files of a recording directory, or a line of the plugin daemon's log.</p>
    <div class="actions">
      <span class="file-button"><input id=${`${id}-files`} class="unseen" type="file" multiple=${true} data-action="open-recording" onChange=${onFiles} /><label for=${`${id}-files`}>Choose files</label></span>
      <span class="file-button"><input id=${`${id}-all`} class="unseen" type="file" webkitdirectory=${true} data-action="open-directory" onChange=${onFiles} /><label for=${`${id}-all`}>Choose a directory</label></span>
    </div>
    <div class="field"><label for=${`${id}-line`}>Line of a log</label>
      <textarea id=${`${id}-line`} class="mono" rows="2" data-part="log-line" spellcheck=${false} value=${line} onInput=${(event) => setLine(event.currentTarget.value)}></textarea></div>
    <button type="button" data-action="open-line" disabled=${!line.trim()} onClick=${() => open(lineOf(line))}>Open the line</button>
    ${state.error && html`<p class="field-error" role="alert">${state.error}</p>`}
  </details>`;
}
