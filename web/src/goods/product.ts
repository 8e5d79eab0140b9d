import type { Film } from '../catalogue.ts';
import { h, s, setAttribute, setText } from '../view/dom.ts';
import { money, type Product } from './goods.ts';

/** Line drawings of the categories, 24 units wide. */
const drawings: Record<string, string> = {
  Coffee: 'M4 8h12v6a5 5 0 0 1-5 5H9a5 5 0 0 1-5-5zM16 10h2a2.5 2.5 0 0 1 0 5h-2M8 5V3M12 5V3',
  Kitchen: 'M3 11h12v2a5 5 0 0 1-5 5H8a5 5 0 0 1-5-5zM15 12h6M6 8V6M10 8V6',
  Camping: 'M12 4 3 19h18zM12 11l-4 8h8z',
  Cycling:
    'M2.5 17a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0M14.5 17a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0M6 17l4-8h5l3 8M10 9l3 8H6M15 9l1-3h2',
  Garden: 'M12 21V11M12 13c-5 0-7-3-7-7 5 0 7 3 7 7zM12 11c0-4 2-6 7-6 0 4-2 6-7 6zM7 21h10',
  Desk: 'M6 20h8M10 20v-5l4.5-5.5M12 5l6 5-2 2.5-6-5zM17.5 13.5l1.5 2',
  Audio: 'M4 17v-4a8 8 0 0 1 16 0v4M4 14h3v6H5a1 1 0 0 1-1-1zM20 14h-3v6h2a1 1 0 0 0 1-1z',
  Travel: 'M6 8h12v11H6zM9 8V4h6v4M10 11v5M14 11v5',
};
const box = 'M4 8l8-4 8 4v9l-8 4-8-4zM4 8l8 4 8-4M12 12v9';

/** What a card can do. */
export interface ProductActions {
  look(item: string): void;
  buy(item: string): void;
}

/** A product without its price and maker, which {@link showDetails} adds. */
export function productCard(product: Film, actions: ProductActions, testId: string): HTMLLIElement {
  const category = product.genres[0] ?? '';
  const picture = h('span', { class: 'product-picture', 'aria-hidden': 'true' });
  picture.style.setProperty('--hue', String(hueOf(category)));
  picture.append(s('svg', { viewBox: '0 0 24 24' }, s('path', { d: drawings[category] ?? box })));
  return h(
    'li',
    { class: 'product', 'data-item': product.item },
    h(
      'button',
      {
        type: 'button',
        class: 'product-look',
        'data-testid': testId,
        'data-item': product.item,
        onclick: () => actions.look(product.item),
      },
      picture,
      h('span', { class: 'product-title' }, product.title),
      h('span', { class: 'product-facts quiet' }, category),
    ),
    h(
      'div',
      { class: 'product-row' },
      h('strong', { class: 'product-price', hidden: true }),
      h('span', { class: 'product-out quiet', hidden: true }, 'Sold out'),
      h(
        'button',
        {
          type: 'button',
          class: 'plain',
          'aria-label': `Add to basket: ${product.title}`,
          onclick: () => actions.buy(product.item),
        },
        'Add',
      ),
    ),
  );
}

/**
 * Shows price, maker and stock on the card of a product, which may arrive after the card was made.
 * `details`: `null` if they are not known, or if the shop has none.
 */
export function showDetails(card: Element, product: Film, details: Product | null): void {
  const facts = [details?.maker, product.genres[0]].filter((text) => text);
  const sold = details?.stock === false;
  const part = (selector: string, show: (element: Element) => void): void => {
    const element = card.querySelector(selector);
    if (element !== null) show(element);
  };
  part('.product-facts', (element) => setText(element, facts.join(' · ')));
  part('.product-picture', (element) => element.classList.toggle('product-sold', sold));
  part('.product-price', (element) => {
    setText(element, details === null ? '' : money(details.price));
    setAttribute(element, 'hidden', details === null);
  });
  part('.product-out', (element) => setAttribute(element, 'hidden', !sold));
  part('.product-row .plain', (element) => setAttribute(element, 'hidden', sold));
}

/** A colour of the category, the same everywhere. */
function hueOf(category: string): number {
  let hash = 7;
  for (const letter of category) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 360;
  // Names that differ in one letter get colours that differ.
  return (hash * 137) % 360;
}

/** Placeholders of the size of cards. */
export function productGhosts(count: number): HTMLLIElement[] {
  return Array.from({ length: count }, () =>
    h(
      'li',
      { class: 'product ghost' },
      h('span', { class: 'product-picture' }),
      h('span', { class: 'product-line' }),
      h('span', { class: 'product-line short' }),
      h('span', { class: 'product-row' }),
    ),
  );
}
