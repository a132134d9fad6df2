/** Keeps conversations, their pictures included, in this browser's IndexedDB. */

import { titleOf } from "./conversation.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

/**
 * @typedef {object} Summary
 * @property {string} id
 * @property {string} title
 * @property {number} changed
 */

const DATABASE = "vlmforge";
const VERSION = 1;
const TABLE = "conversations";

/** Conversations by their id. */
export class ConversationStore {
  /** @type {IDBDatabase} */
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
  }

  /** @returns {Promise<ConversationStore>} */
  static async open() {
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: "id" });
    return new ConversationStore(await result(request));
  }

  /** @returns {Promise<Summary[]>} the last changed first */
  async list() {
    /** @type {Conversation[]} */
    const all = await result(this.#table("readonly").getAll());
    return summaries(all);
  }

  /**
   * @param {string} id
   * @returns {Promise<Conversation | undefined>}
   */
  get(id) {
    return result(this.#table("readonly").get(id));
  }

  /** @param {Conversation} conversation */
  async put(conversation) {
    await result(this.#table("readwrite").put(conversation));
  }

  /** @param {string} id */
  async delete(id) {
    await result(this.#table("readwrite").delete(id));
  }

  /** @param {IDBTransactionMode} mode */
  #table(mode) {
    return this.#database.transaction(TABLE, mode).objectStore(TABLE);
  }
}

/** The same for browsers that keep nothing, until the page is closed. */
export class MemoryStore {
  /** @type {Map<string, Conversation>} */
  #kept = new Map();

  async list() {
    return summaries([...this.#kept.values()]);
  }

  /** @param {string} id */
  async get(id) {
    return this.#kept.get(id);
  }

  /** @param {Conversation} conversation */
  async put(conversation) {
    this.#kept.set(conversation.id, conversation);
  }

  /** @param {string} id */
  async delete(id) {
    this.#kept.delete(id);
  }
}

/**
 * @param {Conversation[]} conversations
 * @returns {Summary[]}
 */
function summaries(conversations) {
  return conversations
    .map((each) => ({ id: each.id, title: titleOf(each), changed: each.changed }))
    .sort((one, other) => other.changed - one.changed);
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
