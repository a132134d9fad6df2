/** Pictures and videos that go with a question. */

/**
 * @typedef {object} Media
 * @property {"image" | "video"} kind
 * @property {string} name of the file
 * @property {Blob} blob
 */

/** Pixels along its longer side above which a picture is scaled down before it is sent. */
export const LONGEST_SIDE = 2048;

export const MEGABYTE = 2 ** 20;

/** Bytes above which a video is refused: in Base64 it would not fit a request of 64 MB. */
export const LARGEST_VIDEO = 40 * MEGABYTE;

/** Types of pictures that every server reads; others are written anew. */
const SENT_AS_THEY_ARE = ["image/jpeg", "image/png", "image/webp", "image/gif"];

/** Why a file is not taken: the key of a text in strings.js, and the file's name. */
export class MediaError extends Error {
  /**
   * @param {string} why
   * @param {string} name
   */
  constructor(why, name) {
    super(`${name}: ${why}`);
    this.why = why;
    this.name = name;
  }
}

/**
 * What a file holds, ready to be sent.
 *
 * @param {File} file
 * @returns {Promise<Media>}
 */
export async function readMedia(file) {
  const { name } = file;
  if (file.type.startsWith("video/")) {
    if (file.size > LARGEST_VIDEO) throw new MediaError("videoTooLarge", name);
    return { kind: "video", name, blob: file };
  }
  if (!file.type.startsWith("image/")) throw new MediaError("notMedia", name);
  return { kind: "image", name, blob: await readPicture(file) };
}

/**
 * @param {File} file
 * @returns {Promise<Blob>} the file itself unless it is too large or of an unusual type
 */
async function readPicture(file) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new MediaError("pictureUnreadable", file.name);
  });
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  if (scale === 1 && SENT_AS_THEY_ARE.includes(file.type)) return file;
  const size = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(size[0], size[1]);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, size[0], size[1]);
  bitmap.close();
  const type = file.type === "image/jpeg" ? file.type : "image/png";
  return canvas.convertToBlob({ type, quality: 0.92 });
}

/**
 * @param {Blob} blob
 * @returns {Promise<string>} a data: URL
 */
export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
