// Speech to text: a file, or a recording of the microphone. Dify sends MP3 from its browser client; a browser cannot record it.
import { html, useEffect, useMemo, useRef, useState } from "../../app/dom.js";
import { bytesText } from "../../app/text.js";
import { toHex } from "./bytes.js";
import { useCall } from "./call.js";
import { FileButton, bytesOf } from "./files.js";
import { audioOf } from "./media.js";
import { Player } from "./media_drawn.js";
import { Outcome, RunButtons } from "./outcome.js";
import { model as requests } from "./requests.js";

/** Records until it is stopped. */
function useRecorder(onBytes, onError) {
  const recorder = useRef(/** @type {MediaRecorder|null} */ (null));
  const [state, setState] = useState("idle");
  const begin = async () => {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const own = new MediaRecorder(stream);
      const chunks = [];
      own.ondataavailable = (event) => chunks.push(event.data);
      own.onstop = async () => {
        for (const track of stream.getTracks()) track.stop();
        setState("idle");
        onBytes(await bytesOf(new File(chunks, "recording", { type: own.mimeType })));
      };
      own.start();
      recorder.current = own;
      setState("recording");
    } catch (error) {
      setState("idle");
      onError(error?.name === "NotAllowedError" ? "The browser does not allow the microphone." : `No microphone: ${error?.message ?? error}`);
    }
  };
  const end = () => recorder.current?.state === "recording" && recorder.current.stop();
  useEffect(() => end, []);
  return { state, begin, end };
}

/** @param {{chosen: import("./model_picker.js").Chosen}} props */
export function Transcribe({ chosen }) {
  const [audio, setAudio] = useState(null);
  const [problem, setProblem] = useState(null);
  const take = (bytes, name) => { setAudio({ bytes, name }); setProblem(null); };
  const recorder = useRecorder((bytes) => take(bytes, "recording"), setProblem);
  const { run, start, stop } = useCall(() => ({ text: "" }), (result, item) => { result.text += item?.result ?? ""; });
  const found = useMemo(() => (audio ? audioOf(audio.bytes) : null), [audio]);
  return html`
    <div class="actions">
      <${FileButton} label="Choose an audio file" accept="audio/*" onFiles=${async ([file]) => take(await bytesOf(file), file.name)} />
      ${recorder.state === "recording"
        ? html`<button type="button" class="danger" data-action="end-recording" data-state="recording" onClick=${recorder.end}>End the recording</button>`
        : html`<button type="button" data-action="record" onClick=${recorder.begin}>Record</button>`}
      <${RunButtons} run=${run} onRun=${() => start(requests.transcribe(chosen, toHex(audio.bytes)))} onStop=${stop} disabled=${!audio || !chosen.model} label="Transcribe" />
    </div>
    ${problem && html`<p class="field-error" role="alert">${problem}</p>`}
    ${audio && html`<div data-part="recorded" data-container=${found.container}>
      <p>${audio.name} <span class="quiet">${bytesText(audio.bytes.length)}</span></p>
      <${Player} bytes=${audio.bytes} name=${audio.name} warns=${false} />
      ${found.container !== "MP3" && html`<p class="quiet">Dify's dictation sends MP3 (16 kHz, 128 kbit/s): try an MP3 file as well.</p>`}
    </div>`}
    <${Outcome} run=${run}>${run.result.text && html`<div class="pre">${run.result.text}</div>`}<//>`;
}
