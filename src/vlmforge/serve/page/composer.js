/** Where a question is written, with its pictures. */

import { find } from "./element.js";
import { t } from "./language.js";
import { Tray } from "./tray.js";

/** @typedef {import("./conversation.js").Question} Question */
/** @typedef {import("./media.js").Media} Media */

/**
 * @typedef {object} Actions
 * @property {(text: string, media: Media[], instead: boolean) => void} send `instead` of the last
 * @property {() => void} stop
 */

const TALLEST = 240; // pixels, of the field; a longer question scrolls

export class Composer {
  #field = find("question");
  #button = find("send");
  #running = false;
  #editing = false;
  #tray = new Tray(() => this.#update());
  #actions;

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#field.addEventListener("input", () => this.#update());
    this.#field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.#button.addEventListener("click", () => (this.#running ? actions.stop() : this.#send()));
    find("add").addEventListener("click", () => find("files").click());
    find("files").addEventListener("change", () => this.#choose());
    find("stop-editing").addEventListener("click", () => this.stopEditing());
    this.#update();
  }

  /**
   * Whether an answer is being written: the button then stops it.
   *
   * @param {boolean} value
   */
  set running(value) {
    this.#running = value;
    this.#update();
  }

  get editing() {
    return this.#editing;
  }

  /** @param {Iterable<File>} files */
  add(files) {
    this.#tray.add(files);
    this.focus();
  }

  /** @param {Question} question to be asked anew */
  edit({ text, media }) {
    this.#fill(text, media, true);
    this.focus();
  }

  stopEditing() {
    this.#fill("", [], false);
    this.focus();
  }

  focus() {
    this.#field.focus();
  }

  /** Show the texts of the page's language. */
  translate() {
    this.#update();
  }

  #choose() {
    const { files } = find("files");
    this.add([...files]);
    find("files").value = ""; // so that the same file may be chosen again
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const composing = event.isComposing || event.keyCode === 229; // the IME's key, not ours
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    if (!this.#running) this.#send();
  }

  async #send() {
    const media = await this.#tray.media();
    const text = this.#field.value.trim();
    if (this.#running || (!text && !media.length)) return;
    const instead = this.#editing;
    this.#fill("", [], false);
    this.#actions.send(text, media, instead);
  }

  /**
   * @param {string} text
   * @param {Media[]} media
   * @param {boolean} editing
   */
  #fill(text, media, editing) {
    this.#field.value = text;
    this.#editing = editing;
    this.#tray.set(media);
  }

  #update() {
    const label = t(this.#running ? "stop" : "send");
    this.#button.classList.toggle("running", this.#running);
    this.#button.title = label;
    this.#button.setAttribute("aria-label", label);
    this.#button.disabled = !this.#running && !this.#field.value.trim() && this.#tray.empty;
    find("editing").hidden = !this.#editing;
    this.#field.style.height = "auto";
    this.#field.style.height = `${Math.min(this.#field.scrollHeight, TALLEST)}px`;
  }
}
