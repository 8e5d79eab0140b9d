/** Builds elements. Texts are text nodes: what the server sends never becomes markup. */

const SVG = 'http://www.w3.org/2000/svg';

/** An element. `onclick` and other handlers are functions; `false` and `null` leave out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A card with a heading. */
export function card(title, ...children) {
  return h('section', { class: 'card' }, h('h2', {}, title), ...children);
}

/** A card over the whole width, for a table with long cells. */
export function wideCard(title, ...children) {
  const section = card(title, ...children);
  section.classList.add('wide');
  return section;
}

/** Number of columns that fit a narrow screen. */
const NARROW = 2;

/**
 * A table that scrolls in itself. `columns` are `[heading, class]`, `rows` arrays of cells. On narrow
 * screens a row of more than two cells is a list of them: columns beyond the edge would not be found.
 */
export function table(label, columns, rows) {
  const stacked = columns.length > NARROW;
  const head = columns.map(([title, kind]) =>
    title === '' ? h('td', { class: kind }) : h('th', { scope: 'col', class: kind }, title),
  );
  const body = rows.map((cells) =>
    h(
      'tr',
      {},
      ...cells.map((cell, at) =>
        h(
          'td',
          { class: columns[at][1], 'data-label': columns[at][0] || null },
          h('div', {}, cell),
        ),
      ),
    ),
  );
  const region = h(
    'div',
    { class: 'scroll', role: 'region', 'aria-label': label },
    h(
      'table',
      { class: stacked ? 'stacked' : null },
      h('thead', {}, h('tr', {}, ...head)),
      h('tbody', {}, ...body),
    ),
  );
  // A region that scrolls can be reached with the keyboard.
  requestAnimationFrame(() => {
    if (region.scrollWidth > region.clientWidth) region.tabIndex = 0;
  });
  return region;
}

/** A sentence in place of a table without rows. */
export function empty(text) {
  return h('p', { class: 'empty' }, text);
}

/** A word with a colour: `good`, `bad`, `busy` or none. */
export function badge(text, tone = '') {
  return h('span', { class: `badge ${tone}` }, text);
}

/** Code, in a line of its own. */
export function command(text) {
  return h('pre', { class: 'command' }, h('code', {}, text));
}

/** Asks a question in a dialog. Resolves to whether the answer was yes. */
export function confirm(title, text, yes) {
  return new Promise((resolve) => {
    const dialog = h('dialog', { 'aria-labelledby': 'question' });
    const close = (answer) => () => dialog.close(answer);
    dialog.append(
      h('h2', { id: 'question' }, title),
      h('p', {}, text),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', class: 'primary', onclick: close('yes') }, yes),
        h('button', { type: 'button', class: 'plain', onclick: close('no') }, 'Cancel'),
      ),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
