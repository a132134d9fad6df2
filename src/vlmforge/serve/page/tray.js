/** The pictures and videos that will go with the next question. */

import { element, find, icon, iconButton } from "./element.js";
import { t } from "./language.js";
import { LARGEST_VIDEO, MEGABYTE, MediaError, readMedia } from "./media.js";
import { tell } from "./notice.js";

/** @typedef {import("./media.js").Media} Media */

export class Tray {
  /** @type {Media[]} */
  #media = [];
  /** The files that are still being read. */
  #reading = Promise.resolve();
  #node = find("tray");
  #changed;

  /** @param {() => void} changed called when there are more, or fewer */
  constructor(changed) {
    this.#changed = changed;
  }

  get empty() {
    return !this.#media.length;
  }

  /**
   * Add files in their order; those that cannot be sent are named and left out.
   *
   * @param {Iterable<File>} files
   */
  add(files) {
    const reads = [...files].map((file) => readMedia(file).then((media) => [media], refuse));
    this.#reading = this.#reading.then(async () => {
      for (const read of reads) this.set([...this.#media, ...(await read)]);
    });
  }

  /** @param {Media[]} media */
  set(media) {
    this.#media = media;
    this.#node.replaceChildren(...media.map((each) => this.#item(each)));
    this.#node.hidden = this.empty;
    this.#changed();
  }

  /** @returns {Promise<Media[]>} what was added, once it is read */
  async media() {
    await this.#reading;
    return this.#media;
  }

  /** @param {Media} media */
  #item(media) {
    const remove = iconButton("close", t("remove", { name: media.name }), () => {
      this.set(this.#media.filter((each) => each !== media));
      find("question").focus();
    });
    return element("li", {}, thumbnail(media), remove);
  }
}

/**
 * A small picture; of a video, its name.
 *
 * @param {Media} media
 * @returns {HTMLElement}
 */
export function thumbnail({ kind, name, blob }) {
  if (kind === "video") {
    return element("span", { className: "video" }, icon("film"), element("span", {}, name));
  }
  const src = URL.createObjectURL(blob);
  const forget = () => URL.revokeObjectURL(src);
  return element("img", { src, alt: name, title: name, onload: forget, onerror: forget });
}

/**
 * @param {unknown} error
 * @returns {never[]}
 */
function refuse(error) {
  if (!(error instanceof MediaError)) throw error;
  tell(t(error.why, { name: error.name, megabytes: LARGEST_VIDEO / MEGABYTE }));
  return [];
}
