// Files that a user attaches: chosen, dropped or pasted, and read into memory.
import { html, useId, useRef } from "../../app/dom.js";
import { bytesText } from "../../app/text.js";
import { toBase64 } from "./bytes.js";
import { mimeTypeOf } from "./media.js";

/** The daemon's limit of a request body is far above; this keeps a slip of the hand from filling the memory. */
export const MAX_FILE_BYTES = 50_000_000;

/** @param {File} file @returns {Promise<Uint8Array>} */
export const bytesOf = async (file) => new Uint8Array(await file.arrayBuffer());

/** @param {File[]} files @returns {Promise<{files: import("./messages.js").Attached[], error: string|null}>} */
export async function attached(files) {
  const read = [];
  for (const file of files) {
    if (file.size > MAX_FILE_BYTES) return { files: read, error: `${file.name} has ${bytesText(file.size)}; at most ${bytesText(MAX_FILE_BYTES)} are read.` };
    const bytes = await bytesOf(file);
    read.push({ name: file.name, mimeType: mimeTypeOf(file), base64: toBase64(bytes), bytes: bytes.length });
  }
  return { files: read, error: null };
}

/** A button that opens the file chooser. @param {{label: string, accept?: string, multiple?: boolean, onFiles: (files: File[]) => void, name?: string}} props */
export function FileButton({ label, accept, multiple = false, onFiles, name = "file" }) {
  const input = useRef(null);
  const id = useId();
  const take = (event) => {
    const files = [...event.currentTarget.files];
    // The same file may be chosen again.
    event.currentTarget.value = "";
    if (files.length) onFiles(files);
  };
  return html`<span class="file-button">
    <input ref=${input} id=${id} class="unseen" type="file" accept=${accept} multiple=${multiple} data-part=${name} onChange=${take} />
    <label for=${id}>${label}</label></span>`;
}

/** The files of a message. @param {{files: import("./messages.js").Attached[], onRemove?: (index: number) => void}} props */
export function FileList({ files, onRemove }) {
  if (!files?.length) return null;
  return html`<ul class="files">${files.map((file, index) => html`<li key=${index} data-part="attached" data-file=${file.name}>
    <span>${file.name}</span> <span class="quiet">${file.mimeType} · ${bytesText(file.bytes)}</span>
    ${onRemove && html`<button type="button" class="plain small" aria-label=${`Remove ${file.name}`} onClick=${() => onRemove(index)}>✕</button>`}
  </li>`)}</ul>`;
}
