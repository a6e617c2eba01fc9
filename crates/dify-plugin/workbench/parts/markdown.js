// Markdown from anyone, as Preact nodes: marked splits it into tokens, and this file draws them. Raw HTML is text, images are
// links, and a link leads to http or https only. Text never becomes markup.
import { html, useMemo } from "../app/dom.js";
import { getDefaults, Lexer } from "../vendor/marked.js";

/** Beyond this the text is shown as it is: hostile input must not keep the browser busy. */
const MAX_PARSED_CHARACTERS = 100_000;
const MAX_DEPTH = 40;
/** A paragraph beyond these is text: the search for the ends of emphasis grows with the square of the marks. */
const MAX_INLINE_CHARACTERS = 20_000;
const MAX_INLINE_MARKS = 400;
const MAX_PARSE_MILLISECONDS = 100;

/** The tokens of a text: blocks first, then the inside of each, as long as that is cheap. @param {string} text */
export function tokensOf(text) {
  const lexer = new Lexer({ ...getDefaults(), gfm: true });
  lexer.blockTokens(text.replace(/\r\n|\r/g, "\n"), lexer.tokens);
  const end = performance.now() + MAX_PARSE_MILLISECONDS;
  for (const { src, tokens } of lexer.inlineQueue) {
    const cheap = src.length <= MAX_INLINE_CHARACTERS && (src.match(/[*_~`[\]<]/g)?.length ?? 0) <= MAX_INLINE_MARKS;
    if (cheap && performance.now() < end) lexer.inlineTokens(src, tokens);
    else tokens.push({ type: "escape", raw: src, text: src });
  }
  return lexer.tokens;
}

/** @param {string|null|undefined} href @returns {string|null} the address when it may be followed */
export function safeAddress(href) {
  try {
    const url = new URL(String(href ?? ""));
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Marked escapes what it takes for HTML; the page draws text, so the few entities are turned back. */
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };
const plain = (text) => String(text ?? "").replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]);

/** @param {{href: string|null|undefined, title?: string|null, children: any}} props */
export function Link({ href, title, children }) {
  const address = safeAddress(href);
  if (!address) return html`<span title=${href ?? undefined}>${children}</span>`;
  return html`<a href=${address} title=${title || undefined} target="_blank" rel="noopener noreferrer">${children}</a>`;
}

function inline(tokens, depth) {
  return (tokens ?? []).map((token, index) => {
    const inner = () => (depth > MAX_DEPTH ? token.raw : inline(token.tokens, depth + 1));
    switch (token.type) {
      case "strong": return html`<strong key=${index}>${inner()}</strong>`;
      case "em": return html`<em key=${index}>${inner()}</em>`;
      case "del": return html`<del key=${index}>${inner()}</del>`;
      case "codespan": return html`<code key=${index}>${token.text}</code>`;
      case "br": return html`<br key=${index} />`;
      case "link": return html`<${Link} key=${index} href=${token.href} title=${token.title}>${inner()}<//>`;
      case "image": return html`<${Link} key=${index} href=${token.href} title=${token.title}>Image: ${token.text || token.href}<//>`;
      case "text": return token.tokens ? inner() : plain(token.text);
      case "escape": return token.text;
      case "checkbox": return token.checked ? "☑ " : "☐ ";
      default: return token.raw ?? "";
    }
  });
}

function list(token, depth) {
  const items = token.items.map((item, index) => html`<li key=${index}>
    ${item.task && !item.tokens?.some((child) => child.type === "checkbox") && (item.checked ? "☑ " : "☐ ")}${blocks(item.tokens, depth + 1, !item.loose)}</li>`);
  return token.ordered ? html`<ol start=${token.start || 1}>${items}</ol>` : html`<ul>${items}</ul>`;
}

function blocks(tokens, depth, tight = false) {
  if (depth > MAX_DEPTH) return (tokens ?? []).map((token) => token.raw).join("");
  return (tokens ?? []).map((token, index) => {
    switch (token.type) {
      case "space": case "def": return null;
      case "heading": return html`<p key=${index} class="md-heading" role="heading" aria-level=${Math.min(token.depth + 2, 6)}>${inline(token.tokens, depth)}</p>`;
      case "paragraph": return html`<p key=${index}>${inline(token.tokens, depth)}</p>`;
      case "text": {
        const content = token.tokens ? inline(token.tokens, depth) : plain(token.text);
        return tight ? html`<span key=${index}>${content}</span>` : html`<p key=${index}>${content}</p>`;
      }
      case "code": return html`<pre key=${index} tabindex="0"><code data-language=${token.lang || undefined}>${token.text}</code></pre>`;
      case "blockquote": return html`<blockquote key=${index}>${blocks(token.tokens, depth + 1)}</blockquote>`;
      case "list": return html`<div key=${index}>${list(token, depth)}</div>`;
      case "hr": return html`<hr key=${index} />`;
      case "table": return html`<div key=${index} class="table"><table>
        <thead><tr>${token.header.map((cell, at) => html`<th key=${at}>${inline(cell.tokens, depth)}</th>`)}</tr></thead>
        <tbody>${token.rows.map((row, at) => html`<tr key=${at}>${row.map((cell, of) => html`<td key=${of}>${inline(cell.tokens, depth)}</td>`)}</tr>`)}</tbody>
      </table></div>`;
      case "html": return html`<p key=${index} class="md-raw">${token.raw}</p>`;
      case "checkbox": return token.checked ? "☑ " : "☐ ";
      default: return token.tokens ? html`<p key=${index}>${inline(token.tokens, depth)}</p>` : html`<p key=${index}>${token.raw ?? ""}</p>`;
    }
  });
}

/** @param {{text: string}} props */
export function Markdown({ text }) {
  const drawn = useMemo(() => {
    if (text.length > MAX_PARSED_CHARACTERS) return html`<pre class="wrap" tabindex="0">${text}</pre>`;
    try {
      return blocks(tokensOf(text), 0);
    } catch {
      return html`<pre class="wrap" tabindex="0">${text}</pre>`;
    }
  }, [text]);
  return html`<div class="markdown">${drawn}</div>`;
}
