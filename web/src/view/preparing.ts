import { followParts, type Part, partsText } from '../parts.ts';
import type { SiteInfo } from '../site-info.ts';
import { h, setText } from './dom.ts';

/** A line that says what the demo still prepares, with a button once there is something new. */
export function preparing({ parts: address }: SiteInfo): HTMLElement {
  const text = h('span', { 'data-testid': 'parts' });
  const reload = h(
    'button',
    { type: 'button', class: 'link', 'data-testid': 'reload', onclick: () => location.reload() },
    'Reload',
  );
  reload.hidden = true;
  const element = h('p', { class: 'preparing', role: 'status' }, text, ' ', reload);
  if (address === null) {
    element.hidden = true;
    return element;
  }
  let atOpening: readonly Part[] | null = null;
  void followParts(address, (parts) => {
    atOpening ??= parts;
    const now = partsText(parts, atOpening);
    setText(text, now.text);
    reload.hidden = !now.reload;
  });
  return element;
}
