// Images, audio, video and files of an answer, from bytes only: nothing is loaded from the net, and a file that could run is a
// download.
import { html, useEffect, useMemo, useState } from "../../app/dom.js";
import { bytesText } from "../../app/text.js";
import { Link } from "../../parts/markdown.js";
import { fromBase64 } from "./bytes.js";
import { audioOf, imageOf } from "./media.js";

/** A `blob:` address of bytes, withdrawn when it is no longer shown. @param {Uint8Array|null} bytes @param {string} mimeType */
export function useBlobAddress(bytes, mimeType) {
  const [address, set] = useState(null);
  useEffect(() => {
    if (!bytes) return set(null);
    const made = URL.createObjectURL(new Blob([bytes], { type: mimeType }));
    set(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes, mimeType]);
  return address;
}

/** A link that saves bytes. @param {{bytes: Uint8Array, mimeType?: string, name: string, label?: string}} props */
export function Download({ bytes, name, label }) {
  // Whatever the file claims to be, it is saved and never opened here.
  const address = useBlobAddress(bytes, "application/octet-stream");
  return html`<a class="download" href=${address} download=${name} data-part="download">${label ?? name} (${bytesText(bytes.length)})</a>`;
}

/** A button that saves a text; it is put together when it is asked for. @param {{text: () => string, name: string}} props */
export function SaveText({ text, name }) {
  const save = () => {
    const address = URL.createObjectURL(new Blob([text()], { type: "application/octet-stream" }));
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  };
  return html`<button type="button" class="plain small" data-action="save-text" onClick=${save}>Save all of it</button>`;
}

/** @param {{bytes: Uint8Array, name?: string, mimeType?: string}} props */
export function Bytes({ bytes, name = "file", mimeType = "" }) {
  const image = useMemo(() => imageOf(bytes), [bytes]);
  if (image) return html`<${ImageOf} bytes=${bytes} mimeType=${image} name=${name} />`;
  if (mimeType.startsWith("audio/")) return html`<${Player} bytes=${bytes} name=${name} />`;
  if (mimeType.startsWith("video/")) return html`<${Video} bytes=${bytes} mimeType=${mimeType} name=${name} />`;
  return html`<${Download} bytes=${bytes} name=${name} />`;
}

function ImageOf({ bytes, mimeType, name }) {
  const address = useBlobAddress(bytes, mimeType);
  return html`<figure class="media">${address && html`<img src=${address} alt=${name} data-part="image" />`}
    <figcaption><${Download} bytes=${bytes} name=${name} /></figcaption></figure>`;
}

function Video({ bytes, mimeType, name }) {
  const address = useBlobAddress(bytes, mimeType);
  return html`<figure class="media">${address && html`<video controls src=${address} aria-label=${name}></video>`}
    <figcaption><${Download} bytes=${bytes} name=${name} /></figcaption></figure>`;
}

/**
 * Plays audio, names container and codec, and warns of what Dify would not play.
 * @param {{bytes: Uint8Array, name: string, warns?: boolean}} props  `warns`: the audio is an answer
 */
export function Player({ bytes, name, warns = true }) {
  const audio = useMemo(() => audioOf(bytes), [bytes]);
  const address = useBlobAddress(bytes, audio.mimeType);
  return html`<figure class="media" data-part="audio" data-container=${audio.container}>
    ${address && html`<audio controls src=${address} aria-label=${name}></audio>`}
    <figcaption>${audio.container} · ${audio.codec} · <${Download} bytes=${bytes} name=${name} />
      ${warns && !audio.playsInDify && html`<div class="field-error" data-part="audio-warning">Dify plays speech as MP3 only: this stays silent in its client.</div>`}
    </figcaption></figure>`;
}

/** A part of a message that is not text. @param {{part: any}} props */
export function Media({ part }) {
  const bytes = useMemo(() => (part.base64_data ? fromBase64(part.base64_data) : null), [part]);
  const name = part.filename || `${part.type}.${part.format || "bin"}`;
  if (bytes) return html`<${Bytes} bytes=${bytes} name=${name} mimeType=${part.mime_type ?? ""} />`;
  if (typeof part.url === "string" && part.url.startsWith("data:")) return html`<${Media} part=${{ ...part, url: "", base64_data: part.url }} />`;
  if (part.url) return html`<p>${part.type}: <${Link} href=${part.url}>${part.url}<//></p>`;
  return html`<p class="field-error">A part of type ${part.type} holds neither data nor an address.</p>`;
}
