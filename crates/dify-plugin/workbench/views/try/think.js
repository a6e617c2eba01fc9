// Thinking in an answer: `<think>…</think>` in the text, which Dify draws as a block that folds. Only the splitting is here.

/**
 * @typedef {{kind: "text"|"thinking", text: string, open: boolean}} Segment  `open`: not closed yet
 */

/** @param {string} text @returns {Segment[]} */
export function segments(text) {
  const found = [];
  let rest = text;
  while (rest) {
    const start = rest.indexOf("<think>");
    if (start < 0) {
      found.push({ kind: "text", text: rest, open: true });
      break;
    }
    if (start > 0) found.push({ kind: "text", text: rest.slice(0, start), open: false });
    const inner = rest.slice(start + 7);
    const end = inner.indexOf("</think>");
    if (end < 0) {
      found.push({ kind: "thinking", text: inner, open: true });
      break;
    }
    found.push({ kind: "thinking", text: inner.slice(0, end), open: false });
    rest = inner.slice(end + 8);
  }
  return found.filter((segment) => segment.kind === "thinking" || segment.text.trim());
}

/**
 * A Markdown text cut at blank lines outside of code, so that only its last block is parsed again while it grows.
 * @param {string} text
 * @returns {string[]}
 */
export function blocks(text) {
  const found = [];
  let fence = null;
  let start = 0;
  let at = 0;
  for (const line of text.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark && fence === null) fence = mark;
    else if (mark && mark[0] === fence[0] && mark.length >= fence.length) fence = null;
    const next = at + line.length + 1;
    // A list goes on after a blank line when what follows is indented or a marker; it is left in one block.
    if (fence === null && line.trim() === "" && next < text.length && !/^([ \t]|[-*+] |\d+[.)] )/.test(text.slice(next, next + 12))) {
      if (text.slice(start, at).trim()) found.push(text.slice(start, at));
      start = next;
    }
    at = next;
  }
  if (text.slice(start).trim()) found.push(text.slice(start));
  return found;
}
