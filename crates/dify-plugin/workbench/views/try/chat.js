// Chat with one model, or with two side by side: the prompt, its files, and what is set for all columns.
import { html, useEffect, useMemo, useState } from "../../app/dom.js";
import { Banner } from "../../parts/status.js";
import { Column, turnId } from "./chat_column.js";
import { Comparison } from "./comparison.js";
import { ChatSetup } from "./chat_setup.js";
import { FileButton, FileList, attached } from "./files.js";
import { responseSchema, toolDefinitions } from "./messages.js";
import { partType } from "./media.js";

const FEATURES = { image: "vision", document: "document", audio: "audio", video: "video" };

/** Files that Dify would not offer to send, because the model does not declare the feature. */
function unsupported(files, columns) {
  const names = new Set();
  for (const { chosen } of columns) {
    if (!chosen.declared) continue;
    const features = chosen.declared.all_features ?? chosen.declared.features ?? [];
    for (const file of files) if (!features.includes(FEATURES[partType(file.mimeType)])) names.add(`${chosen.model} declares no \`${FEATURES[partType(file.mimeType)]}\``);
  }
  return [...names];
}

/** @param {{view: any, chosen: import("./model_picker.js").Chosen, onChoose: (chosen: any) => void, language: string}} props */
export function Chat({ view, chosen, onChoose, language }) {
  const [second, setSecond] = useState(null);
  const [prompt, setPrompt] = useState("");
  const [files, setFiles] = useState([]);
  const [problem, setProblem] = useState(null);
  const [setup, setSetup] = useState({ system: "", stop: [], tools: "", schema: "" });
  const [asked, setAsked] = useState(null);
  const [stopped, setStopped] = useState({ n: 0 });
  const [cleared, setCleared] = useState({ n: 0 });
  const [busy, setBusy] = useState({});
  const [done, setDone] = useState({});
  const tools = useMemo(() => toolDefinitions(setup.tools), [setup.tools]);
  const schema = useMemo(() => responseSchema(setup.schema), [setup.schema]);
  const sent = useMemo(() => ({ system: setup.system, stop: setup.stop, tools: tools.tools, schema: schema.schema }), [setup, tools, schema]);
  const columns = [{ chosen, onChoose }, ...(second ? [{ chosen: second, onChoose: setSecond }] : [])];
  const running = columns.some((_, index) => busy[index + 1]);
  const ready = (prompt.trim() !== "" || files.length > 0) && !tools.error && !schema.error && columns.every((column) => column.chosen.model);
  const onRunning = (number, is) => setBusy((before) => ({ ...before, [number]: is }));
  const onDone = (number, one) => setDone((before) => ({ ...before, [number]: one }));
  useEffect(() => { if (!second) { setBusy((before) => ({ ...before, 2: false })); setDone({}); } }, [second]);

  const run = () => {
    if (!ready || running) return;
    setAsked({ n: (asked?.n ?? 0) + 1, turn: { id: turnId(), role: "user", text: prompt, files } });
    setPrompt("");
    setFiles([]);
  };
  const attach = async (chosenFiles) => {
    const read = await attached(chosenFiles);
    setFiles((before) => [...before, ...read.files]);
    setProblem(read.error);
  };
  const onPaste = (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (pasted.length) { event.preventDefault(); attach(pasted); }
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); run(); }
  };
  const warnings = unsupported(files, columns);
  return html`<div class="chat" data-columns=${columns.length} data-state=${running ? "running" : "idle"}>
    <${ChatSetup} setup=${setup} onChange=${setSetup} toolsError=${tools.error} schemaError=${schema.error} />
    <div class="columns">${columns.map((column, index) => html`<${Column} key=${index} number=${index + 1} view=${view} main=${chosen.provider} chosen=${column.chosen} onChoose=${column.onChoose}
      asked=${asked} stopped=${stopped} cleared=${cleared} setup=${sent} onRunning=${onRunning} onDone=${onDone} language=${language}
      onRemove=${index === 1 ? () => setSecond(null) : undefined} />`)}</div>
    ${second && !running && html`<${Comparison} done=${[done[1], done[2]].filter(Boolean)} />`}
    <div class="composer" onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => { event.preventDefault(); attach([...event.dataTransfer.files]); }}>
      ${problem && html`<${Banner} kind="error">${problem}<//>`}
      ${warnings.length > 0 && html`<p class="field-error" data-part="file-warning">${warnings.join("; ")}: Dify would not offer to send such a file.</p>`}
      <${FileList} files=${files} onRemove=${(index) => setFiles(files.filter((_, at) => at !== index))} />
      <textarea data-part="prompt" rows="3" aria-label="Message" placeholder="Write a message. Enter sends it, Shift+Enter begins a line." value=${prompt}
        onInput=${(event) => setPrompt(event.currentTarget.value)} onKeyDown=${onKeyDown} onPaste=${onPaste}></textarea>
      <div class="actions">
        ${running
          ? html`<button type="button" class="danger" data-action="stop" onClick=${() => setStopped({ n: stopped.n + 1 })}>Stop</button>`
          : html`<button type="button" class="primary" data-action="run" disabled=${!ready} onClick=${run}>Send</button>`}
        <${FileButton} label="Attach files" multiple=${true} onFiles=${attach} />
        ${!second && html`<button type="button" data-action="compare" onClick=${() => setSecond(chosen)}>Compare with a second model</button>`}
        <button type="button" class="plain" data-action="clear" disabled=${running} onClick=${() => setCleared({ n: cleared.n + 1 })}>Clear</button>
      </div>
    </div>
  </div>`;
}
