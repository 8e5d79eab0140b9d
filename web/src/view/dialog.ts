import { h } from './dom.ts';

/** A modal dialog that is closed by Escape, its close button, or a click outside. */
export function dialog(testId: string, titleId: string, ...content: Element[]): HTMLDialogElement {
  const element = h(
    'dialog',
    {
      class: 'dialog',
      'data-testid': testId,
      'aria-labelledby': titleId,
      onclick: (event) => {
        // Only the backdrop has the dialog itself as the target.
        if (event.target === element) element.close();
      },
    },
    h('div', { class: 'dialog-body' }, ...content),
  );
  return element;
}

/** The button in the corner of a dialog. */
export function closeButton(element: HTMLDialogElement): HTMLButtonElement {
  return h(
    'button',
    {
      type: 'button',
      class: 'close',
      'aria-label': 'Close',
      'data-testid': 'close',
      onclick: () => element.close(),
    },
    '×',
  );
}
