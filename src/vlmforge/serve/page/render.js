/** Shows Markdown as elements of the document. */

import { copyButton } from "./copy.js";
import { element } from "./element.js";
import { readSpans } from "./inline.js";
import { readMarkdown } from "./markdown.js";

/** @typedef {import("./markdown.js").Block} Block */
/** @typedef {import("./inline.js").Span} Span */

/** Headings of answers stand below those of the page. */
const TOP_HEADING = 3;

/** A place that shows a text which may grow; blocks that stayed the same are left alone. */
export class MarkdownView {
  /** @type {string[]} */
  #shown = [];

  constructor() {
    this.node = element("div", { className: "markdown" });
  }

  /** @param {string} text */
  show(text) {
    const blocks = readMarkdown(text);
    blocks.forEach((block, place) => {
      const key = JSON.stringify(block);
      if (key === this.#shown[place]) return;
      const made = blockNode(block);
      const old = this.node.children[place];
      if (old) old.replaceWith(made);
      else this.node.append(made);
      this.#shown[place] = key;
    });
    this.#shown.length = blocks.length;
    while (this.node.children.length > blocks.length) this.node.lastElementChild.remove();
  }
}

/**
 * @param {Block} block
 * @returns {HTMLElement}
 */
function blockNode(block) {
  switch (block.kind) {
    case "paragraph":
      return element("p", {}, ...nodes(block.text));
    case "heading":
      return element(`h${Math.min(6, block.level + TOP_HEADING - 1)}`, {}, ...nodes(block.text));
    case "code":
      return codeNode(block.text, block.language);
    case "quote":
      return element("blockquote", {}, ...block.blocks.map(blockNode));
    case "list":
      return listNode(block.items, block.start);
    case "table":
      return tableNode(block);
    case "rule":
      return element("hr");
  }
}

/**
 * @param {string} text
 * @param {string} language
 */
function codeNode(text, language) {
  const head = element("div", { className: "code-head" }, element("span", {}, language));
  head.append(copyButton(() => text));
  const body = element("pre", { tabIndex: 0 }, element("code", {}, text));
  return element("div", { className: "code" }, head, body);
}

/**
 * @param {Block[][]} items
 * @param {number | null} start null for a list without numbers
 */
function listNode(items, start) {
  const made = items.map((blocks) => element("li", {}, ...blocks.map(blockNode)));
  return start === null ? element("ul", {}, ...made) : element("ol", { start }, ...made);
}

/** @param {Extract<Block, {kind: "table"}>} table */
function tableNode({ aligned, head, rows }) {
  const row = (/** @type {string[]} */ texts, /** @type {"th" | "td"} */ tag) => {
    const cells = texts.map((text, column) =>
      element(tag, { className: `to-${aligned[column]}` }, ...nodes(text)),
    );
    return element("tr", {}, ...cells);
  };
  const body = element("tbody", {}, ...rows.map((texts) => row(texts, "td")));
  const table = element("table", {}, element("thead", {}, row(head, "th")), body);
  return element("div", { className: "table", tabIndex: 0 }, table);
}

/**
 * @param {string} text
 * @returns {Node[]}
 */
function nodes(text) {
  return readSpans(text).map(spanNode);
}

/**
 * @param {Span} span
 * @returns {Node}
 */
function spanNode(span) {
  switch (span.kind) {
    case "text":
      return document.createTextNode(span.text);
    case "break":
      return element("br");
    case "code":
      return element("code", {}, span.text);
    case "link":
      return linkNode(span.address, span.spans);
    default:
      return element(span.kind, {}, ...span.spans.map(spanNode));
  }
}

/**
 * @param {string} href http or https
 * @param {Span[]} spans
 */
function linkNode(href, spans) {
  const properties = { href, target: "_blank", rel: "noopener noreferrer" };
  return element("a", properties, ...spans.map(spanNode));
}
