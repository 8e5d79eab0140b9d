import { h, setText } from '../view/dom.ts';
import type { OwnState } from './own-data.ts';

/** What was read and what was not, and the figures of the models. */
export function reportView(): { element: HTMLElement; render(state: OwnState): void } {
  const bad = list('Rows that could not be read', 'bad-rows');
  const leftOut = list('Rows that were left out', 'left-out');
  const unused = list('Columns that were not used', 'unused');
  const read = text('What was read', 'read');
  const quality = text('How well it ranks', 'quality');
  const parts = [bad.element, leftOut.element, unused.element, read.element, quality.element];
  const element = h('div', { class: 'own-report', 'data-testid': 'report' }, ...parts);
  return {
    element,
    render(state) {
      element.hidden = state.read === null;
      bad.render(state.badRows, state.bad);
      leftOut.render(state.read?.leftOut ?? []);
      unused.render(state.read?.unused ?? []);
      read.render(state.read?.read ?? '');
      quality.render(state.quality ?? '');
    },
  };
}

function list(
  title: string,
  id: string,
): { element: HTMLElement; render(lines: readonly string[], total?: number): void } {
  const heading = h('summary', {});
  const lines = h('ul', { class: 'own-lines', tabindex: 0, 'aria-label': title });
  const element = h('details', { open: true, 'data-testid': id }, heading, lines);
  return {
    element,
    render(shown, total = shown.length) {
      element.hidden = shown.length === 0;
      const first = shown.length < total ? `, the first ${shown.length}` : '';
      setText(heading, `${title} (${total.toLocaleString('en')}${first})`);
      if (lines.textContent === shown.join('')) return;
      lines.replaceChildren(...shown.map((line) => h('li', {}, line)));
    },
  };
}

function text(title: string, id: string): { element: HTMLElement; render(content: string): void } {
  const content = h('pre', { class: 'own-text', tabindex: 0, 'aria-label': title });
  const element = h('details', { 'data-testid': id }, h('summary', {}, title), content);
  return {
    element,
    render(lines) {
      element.hidden = lines === '';
      setText(content, lines);
    },
  };
}
