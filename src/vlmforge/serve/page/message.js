/** A message as it is shown. */

import { copyButton } from "./copy.js";
import { element, icon, iconButton } from "./element.js";
import { endingText, explanation } from "./ending.js";
import { number, t } from "./language.js";
import { MarkdownView } from "./render.js";
import { thumbnail } from "./tray.js";

/** @typedef {import("./conversation.js").Answer} Answer */
/** @typedef {import("./conversation.js").Failure} Failure */
/** @typedef {import("./conversation.js").Figures} Figures */
/** @typedef {import("./conversation.js").Question} Question */

/**
 * @param {Question} question
 * @param {((question: Question) => void) | null} edit null where it may not be edited
 * @returns {HTMLElement}
 */
export function questionNode(question, edit) {
  const bubble = element("div", { className: "bubble" });
  if (question.media.length) {
    const items = question.media.map((media) => element("li", {}, thumbnail(media)));
    bubble.append(element("ul", { className: "pictures" }, ...items));
  }
  if (question.text) bubble.append(element("p", {}, question.text));
  const actions = element("div", { className: "actions" }, copyButton(() => question.text));
  if (edit) actions.append(iconButton("edit", t("edit"), () => edit(question)));
  const properties = { className: "question", "aria-label": t("youSaid") };
  return element("article", properties, bubble, actions);
}

/** An answer, which may still grow. */
export class AnswerView {
  #markdown = new MarkdownView();
  #foot = element("div", { className: "foot" });
  #regenerate;

  /**
   * @param {Answer} answer
   * @param {(() => void) | null} regenerate null where it may not be answered again
   */
  constructor(answer, regenerate) {
    this.#regenerate = regenerate;
    const properties = { className: "answer", "aria-label": answer.model };
    this.node = element("article", properties, this.#markdown.node, this.#foot);
    this.show(answer);
  }

  /** @param {Answer} answer */
  show(answer) {
    this.#markdown.show(answer.text);
    this.node.classList.toggle("writing", answer.ended === null);
    if (answer.ended !== null) this.#foot.replaceChildren(...this.#ending(answer));
  }

  /**
   * @param {Answer} answer
   * @returns {Node[]}
   */
  #ending(answer) {
    const said = [];
    if (answer.failure) {
      said.push(failureNode(answer.failure, this.#regenerate, !answer.text));
    } else if (answer.ended !== "complete") {
      said.push(element("p", { className: "ending" }, endingText(answer)));
    }
    const actions = element("div", { className: "actions" });
    if (answer.text) actions.append(copyButton(() => answer.text));
    if (this.#regenerate && !answer.failure) {
      actions.append(iconButton("again", t("regenerate"), this.#regenerate));
    }
    if (answer.figures) actions.append(figuresNode(answer.figures));
    return [...said, actions];
  }
}

/**
 * @param {Failure} failure
 * @param {(() => void) | null} retry null if more was asked since
 * @param {boolean} isEmpty whether no answer came at all
 */
function failureNode(failure, retry, isEmpty) {
  const node = element("div", { className: "failure", role: "alert" });
  node.append(element("p", {}, explanation(failure)));
  if (failure.message) node.append(element("p", { className: "words" }, failure.message));
  if (!retry && isEmpty) node.append(element("p", { className: "words" }, t("leftOut")));
  if (!retry) return node;
  const button = element("button", { type: "button", onclick: retry }, icon("again"), t("retry"));
  node.append(button);
  return node;
}

/** @param {Figures} figures */
function figuresNode({ first, rate, tokens }) {
  const parts = [];
  if (rate !== null) parts.push(t("figureRate", { rate: number(rate, rate < 100 ? 1 : 0) }));
  if (first !== null) parts.push(t("figureFirst", { seconds: number(first, 2) }));
  if (tokens !== null) parts.push(t("figureTokens", { tokens: number(tokens, 0) }));
  const spans = parts.map((part) => element("span", {}, part));
  return element("p", { className: "figures" }, ...spans);
}
