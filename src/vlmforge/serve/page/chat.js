/** The conversation that is open, the answers being written, and what the user may do to them. */

import { fillIn } from "./answering.js";
import { lastQuestion, newAnswer, newConversation, titleOf, toRequest } from "./conversation.js";
import { apiKey, sampling } from "./settings.js";

/** @typedef {import("./conversation.js").Answer} Answer */
/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./media.js").Media} Media */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./store.js").ConversationStore | import("./store.js").MemoryStore} Store */

/**
 * Whom to tell of changes.
 *
 * @typedef {object} Listener
 * @property {() => void} opened another conversation is open, or its messages are others
 * @property {(answer: Answer) => void} grown the last answer has more text
 * @property {(answer: Answer) => void} ended it is complete, or failed
 * @property {() => void} listed the list of conversations is another
 * @property {() => void} unsaved a conversation could not be kept
 */

const SAVED_EVERY = 2000; // milliseconds, while an answer is written

export class Chat {
  /** @type {Conversation} */
  current = newConversation();
  /** @type {Map<string, {conversation: Conversation, abort: AbortController}>} */
  #running = new Map();
  #store;
  #settings;
  #listener;

  /**
   * @param {Store} store
   * @param {() => Settings & {model: string}} settings
   * @param {Listener} listener
   */
  constructor(store, settings, listener) {
    this.#store = store;
    this.#settings = settings;
    this.#listener = listener;
  }

  /** Whether an answer is being written in the open conversation. */
  get running() {
    return this.#running.has(this.current.id);
  }

  list() {
    return this.#store.list();
  }

  /** @param {string} id of which none may be kept: a new conversation is opened then */
  async open(id) {
    const kept = this.#running.get(id)?.conversation ?? (await this.#store.get(id));
    this.#show(kept ?? newConversation());
  }

  create() {
    this.#show(newConversation());
  }

  /** @param {string} title */
  async rename(title) {
    this.current.title = title.trim();
    if (this.current.messages.length) await this.#save(this.current);
  }

  async remove() {
    const { id } = this.current;
    this.stop();
    this.#running.delete(id);
    await this.#store.delete(id);
    this.create();
    this.#listener.listed();
  }

  stop() {
    this.#running.get(this.current.id)?.abort.abort();
  }

  /**
   * @param {string} text
   * @param {Media[]} media
   */
  async ask(text, media) {
    this.current.messages.push({ role: "user", text, media });
    await this.#answer(this.current);
  }

  /**
   * Ask this in place of the last question.
   *
   * @param {string} text
   * @param {Media[]} media
   */
  async askInstead(text, media) {
    this.current.messages.length = lastQuestion(this.current);
    await this.ask(text, media);
  }

  /** Answer the last question once more. */
  async again() {
    this.current.messages.length = lastQuestion(this.current) + 1;
    await this.#answer(this.current);
  }

  /** @param {Conversation} conversation whose last message is a question */
  async #answer(conversation) {
    const settings = this.#settings();
    const questions = [...conversation.messages];
    const answer = newAnswer(settings.model);
    const abort = new AbortController();
    conversation.messages.push(answer);
    this.#running.set(conversation.id, { conversation, abort });
    if (conversation === this.current) this.#listener.opened();
    await this.#save(conversation);
    const request = async () => ({
      model: settings.model,
      messages: await toRequest(questions, settings.system),
      ...sampling(settings),
    });
    const saving = setInterval(() => {
      if (this.#running.has(conversation.id)) this.#keep(conversation);
    }, SAVED_EVERY);
    await fillIn(answer, request, apiKey(), abort.signal, () => {
      if (conversation === this.current) this.#listener.grown(answer);
    });
    clearInterval(saving);
    if (!this.#running.delete(conversation.id)) return; // it was removed meanwhile
    await this.#save(conversation);
    if (conversation === this.current) this.#listener.ended(answer);
  }

  /** @param {Conversation} conversation */
  #show(conversation) {
    for (const message of conversation.messages) {
      const left = message.role === "assistant" && message.ended === null;
      if (left && !this.#running.has(conversation.id)) message.ended = "interrupted";
    }
    this.current = conversation;
    this.#listener.opened();
  }

  /** @param {Conversation} conversation */
  async #save(conversation) {
    conversation.changed = Date.now();
    await this.#keep(conversation);
    this.#listener.listed();
  }

  /** @param {Conversation} conversation */
  async #keep(conversation) {
    await this.#store.put(conversation).catch(() => this.#listener.unsaved());
  }
}
