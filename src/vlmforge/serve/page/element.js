/** Elements of the document, built without markup: whatever text they are given stays text. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with properties, attributes (names with a dash) and children.
 *
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) made.setAttribute(name, value);
    else Reflect.set(made, name, value);
  }
  made.append(...children);
  return made;
}

/**
 * One drawing of icons.svg, hidden from screen readers.
 *
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `page/icons.svg#${name}`);
  drawing.append(use);
  return drawing;
}

/**
 * A button that shows an icon and is named by a text.
 *
 * @param {string} drawing
 * @param {string} label
 * @param {(event: MouseEvent) => void} onclick
 * @returns {HTMLButtonElement}
 */
export function iconButton(drawing, label, onclick) {
  const properties = { type: "button", className: "quiet", title: label, "aria-label": label };
  return element("button", { ...properties, onclick }, icon(drawing));
}

/**
 * The element of the page that has this id.
 *
 * @param {string} id
 * @returns {any}
 */
export function find(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}
