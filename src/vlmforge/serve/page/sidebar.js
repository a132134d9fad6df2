/** The list of conversations; on narrow screens a drawer. */

import { element, find } from "./element.js";
import { t } from "./language.js";

/** @typedef {import("./store.js").Summary} Summary */

const WIDE = matchMedia("(min-width: 800px)");

export class Sidebar {
  #node = find("sidebar");
  #list = find("conversations");
  #scrim = find("scrim");
  #open;

  /** @param {(id: string) => void} open */
  constructor(open) {
    this.#open = open;
    find("menu").addEventListener("click", () => this.#draw(true));
    find("close-menu").addEventListener("click", () => this.close());
    this.#scrim.addEventListener("click", () => this.close());
    WIDE.addEventListener("change", () => this.#draw(false));
    this.#draw(false);
  }

  get drawn() {
    return !this.#scrim.hidden;
  }

  close() {
    const drawn = this.drawn;
    this.#draw(false);
    if (drawn) find("menu").focus();
  }

  /**
   * @param {Summary[]} summaries
   * @param {string} current the id of the one that is open
   */
  show(summaries, current) {
    this.#list.replaceChildren(...summaries.map((each) => this.#item(each, each.id === current)));
  }

  /**
   * @param {Summary} summary
   * @param {boolean} isCurrent
   */
  #item({ id, title }, isCurrent) {
    const onclick = () => {
      this.#draw(false);
      this.#open(id);
    };
    const label = title || t("newConversation");
    const button = element("button", { type: "button", title: label, onclick }, label);
    if (isCurrent) button.setAttribute("aria-current", "true");
    return element("li", {}, button);
  }

  /** @param {boolean} drawn over the conversation, where there is no room beside it */
  #draw(drawn) {
    this.#scrim.hidden = !drawn;
    this.#node.classList.toggle("drawn", drawn);
    this.#node.inert = !drawn && !WIDE.matches;
    find("main").inert = drawn;
    if (drawn) find("close-menu").focus();
  }
}
