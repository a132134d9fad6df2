/** Reads server-sent events, of which the API uses the field "data" alone. */

/**
 * The data of each event, in order. What the end of the stream cuts off is dropped.
 *
 * @param {ReadableStream<any>} body bytes of UTF-8
 * @returns {AsyncGenerator<string>}
 */
export async function* readEvents(body) {
  /** @type {string[]} */
  let data = [];
  for await (const line of readLines(body)) {
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    if (line || !data.length) continue;
    yield data.join("\n");
    data = [];
  }
}

/**
 * Complete lines, however the bytes were cut. A line ends with CR, LF or both.
 *
 * @param {ReadableStream<any>} body
 * @returns {AsyncGenerator<string>}
 */
async function* readLines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const text = rest + value;
      const end = text.endsWith("\r") ? text.length - 1 : text.length; // its LF may follow
      const lines = text.slice(0, end).split(/\r\n?|\n/);
      rest = lines.pop() + text.slice(end);
      yield* lines;
    }
  } finally {
    reader.cancel().catch(() => {}); // of a stream that failed already
  }
}
