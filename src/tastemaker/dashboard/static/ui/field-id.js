// What fields need besides the hooks: a name of their own, and handing it to the control within.
import { h, html, useRef, useState } from "../lib/html.js";

let count = 0;

/** A name that no other element on the page has. */
export function useId() {
  return useState(() => `field-${++count}`)[0];
}

/** The control with more properties. */
export function cloneElement(node, properties) {
  const only = Array.isArray(node) ? node.find((one) => one && typeof one === "object") : node;
  return h(only.type, { ...only.props, ...properties, key: only.key, ref: only.ref });
}

export { html, useRef };
