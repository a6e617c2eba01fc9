// The views of models that are not chats: embedding, rerank, speech in both directions, moderation. Which one is shown is decided
// in models.js.
import { html, useId, useMemo, useState } from "../../app/dom.js";
import { Table } from "../../parts/table.js";
import { concatenated, fromHex } from "./bytes.js";
import { useCall } from "./call.js";
import { FileButton, FileList, attached } from "./files.js";
import { Player } from "./media_drawn.js";
import { Outcome, RunButtons } from "./outcome.js";
import { model as requests } from "./requests.js";
import { VectorBars } from "./vectors.js";

/** @typedef {{chosen: import("./model_picker.js").Chosen}} Props */

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

function TextArea({ label, value, onInput, part, rows = 3 }) {
  const id = useId();
  return html`<div class="field"><label for=${id}>${label}</label>
    <textarea id=${id} rows=${rows} data-part=${part} value=${value} onInput=${(event) => onInput(event.currentTarget.value)}></textarea></div>`;
}

/** The single result of an action. */
const keepLast = () => [() => ({ last: null }), (result, item) => { result.last = item; }];

const content = (texts, images) => [
  ...texts.map((text) => ({ content: text, content_type: "text" })),
  ...images.map((image) => ({ content: image.base64, content_type: "image" })),
];

/** Images beside texts: with them, the multimodal action is called. */
function useImages() {
  const [images, setImages] = useState([]);
  const [problem, setProblem] = useState(null);
  const add = async (files) => {
    const read = await attached(files);
    setImages((before) => [...before, ...read.files]);
    setProblem(read.error);
  };
  const view = html`<${FileList} files=${images} onRemove=${(index) => setImages(images.filter((_, at) => at !== index))} />
    ${problem && html`<p class="field-error" role="alert">${problem}</p>`}`;
  return { images, view, button: html`<${FileButton} label="Add images" accept="image/*" multiple=${true} onFiles=${add} />` };
}

/** @param {Props} props */
export function Embedding({ chosen }) {
  const [text, setText] = useState("The capital of France is Paris.\nParis lies on the Seine.\nBread is baked in an oven.");
  const [inputType, setInputType] = useState("document");
  const { run, start, stop } = useCall(...keepLast());
  const tokens = useCall(...keepLast());
  const { images, view, button } = useImages();
  const texts = lines(text);
  const embed = () => start(images.length ? requests.embedMultimodal(chosen, content(texts, images), inputType) : requests.embed(chosen, texts, inputType));
  const embeddings = run.result.last?.embeddings ?? [];
  return html`
    <${TextArea} label="Texts, one a line: each becomes a vector" value=${text} onInput=${setText} part="prompt" rows=${5} />
    ${view}
    <div class="actions">
      <${RunButtons} run=${run} onRun=${embed} onStop=${stop} disabled=${!(texts.length + images.length) || !chosen.model} label="Embed" />
      ${button}
      <label class="inline">Purpose <select data-action="input-type" value=${inputType} onChange=${(event) => setInputType(event.currentTarget.value)}>
        <option value="document">document</option><option value="query">query</option></select></label>
      <button type="button" class="plain" data-action="count-tokens" disabled=${!chosen.model} onClick=${() => tokens.start(requests.embedTokens(chosen, texts))}>Count tokens</button>
      ${tokens.run.state === "ended" && html`<span data-part="token-count">${JSON.stringify(tokens.run.result.last?.num_tokens)} tokens</span>`}
      ${tokens.run.error && html`<span class="field-error">${tokens.run.error.message}</span>`}
    </div>
    <${Outcome} run=${run} line=${run.result.last?.usage && html`<span>${run.result.last.usage.total_tokens} tokens</span>`}>
      ${embeddings.length > 0 && html`<${VectorBars} vectors=${embeddings} texts=${[...texts, ...images.map((image) => image.name)]} />`}
    <//>`;
}

