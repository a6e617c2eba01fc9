// One column of a chat: a model with its parameters, its own conversation and calls. The prompt comes from chat.js.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../app/dom.js";
import { counted } from "../../app/text.js";
import { UsageLine } from "./answer.js";
import { contentOf, holdsMedia, newAnswer, takeChunk, textOf } from "./collect.js";
import { promptMessages } from "./messages.js";
import { ModelPicker, modelProviders } from "./model_picker.js";
import { OwnCredentials, ParameterPanel, ProviderCredentials, useParameters } from "./model_setup.js";
import { Outcome } from "./outcome.js";
import { model as requests } from "./requests.js";
import { RunningTurn, ToolResults, TurnRow } from "./chat_turns.js";
import { useCall } from "./call.js";
import { usePolling } from "./polling.js";
import { PollingChoice, PollingLine } from "./polling_line.js";
import { modelParameters } from "./values.js";

let turns = 0;
/** A new id for a turn. */
export const turnId = () => `turn-${(turns += 1)}`;

/** Keeps the end of the page in view while an answer grows, unless the reader has scrolled up. @param {boolean} running */
function useFollow(running) {
  const atEnd = useRef(true);
  useEffect(() => {
    const onScroll = () => { atEnd.current = innerHeight + scrollY >= document.documentElement.scrollHeight - 60; };
    addEventListener("scroll", onScroll, { passive: true });
    return () => removeEventListener("scroll", onScroll);
  }, []);
  useLayoutEffect(() => { if (running && atEnd.current) scrollTo(0, document.documentElement.scrollHeight); });
  return () => { atEnd.current = true; };
}

/** Models that declare it, and models that no file declares. @param {import("./model_picker.js").Chosen} chosen */
const mayPoll = ({ declared }) => !declared || declaresPolling(declared);
const declaresPolling = (declared) => (declared?.all_features ?? declared?.features ?? []).includes("polling");

/** Whether the model is polled, as Dify decides by its declaration until the user does. */
function usePolls(chosen) {
  const [own, set] = useState(null);
  useEffect(() => set(null), [chosen.provider, chosen.model]);
  return [own ?? declaresPolling(chosen.declared), set];
}

/**
 * @param {object} props
 * @param {number} props.number
 * @param {any} props.view
 * @param {string} props.main     the provider whose credentials are shown beside the chat
 * @param {import("./model_picker.js").Chosen} props.chosen
 * @param {(chosen: any) => void} props.onChoose
 * @param {{n: number, turn: any}|null} props.asked   the prompt to run; a higher `n` is another one
 * @param {{n: number}} props.stopped
 * @param {{n: number}} props.cleared
 * @param {{system: string, stop: string[], tools: any[], schema: object|null}} props.setup
 * @param {(number: number, running: boolean) => void} props.onRunning
 * @param {(number: number, done: import("./comparison.js").Done|null) => void} props.onDone
 * @param {string} props.language
 * @param {() => void} [props.onRemove]
 */
