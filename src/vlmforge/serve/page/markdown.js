/** Reads Markdown into blocks: the part of CommonMark and GitHub's tables that models write. */

import { readTable } from "./table.js";

/**
 * Texts inside blocks are Markdown still, of which inline.js reads the spans.
 *
 * @typedef {(
 *   | { kind: "paragraph", text: string }
 *   | { kind: "heading", level: number, text: string }
 *   | { kind: "code", language: string, text: string }
 *   | { kind: "quote", blocks: Block[] }
 *   | { kind: "list", start: number | null, items: Block[][] }
 *   | { kind: "table", aligned: string[], head: string[], rows: string[][] }
 *   | { kind: "rule" }
 * )} Block
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}>/;
const ITEM = /^( *)([-*+]|(\d{1,9})[.)])(?:\s+(.*))?$/;
/** What may follow a paragraph at once: a line that begins with a year is no list. */
const FIRST_ITEM = /^ *(?:[-*+]|1[.)])\s+\S/;

/** Quotes and lists in each other beyond this are text: no answer may exhaust the stack. */
const DEEPEST = 8;

/**
 * @param {string} text
 * @returns {Block[]}
 */
export function readMarkdown(text) {
  return readBlocks(text.replace(/\t/g, "    ").split(/\r\n?|\n/), 0);
}

/**
 * @param {string[]} lines
 * @param {number} depth
 * @returns {Block[]}
 */
function readBlocks(lines, depth) {
  const readers = [readCode, readHeading, readRule, readTable];
  if (depth < DEEPEST) readers.push(readQuote, readList);
  readers.push(readParagraph);
  /** @type {Block[]} */
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [block, next] = firstOf(readers, lines, at, depth);
    blocks.push(block);
    at = next;
  }
  return blocks;
}

/**
 * @typedef {[Block, number]} Found a block, and the line behind it
 * @typedef {(lines: string[], at: number, depth: number) => Found | null} Reader
 */

/**
 * @param {Reader[]} readers of which the last takes every line
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {Found}
 */
function firstOf(readers, lines, at, depth) {
  for (const read of readers) {
    const found = read(lines, at, depth);
    if (found) return found;
  }
  throw new Error("a paragraph takes every line");
}

/** @type {Reader} */
function readCode(lines, at) {
  const opened = FENCE.exec(lines[at]);
  if (!opened) return null;
  const [, fence, language] = opened;
  const closing = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}\\s*$`);
  const indent = lines[at].search(/\S/);
  let end = at + 1;
  while (end < lines.length && !closing.test(lines[end])) end += 1;
  const strip = new RegExp(`^ {0,${indent}}`);
  const text = lines.slice(at + 1, end).map((line) => line.replace(strip, ""));
  return [{ kind: "code", language, text: text.join("\n") }, end + 1];
}

/** @type {Reader} */
function readHeading(lines, at) {
  const found = HEADING.exec(lines[at]);
  if (!found) return null;
  const text = found[2].trim().replace(/\s#+$/, "");
  return [{ kind: "heading", level: found[1].length, text }, at + 1];
}

/** @type {Reader} */
function readRule(lines, at) {
  return RULE.test(lines[at]) ? [{ kind: "rule" }, at + 1] : null;
}

/** @type {Reader} */
function readQuote(lines, at, depth) {
  if (!QUOTE.test(lines[at])) return null;
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(/^ {0,3}> ?/, ""));
  return [{ kind: "quote", blocks: readBlocks(inner, depth + 1) }, end];
}

/** @type {Reader} */
function readList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const ordered = first[3] !== undefined;
  const items = [];
  let next = at;
  for (;;) {
    const item = ITEM.exec(lines[next] ?? "");
    if (!item || (item[3] !== undefined) !== ordered || RULE.test(lines[next])) break;
    const end = itemEnd(lines, next, item[1].length);
    items.push(readBlocks(itemLines(lines.slice(next, end), item), depth + 1));
    next = end;
  }
  return [{ kind: "list", start: ordered ? Number(first[3]) : null, items }, next];
}

/**
 * The line behind an item: what follows it is indented, or goes on with its paragraph.
 *
 * @param {string[]} lines
 * @param {number} at
 * @param {number} indent of the item's mark
 */
function itemEnd(lines, at, indent) {
  let end = at + 1;
  for (let blank = false; end < lines.length; end += 1) {
    const line = lines[end];
    const within = line.search(/\S/) > indent;
    if (!line.trim()) blank = true;
    else if (within) blank = false;
    else if (blank || ITEM.test(line) || interrupts(lines, end)) break;
  }
  return end;
}

/**
 * @param {string[]} lines of one item
 * @param {RegExpExecArray} item its first line, matched
 */
function itemLines(lines, item) {
  const width = item[1].length + item[2].length + 1;
  const strip = new RegExp(`^ {0,${width}}`);
  return [item[4] ?? "", ...lines.slice(1).map((line) => line.replace(strip, ""))];
}

/** @type {Reader} */
function readParagraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !interrupts(lines, end)) end += 1;
  const text = lines.slice(at, end).map((line) => line.trim());
  return [{ kind: "paragraph", text: text.join("\n") }, end];
}

/**
 * Whether a line begins a block of its own even behind a paragraph.
 *
 * @param {string[]} lines
 * @param {number} at
 */
function interrupts(lines, at) {
  const marked = [FENCE, HEADING, RULE, QUOTE].some((mark) => mark.test(lines[at]));
  return marked || FIRST_ITEM.test(lines[at]) || readTable(lines, at) !== null;
}