/** @param {Props} props */
export function Rerank({ chosen }) {
  const [query, setQuery] = useState("What is the capital of France?");
  const [text, setText] = useState("Bread is baked in an oven.\nParis is the capital of France.\nLyon is a city in France.");
  const [top, setTop] = useState("");
  const [threshold, setThreshold] = useState("");
  const { run, start, stop } = useCall(...keepLast());
  const { images, view, button } = useImages();
  const docs = run.result.last?.docs ?? [];
  const rank = () => start(images.length
    ? requests.rerankMultimodal(chosen, { content: query, content_type: "text" }, content(lines(text), images), Number(threshold) || 0, Number(top) || 0)
    : requests.rerank(chosen, query, lines(text), Number(threshold) || 0, Number(top) || 0));
  const id = useId();
  return html`
    <div class="field"><label for=${id}>Query</label><input id=${id} data-part="prompt" value=${query} onInput=${(event) => setQuery(event.currentTarget.value)} /></div>
    <${TextArea} label="Documents, one a line" value=${text} onInput=${setText} part="documents" rows=${5} />
    ${view}
    <div class="actions">
      <${RunButtons} run=${run} onRun=${rank} onStop=${stop}
        disabled=${!query.trim() || !(lines(text).length + images.length) || !chosen.model} label="Rank" />
      ${button}
      <label class="inline">At most <input type="number" min="1" data-part="top" value=${top} onInput=${(event) => setTop(event.currentTarget.value)} /></label>
      <label class="inline">Score from <input type="number" step="0.05" data-part="threshold" value=${threshold} onInput=${(event) => setThreshold(event.currentTarget.value)} /></label>
    </div>
    <${Outcome} run=${run}>
      ${docs.length > 0 && html`<${Table} caption="Ranked documents" columns=${[{ id: "score", title: "Score", numeric: true }, { id: "index", title: "Line", numeric: true }, { id: "text", title: "Text" }]}
        rows=${docs.map((doc, index) => ({ id: index, cells: { score: Number(doc.score).toFixed(4), index: doc.index + 1, text: doc.text } }))} />`}
    <//>`;
}

/** @param {Props & {language: string}} props */
export function Speech({ chosen, language }) {
  const [text, setText] = useState("Hello, this is the workbench.");
  const [voice, setVoice] = useState("");
  const { run, start, stop } = useCall(() => ({ parts: [], whole: null }), (result, item) => {
    const bytes = fromHex(item?.result);
    if (bytes) result.parts.push(bytes);
  });
  const asked = useCall(...keepLast());
  const voices = asked.run.result.last?.voices?.map(({ name, value }) => ({ value, label: name }))
    ?? (chosen.declared?.voices ?? []).map((one) => ({ value: one.value, label: typeof one.label === "string" ? one.label : one.label?.[language] ?? one.label?.en_US ?? one.value }));
  const picked = voice || voices[0]?.value || "";
  const done = run.state !== "running" && run.result.parts.length > 0;
  const bytes = useMemo(() => (done ? concatenated(run.result.parts) : null), [run, done]);
  return html`
    <${TextArea} label="Text to speak" value=${text} onInput=${setText} part="prompt" />
    <div class="actions">
      <${RunButtons} run=${run} onRun=${() => start(requests.speak(chosen, text, picked))} onStop=${stop} disabled=${!text.trim() || !chosen.model} label="Speak" />
      ${voices.length
        ? html`<label class="inline">Voice <select data-action="voice" value=${picked} onChange=${(event) => setVoice(event.currentTarget.value)}>
          ${voices.map((one) => html`<option key=${one.value} value=${one.value} selected=${one.value === picked}>${one.label}</option>`)}</select></label>`
        : html`<label class="inline">Voice <input data-action="voice" value=${voice} onInput=${(event) => setVoice(event.currentTarget.value)} /></label>`}
      <button type="button" class="plain" data-action="voices" disabled=${!chosen.model} onClick=${() => asked.start(requests.voices(chosen, ""))}>Ask for the voices</button>
      ${asked.run.error && html`<span class="field-error">${asked.run.error.message}</span>`}
    </div>
    <${Outcome} run=${run} raw=${false}>
      ${bytes && html`<${Player} bytes=${bytes} name="speech" />`}
    <//>`;
}

/** @param {Props} props */
export function Moderation({ chosen }) {
  const [text, setText] = useState("A text to check.");
  const { run, start, stop } = useCall(...keepLast());
  const verdict = run.result.last?.result;
  return html`
    <${TextArea} label="Text" value=${text} onInput=${setText} part="prompt" />
    <div class="actions"><${RunButtons} run=${run} onRun=${() => start(requests.moderate(chosen, text))} onStop=${stop} disabled=${!chosen.model} label="Check" /></div>
    <${Outcome} run=${run}>
      ${run.state === "ended" && html`<p class=${verdict ? "bad" : "good"}>${verdict === true ? "Unsafe: Dify blocks the text." : verdict === false ? "Safe." : "The result is neither true nor false."}</p>`}
    <//>`;
}