export function Column({ number, view, main, chosen, onChoose, asked, stopped, cleared, setup, onRunning, onDone, language, onRemove }) {
  const [conversation, setConversation] = useState([]);
  const parameters = useParameters(chosen, number);
  const streamed = useCall(newAnswer, takeChunk);
  const polled = usePolling();
  const [polls, setPolls] = usePolls(chosen);
  const [latestIsPolled, setLatestIsPolled] = useState(false);
  const { run, stop } = latestIsPolled ? polled : streamed;
  const tokens = useCall(() => ({ count: null }), (result, item) => { result.count = item?.num_tokens ?? null; });
  const running = run.state === "running";
  const latest = useRef(conversation);
  latest.current = conversation;

  const follow = useFollow(running);
  const send = async (before) => {
    setConversation(before);
    follow();
    onRunning(number, true);
    const prompt = {
      messages: promptMessages(before, setup.system), parameters: modelParameters(parameters.values), tools: setup.tools, stop: setup.stop, schema: setup.schema,
    };
    setLatestIsPolled(polls);
    const done = await (polls
      ? polled.start(requests.startPolling(chosen, prompt), (state) => requests.checkPolling(chosen, state))
      : streamed.start(requests.chat(chosen, prompt)));
    onRunning(number, false);
    const answer = done.result;
    onDone(number, answer.chunks && done.state === "ended" ? { label: chosen.model, milliseconds: done.milliseconds, answer } : null);
    if (answer.chunks === 0) return;
    setConversation([...before, {
      id: turnId(), role: "assistant", text: textOf(answer), parts: holdsMedia(answer) ? contentOf(answer) : null, toolCalls: answer.toolCalls,
      opaque: answer.opaque, answer, state: done.state, run: done, structured: Boolean(setup.schema),
    }]);
  };
  useEffect(() => { if (asked) send([...latest.current, asked.turn]); }, [asked?.n]);
  useEffect(() => { if (stopped.n) stop(); }, [stopped.n]);
  useEffect(() => { if (cleared.n) setConversation([]); }, [cleared.n]);

  const again = (index, turn) => send(turn ? [...conversation.slice(0, index), turn] : conversation.slice(0, index));
  const last = conversation.at(-1);
  const pending = !running && last?.role === "assistant" && last.toolCalls?.length > 0;
  // The answer of the last call is shown with its state, its error and its items.
  const ofRun = !running && last?.role === "assistant" && last.run === run;
  const earlier = ofRun ? conversation.slice(0, -1) : conversation;
  const row = (turn, index) => html`<${TurnRow} key=${turn.id} turn=${turn} disabled=${running} onRunAgain=${(other) => again(index, other)} />`;
  const provider = modelProviders(view).find((one) => one.name === chosen.provider);
  return html`<section class="column" data-column=${number} data-state=${run.state} data-provider=${chosen.provider} data-model=${chosen.model} aria-label=${`Conversation ${number}`}>
    <header class="column-head">
      <${ModelPicker} view=${view} type="llm" chosen=${chosen} onChoose=${onChoose} language=${language} label=${number === 1 ? "Model" : `Model ${number}`}
        only=${number === 1 ? chosen.provider : undefined} />
      ${onRemove && html`<button type="button" class="plain" data-action="remove-column" aria-label="Remove this column" onClick=${onRemove}>✕</button>`}
    </header>
    ${number > 1 && provider && chosen.provider !== main && html`<${ProviderCredentials} key=${chosen.provider} provider=${provider} language=${language} />`}
    <${OwnCredentials} provider=${provider} chosen=${chosen} language=${language} />
    <${ParameterPanel} parameters=${parameters} chosen=${chosen} language=${language} />
    ${(polls || mayPoll(chosen)) && html`<${PollingChoice} value=${polls} onChange=${setPolls} disabled=${running} />`}
    <div class="turns">${earlier.map((turn, index) => row(turn, index))}</div>
    <${Outcome} run=${run} plain=${true} line=${running ? html`<span>${counted(run.result.chunks, "chunk")}</span><${UsageLine} answer=${run.result} />` : null}>
      ${running && run.polling ? html`<${PollingLine} polling=${run.polling} onCheck=${polled.checkNow} />` : running ? html`<${RunningTurn} run=${run} />` : ofRun && row(last, conversation.length - 1)}
    <//>
    ${pending && html`<${ToolResults} key=${last.id} calls=${last.toolCalls} tools=${setup.tools} disabled=${running}
      onResults=${(results) => send([...conversation, ...results])} />`}
    ${conversation.length > 0 && !running && html`<p class="state-line quiet">
      <button type="button" class="plain small" data-action="count-tokens" onClick=${() => tokens.start(requests.chatTokens(chosen, { messages: promptMessages(conversation, setup.system), tools: setup.tools }))}>Count tokens</button>
      ${tokens.run.state === "ended" && html`<span data-part="token-count">${tokens.run.result.count ?? "no count"} tokens</span>`}
      ${tokens.run.error && html`<span class="field-error">${tokens.run.error.message}</span>`}</p>`}
  </section>`;
}
