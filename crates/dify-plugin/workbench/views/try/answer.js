// An answer of a language model, drawn while it arrives: thinking, Markdown, images and files, tool calls, usage.
import { html, useEffect, useMemo, useState } from "../../app/dom.js";
import { millisecondsText } from "../../app/text.js";
import { JsonTree } from "../../parts/json.js";
import { Markdown } from "../../parts/markdown.js";
import { blocks, segments } from "./think.js";
import { tokensPerSecond } from "./collect.js";
import { isCut, whole } from "./long_text.js";
import { Media, SaveText } from "./media_drawn.js";

/** @typedef {import("./collect.js").Answer} Answer */

/** JSON beyond this is shown as text, and cut. */
const MAX_PARSED_CHARACTERS = 200_000;

/**
 * Text with thinking. While it streams, only the last block is parsed again.
 * @param {{text: string, running: boolean, thinking?: {from: number|null, to: number|null}}} props
 */
export function StreamedText({ text, running, thinking }) {
  return segments(text).map((segment, index) => (segment.kind === "thinking"
    ? html`<${Thinking} key=${index} text=${segment.text} running=${running && segment.open} thinking=${thinking} />`
    : html`<div key=${index} class="answer-text">${running
      ? blocks(segment.text).map((block, at) => html`<${Markdown} key=${at} text=${block} />`)
      : html`<${Markdown} text=${segment.text} />`}</div>`));
}

/** A long text: its beginning, and all of it to save. @param {{text: import("./long_text.js").LongText, running: boolean, thinking?: any}} props */
export function Long({ text, running, thinking }) {
  if (!isCut(text)) return html`<${StreamedText} text=${text.shown} running=${running} thinking=${thinking} />`;
  return html`<pre class="wrap long" tabindex="0">${text.shown}</pre>
    <p class="field-error" data-part="cut">${text.length.toLocaleString("en")} characters; the first ${text.shown.length.toLocaleString("en")} are shown, as they are.
      ${!running && html` <${SaveText} name="answer.txt" text=${() => whole(text)} />`}</p>`;
}

/** Open while the model thinks, as in Dify, with the seconds of the stream. */
function Thinking({ text, running, thinking }) {
  const [started] = useState(() => performance.now());
  const [seconds, setSeconds] = useState(0);
  const [open, setOpen] = useState(running);
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => setSeconds((performance.now() - started) / 1000), 100);
    return () => clearInterval(timer);
  }, [running]);
  useEffect(() => { if (!running) setOpen(false); }, [running]);
  const took = thinking?.to != null ? (thinking.to - thinking.from) / 1000 : running ? seconds : null;
  const time = took === null ? "" : `(${took.toFixed(1)}s)`;
  return html`<details class="thinking" data-part="thinking" data-state=${running ? "running" : "ended"} open=${open}
      onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>${running ? "Thinking" : "Thought"}${time}</summary>
    <div class="pre">${text.trim()}</div>
  </details>`;
}

/** The parts of an answer in order: text is joined already. @param {{answer: Answer, running: boolean}} props */
export function AnswerBody({ answer, running }) {
  return html`
    ${answer.parts.map((part, index) => (part.type === "text"
      ? html`<${Long} key=${index} text=${part.text} running=${running && index === answer.parts.length - 1} thinking=${answer.thinking} />`
      : html`<${Media} key=${index} part=${part} />`))}
    ${answer.toolCalls.map((call) => html`<${ToolCall} key=${call.id} call=${call} />`)}
    ${answer.problems.map((problem) => html`<p key=${problem} class="field-error">${problem}</p>`)}`;
}

/** A tool call with its arguments as JSON, or as text while they are not whole. @param {{call: any}} props */
export function ToolCall({ call }) {
  const text = call.function.arguments;
  const args = useMemo(() => {
    if (text.length > MAX_PARSED_CHARACTERS) return null;
    try { return { value: JSON.parse(text || "{}") }; } catch { return null; }
  }, [text]);
  return html`<div class="tool-call" data-tool-call=${call.id}>
    <div><span class="badge" data-kind="accent">tool call</span> <code>${call.function.name}</code> <span class="quiet">${call.id}</span></div>
    ${args ? html`<${JsonTree} value=${args.value} label=${`Arguments of ${call.function.name}`} copy=${false} />`
      : html`<pre class="wrap" tabindex="0">${text.slice(0, MAX_PARSED_CHARACTERS)}</pre>`}
  </div>`;
}

/** An object that was asked for by a schema, when the text is one. @param {{text: string}} props */
export function StructuredOutput({ text }) {
  const value = useMemo(() => {
    if (text.length > MAX_PARSED_CHARACTERS) return undefined;
    const bare = text.replace(/<think>[\s\S]*?<\/think>/g, "").trim().replace(/^```(?:json)?\s*|\s*```$/g, "");
    try { return JSON.parse(bare); } catch { return undefined; }
  }, [text]);
  if (value === undefined) return html`<p class="field-error" data-part="structured" data-state="error">The answer is not JSON.</p>`;
  return html`<div data-part="structured" data-state="ready"><${JsonTree} value=${value} label="Structured output" open=${3} /></div>`;
}

/** What Dify shows below an answer (latency, tokens, tokens per second), and the price, which it does not. @param {{answer: Answer}} props */
export function UsageLine({ answer }) {
  const { usage } = answer;
  const speed = tokensPerSecond(answer);
  const price = usage && Number(usage.total_price) > 0 ? `${usage.total_price} ${usage.currency}` : null;
  return html`
    ${answer.firstToken !== null && html`<span title="Until the first text, thought or tool call">first ${millisecondsText(answer.firstToken)}</span>`}
    ${usage && html`<span data-part="usage" title="Prompt and completion">${usage.prompt_tokens} + ${usage.completion_tokens} tokens</span>`}
    ${speed !== null && html`<span>${speed.toFixed(1)} tokens/s</span>`}
    ${price && html`<span title="Not shown below an answer in Dify">${price}</span>`}
    ${answer.finishReason && html`<span title="Finish reason">${answer.finishReason}</span>`}`;
}
