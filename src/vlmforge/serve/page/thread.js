/** The messages of the open conversation. */

import { lastQuestion } from "./conversation.js";
import { element, find } from "./element.js";
import { t } from "./language.js";
import { AnswerView, questionNode } from "./message.js";

/** @typedef {import("./conversation.js").Answer} Answer */
/** @typedef {import("./conversation.js").Conversation} Conversation */

/**
 * @typedef {object} Actions
 * @property {(question: import("./conversation.js").Question) => void} edit
 * @property {() => void} regenerate
 */

const NEAR = 60; // pixels from the end within which the reader is taken along

export class Thread {
  #scroller = find("thread");
  #list = find("messages");
  #newest = find("newest");
  /** Whether the end is seen, and should be, however the messages grow. */
  #following = true;
  #top = 0;
  /** @type {AnswerView | null} */
  #last = null;
  #frame = 0;
  #actions;

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#newest.addEventListener("click", () => this.#toEnd());
    const observer = new ResizeObserver(() => this.#following && this.#toEnd());
    observer.observe(this.#list);
    observer.observe(this.#scroller);
  }

  /** @param {Conversation} conversation */
  show(conversation) {
    const nodes = conversation.messages.map((_, place) => this.#node(conversation, place));
    this.#list.replaceChildren(...(nodes.length ? nodes : [welcome()]));
    this.#list.classList.toggle("empty", !nodes.length);
    this.#toEnd();
  }

  /** @param {Answer} answer the last one, which has more text */
  grow(answer) {
    this.#frame ||= requestAnimationFrame(() => this.finish(answer));
  }

  /** @param {Answer} answer the last one, as it is now */
  finish(answer) {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#last?.show(answer);
  }

  /**
   * @param {Conversation} conversation
   * @param {number} place
   * @returns {HTMLElement}
   */
  #node(conversation, place) {
    const { edit, regenerate } = this.#actions;
    const message = conversation.messages[place];
    const isLast = place >= lastQuestion(conversation);
    if (message.role === "user") return questionNode(message, isLast ? edit : null);
    this.#last = new AnswerView(message, isLast ? regenerate : null);
    return this.#last.node;
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#scrolled();
  }

  /** Growth moves the end away; the reader alone goes up. */
  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR) this.#following = true;
    else if (scrollTop < this.#top) this.#following = false;
    this.#top = scrollTop;
    this.#newest.hidden = this.#following;
  }
}

/** What an empty conversation shows. */
function welcome() {
  return element(
    "div",
    { className: "welcome" },
    element("h2", {}, t("emptyTitle")),
    element("p", {}, t("emptyHint")),
  );
}
