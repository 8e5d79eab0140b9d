type Child = Node | string | null;

interface Properties {
  class?: string;
  /** HTML attributes; `false` and `null` omit the attribute. */
  [attribute: string]: string | number | boolean | null | undefined | ((event: Event) => void);
}

/** Creates an element. Function values (`onclick` etc.) are listeners, others attributes. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else setAttribute(element, name, value ?? null);
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** Creates an SVG element. */
export function s(
  tag: string,
  attributes: Record<string, string | number>,
  ...children: Element[]
): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Sets or removes an attribute; does not touch the DOM if nothing changes. */
export function setAttribute(
  element: Element,
  name: string,
  value: string | number | boolean | null,
): void {
  if (value === false || value === null) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Sets the text; does not touch the DOM if nothing changes. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Takes out the elements that get another position, for {@link reconcile} to insert anew: an
 * animation shows the move, so the browser need not count it as a layout shift. The element with
 * the focus stays, and keeps it.
 */
export function liftMoved<T extends Element>(
  parent: Element,
  existing: ReadonlyMap<string, T>,
  keys: readonly string[],
): void {
  const places = new Map([...parent.children].map((element, place) => [element, place]));
  keys.forEach((key, place) => {
    const element = existing.get(key);
    if (element === undefined || places.get(element) === place) return;
    if (!element.contains(document.activeElement)) element.remove();
  });
}

/**
 * Updates the children of `parent` to match `keys`: creates missing elements, removes
 * obsolete ones, reorders the rest. Remaining elements keep their focus and state.
 */
export function reconcile<T extends Element>(
  parent: Element,
  existing: Map<string, T>,
  keys: readonly string[],
  make: (key: string) => T,
): void {
  const wanted = new Set(keys);
  for (const [key, element] of existing) {
    if (wanted.has(key)) continue;
    element.remove();
    existing.delete(key);
  }
  keys.forEach((key, position) => {
    const element = existing.get(key) ?? make(key);
    existing.set(key, element);
    const there = parent.children[position];
    if (there !== element) parent.insertBefore(element, there ?? null);
  });
}
