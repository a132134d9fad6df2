/** Reads the spans of Markdown's texts: code, emphasis, links. HTML is text as any other. */

import { closing, emphasized, exactRun, opens, runEnd } from "./emphasis.js";

/**
 * @typedef {(
 *   | { kind: "text", text: string }
 *   | { kind: "break" }
 *   | { kind: "code", text: string }
 *   | { kind: "strong" | "em" | "del", spans: Span[] }
 *   | { kind: "link", address: string, spans: Span[] }
 * )} Span
 */

const SPECIAL = /[\\`*_~[!<\n]|https?:\/\//g;
const ESCAPED = /\\([!-/:-@[-`{-~])/y;
const LABEL = /!?\[((?:[^[\]\\]|\\.)*)\]/.source;
const TARGET = /\(\s*<?([^\s<>()]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+"[^"]*")?\s*\)/.source;
const LINK = new RegExp(LABEL + TARGET, "y");
const BRACKETED = /<(https?:\/\/[^\s<>]+)>/y;
/** Ends where ASCII does: the particles of Korean follow addresses without a space. */
const BARE = /https?:\/\/(?:(?!["'`)\]<>])[!-~])+/y;
const WORD = /[\p{L}\p{N}]/u;

/** Spans in each other beyond this are text: no answer may exhaust the stack. */
const DEEPEST = 8;

/**
 * @param {string} text
 * @returns {Span[]}
 */
export function readSpans(text) {
  return new SpanReader(text, 0).read();
}

/**
 * What a link may lead to.
 *
 * @param {string} address
 * @returns {string | null} an absolute address of http or https; null for any other
 */
export function safeAddress(address) {
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) return null;
  return new URL(address).href;
}

class SpanReader {
  /** @type {Span[]} */
  #spans = [];
  /** Marks, such as "**", that nothing closes from here on: each is sought once. */
  #unclosed = new Set();
  #at = 0;
  #text;
  #depth;

  /**
   * @param {string} text
   * @param {number} depth
   */
  constructor(text, depth) {
    this.#text = text;
    this.#depth = depth;
  }

  read() {
    while (this.#at < this.#text.length) {
      SPECIAL.lastIndex = this.#at;
      const next = SPECIAL.exec(this.#text)?.index ?? this.#text.length;
      this.#plain(this.#text.slice(this.#at, next));
      this.#at = next;
      if (next < this.#text.length && !this.#special()) this.#plain(this.#text[this.#at++]);
    }
    return this.#spans;
  }

  /** Take the span that begins here; false if none does. */
  #special() {
    switch (this.#text[this.#at]) {
      case "\n":
        this.#spans.push({ kind: "break" });
        this.#at += 1;
        return true;
      case "\\":
        return this.#take(ESCAPED, ([, character]) => this.#plain(character));
      case "`":
        return this.#code();
      case "[":
      case "!":
        return this.#take(LINK, ([, label, address]) => this.#link(address, this.#inner(label)));
      case "<":
        return this.#take(BRACKETED, ([, address]) => this.#link(address, [textSpan(address)]));
      case "h":
        return this.#bare();
      default:
        return this.#emphasis();
    }
  }

  /**
   * @param {RegExp} pattern sticky
   * @param {(found: RegExpExecArray) => void} use
   */
  #take(pattern, use) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (!found) return false;
    this.#at = pattern.lastIndex;
    use(found);
    return true;
  }

  /** @param {string} text */
  #plain(text) {
    const last = this.#spans.at(-1);
    if (last?.kind === "text") last.text += text;
    else if (text) this.#spans.push(textSpan(text));
  }

  #code() {
    const start = runEnd(this.#text, this.#at);
    const mark = this.#text.slice(this.#at, start);
    const end = this.#close(mark, () => exactRun(this.#text, mark, start));
    if (end < 0) return this.#literal(start);
    const inner = this.#text.slice(start, end).replaceAll("\n", " ");
    const padded = inner.startsWith(" ") && inner.endsWith(" ") && inner.trim();
    this.#spans.push({ kind: "code", text: padded ? inner.slice(1, -1) : inner });
    this.#at = end + mark.length;
    return true;
  }

  #emphasis() {
    const run = runEnd(this.#text, this.#at);
    const mark = this.#text.slice(this.#at, run).slice(0, this.#text[this.#at] === "~" ? 2 : 3);
    const start = this.#at + mark.length;
    if (!opens(this.#text, mark, this.#at)) return this.#literal(run);
    const end = this.#close(mark, () => closing(this.#text, mark, start));
    if (end < 0) return this.#literal(run);
    this.#spans.push(emphasized(mark, this.#inner(this.#text.slice(start, end))));
    this.#at = end + mark.length;
    return true;
  }

  /**
   * @param {string} mark
   * @param {() => number} seek
   */
  #close(mark, seek) {
    const end = this.#unclosed.has(mark) ? -1 : seek();
    if (end < 0) this.#unclosed.add(mark);
    return end;
  }

  /** @param {number} end of marks that mark nothing */
  #literal(end) {
    this.#plain(this.#text.slice(this.#at, end));
    this.#at = end;
    return true;
  }

  /**
   * @param {string} address
   * @param {Span[]} spans which stay when the address is not safe
   */
  #link(address, spans) {
    const safe = safeAddress(address);
    if (safe) this.#spans.push({ kind: "link", address: safe, spans });
    else this.#spans.push(...spans);
  }

  #bare() {
    if (WORD.test(this.#text[this.#at - 1] ?? "")) return false;
    return this.#take(BARE, ([found]) => {
      const address = found.replace(/[.,;:!?*_~]+$/, "");
      this.#at -= found.length - address.length;
      this.#link(address, [textSpan(address)]);
    });
  }

  /**
   * @param {string} text
   * @returns {Span[]}
   */
  #inner(text) {
    return this.#depth < DEEPEST ? new SpanReader(text, this.#depth + 1).read() : [textSpan(text)];
  }
}

/**
 * @param {string} text
 * @returns {Span}
 */
function textSpan(text) {
  return { kind: "text", text };
}
