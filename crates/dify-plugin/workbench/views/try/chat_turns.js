// The turns of a conversation: shown, edited, run again from there. What a run does is the column's, in chat_column.js.
import { html, useState } from "../../app/dom.js";
import { AnswerBody, StructuredOutput, UsageLine } from "./answer.js";
import { FileList } from "./files.js";
import { Media } from "./media_drawn.js";
import { exampleOf } from "./answers.js";

/** @typedef {import("./messages.js").Turn & {answer?: any, state?: string, error?: any, structured?: boolean}} Turn */

/**
 * @param {{turn: Turn, disabled: boolean, onRunAgain: (turn: Turn|null) => void}} props
 *   `onRunAgain` with a turn: it takes the place of this one; with null: the answer to the turn before is asked for again
 */
export function TurnRow({ turn, disabled, onRunAgain }) {
  if (turn.role === "user") return html`<${UserTurn} turn=${turn} disabled=${disabled} onRunAgain=${onRunAgain} />`;
  if (turn.role === "tool") {
    return html`<article class="turn" data-turn="tool"><header>Result of <code>${turn.call?.name}</code></header><div class="pre">${turn.text}</div></article>`;
  }
  return html`<article class="turn" data-turn="assistant" data-state=${turn.state ?? "ended"}>
    <header>Answer <button type="button" class="plain small" data-action="again" disabled=${disabled} onClick=${() => onRunAgain(null)}>Run again</button></header>
    <div data-part="answer"><${AnswerBody} answer=${turn.answer} running=${false} /></div>
    ${turn.structured && !turn.toolCalls?.length && html`<${StructuredOutput} text=${turn.text} />`}
    <p class="state-line quiet"><${UsageLine} answer=${turn.answer} /></p>
  </article>`;
}

function UserTurn({ turn, disabled, onRunAgain }) {
  const [text, setText] = useState(null);
  const editing = text !== null;
  return html`<article class="turn" data-turn="user">
    <header>You ${!editing && html`<button type="button" class="plain small" data-action="edit" disabled=${disabled} onClick=${() => setText(turn.text)}>Edit</button>`}</header>
    ${editing
      ? html`<textarea aria-label="Message" data-part="edit" rows="3" value=${text} onInput=${(event) => setText(event.currentTarget.value)}></textarea>
        <div class="actions"><button type="button" class="primary small" data-action="run-from-here" disabled=${disabled}
            onClick=${() => { setText(null); onRunAgain({ ...turn, text }); }}>Run again from here</button>
          <button type="button" class="plain small" data-action="cancel-edit" onClick=${() => setText(null)}>Cancel</button></div>`
      : html`<div class="pre">${turn.text}</div>`}
    ${turn.files?.map((file, index) => (file.mimeType.startsWith("image/")
      ? html`<${Media} key=${index} part=${{ type: "image", format: "", mime_type: file.mimeType, base64_data: file.base64, filename: file.name }} />`
      : html`<${FileList} key=${index} files=${[file]} />`))}
  </article>`;
}

/**
 * The tool calls of the last answer, each with its result to type.
 * @param {{calls: any[], disabled: boolean, onResults: (turns: import("./messages.js").Turn[]) => void, tools: any[]}} props
 */
export function ToolResults({ calls, disabled, onResults, tools }) {
  const [texts, setTexts] = useState({});
  const textOf = (call) => texts[call.id] ?? plausibleResult(call, tools);
  const send = () => onResults(calls.map((call) => ({
    id: `${call.id}-result`, role: "tool", text: textOf(call), call: { id: call.id, name: call.function.name },
  })));
  return html`<div class="tool-results" data-part="tool-results">
    ${calls.map((call) => html`<label key=${call.id}>Result of <code>${call.function.name}</code>
      <textarea class="mono" rows="2" data-part="tool-answer" data-tool-call=${call.id} value=${textOf(call)}
        onInput=${(event) => setTexts({ ...texts, [call.id]: event.currentTarget.value })}></textarea></label>`)}
    <button type="button" class="primary" data-action="answer-tools" disabled=${disabled} onClick=${send}>Send ${calls.length === 1 ? "the result" : "the results"}</button>
  </div>`;
}

/** A result by the tool's output schema when its definition has one. */
function plausibleResult(call, tools) {
  const tool = tools.find((one) => one.name === call.function.name);
  return tool?.output_schema ? JSON.stringify(exampleOf(tool.output_schema)) : "42";
}

/** The answer that is arriving. @param {{run: any}} props */
export function RunningTurn({ run }) {
  return html`<article class="turn" data-turn="assistant" data-state="running">
    <header>Answer</header><div data-part="answer"><${AnswerBody} answer=${run.result} running=${true} /></div>
    ${run.result.chunks === 0 && html`<p class="quiet">Waiting for the first chunk…</p>`}
  </article>`;
}

