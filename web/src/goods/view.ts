import type { Film } from '../catalogue.ts';
import { milliseconds } from '../figures.ts';
import type { SiteInfo } from '../site-info.ts';
import { h, reconcile, setAttribute, setText } from '../view/dom.ts';
import { decisionText } from '../view/strip.ts';
import { browseGoods, highestPrice, money } from './goods.ts';
import { productCard, productGhosts, showDetails } from './product.ts';
import { type GoodsShop, type GoodsState, SHELF } from './store.ts';

/** Products below the shelf. */
const BROWSED = 36;

/**
 * Builds the page once and returns a function that renders a state. `before`: shown above the
 * products.
 */
export function goodsPage(
  root: HTMLElement,
  shop: GoodsShop,
  site: SiteInfo,
  before: HTMLElement | null = null,
): (state: GoodsState) => void {
  let state: GoodsState | null = null;
  const name = site.goods === null ? 'Your shop' : 'Tandem Goods';
  // The server of a visitor's own shop has no documentation.
  const documents = site.ownToken === null ? './' : site.firstShop;
  const howItWasMade = documents === null ? null : `${documents}docs/quickstart.html`;
  const connection = h('strong', { 'data-testid': 'status-connection' });
  const basket = h('p', { class: 'basket', 'data-testid': 'basket' });
  const offline = h(
    'button',
    {
      type: 'button',
      class: 'plain',
      'data-testid': 'toggle-offline',
      onclick: () => void shop.setOffline(!(state?.offline ?? false)),
    },
    'Airplane mode',
  );
  const about = h('p', { class: 'hero-lead', 'data-testid': 'about' });
  const failure = h('p', {});
  const failed = h(
    'div',
    { class: 'opening', role: 'alert', 'data-testid': 'opening' },
    h('h2', {}, 'The shop could not be loaded'),
    failure,
    h(
      'button',
      { type: 'button', class: 'primary', 'data-testid': 'retry', onclick: () => void shop.open() },
      'Try again',
    ),
  );
  const stock = h(
    'button',
    {
      type: 'button',
      class: 'switch',
      role: 'switch',
      'data-testid': 'in-stock',
      onclick: () => void shop.choose({ inStock: !(state?.choice.inStock ?? true) }),
    },
    'In stock only',
  );
  const price = h('output', { for: 'price', 'data-testid': 'price-limit' });
  const slider = h('input', {
    type: 'range',
    id: 'price',
    min: 10,
    max: 10,
    step: 10,
    'data-testid': 'price',
    oninput: () => void shop.choose({ price: limitOf(slider) }),
  });
  const priceField = h(
    'div',
    { class: 'goods-price' },
    h('label', { for: 'price' }, 'Price up to'),
    slider,
    price,
  );
  const chips = h('div', { class: 'chips', role: 'group', 'aria-label': 'Category' });
  const filters = h('section', { class: 'goods-filters', 'aria-label': 'Filter' });
  filters.append(chips, priceField, stock);
  const lead = h('p', { class: 'quiet', 'data-testid': 'shelf-lead', role: 'status' });
  const shelf = h('ul', { class: 'products', 'data-testid': 'shelf', 'aria-label': 'Recommended' });
  const empty = h('p', { class: 'empty', 'data-testid': 'shelf-empty' });
  const input = h('input', {
    type: 'search',
    id: 'goods-search',
    class: 'goods-search',
    autocomplete: 'off',
    placeholder: 'Search products',
    'data-testid': 'search',
    oninput: () => shop.search(input.value),
  });
  const found = h('ul', { class: 'products', 'data-testid': 'browse', 'aria-label': 'Products' });
  const none = h('p', { class: 'empty', role: 'status' });
  const notice = h('p', { class: 'notice', 'data-testid': 'notice' });
  const content = h('div', { class: 'goods-content' });
  content.append(
    filters,
    h(
      'section',
      { class: 'goods-section', 'aria-labelledby': 'goods-shelf' },
      h('h2', { id: 'goods-shelf' }, 'Recommended for you'),
      lead,
      shelf,
      empty,
    ),
    h(
      'section',
      { class: 'goods-section', 'aria-labelledby': 'goods-all' },
      h(
        'div',
        { class: 'goods-find' },
        h('h2', { id: 'goods-all' }, 'All products'),
        h('label', { for: 'goods-search', class: 'sr-only' }, 'Search products'),
        input,
      ),
      found,
      none,
    ),
  );
  root.replaceChildren(
    h('a', { class: 'skip', href: '#main' }, 'Skip to the products'),
    h(
      'header',
      { class: 'header' },
      h(
        'a',
        { class: 'brand', href: site.ownToken === null ? './goods.html' : './own.html' },
        h('span', { class: 'brand-mark', 'aria-hidden': 'true' }),
        name,
      ),
      h(
        'nav',
        { class: 'links', 'aria-label': 'Pages' },
        site.firstShop === null ? null : h('a', { href: site.firstShop }, 'Film shop'),
        howItWasMade === null ? null : h('a', { href: howItWasMade }, 'How it was made'),
      ),
      h('p', { class: 'connection' }, connection),
      basket,
      offline,
    ),
    h(
      'main',
      { id: 'main', class: 'main' },
      h('div', { class: 'hero-text' }, h('h1', {}, name), about),
      before,
      failed,
      content,
    ),
    h('footer', { class: 'footer' }, notice),
  );

  const cards = { shelf: new Map<string, HTMLElement>(), found: new Map<string, HTMLElement>() };
  let shownChips = '';

  function limitOf({ value, max }: HTMLInputElement): number | null {
    return value === max ? null : Number(value);
  }

  function list(
    parent: HTMLElement,
    existing: Map<string, HTMLElement>,
    products: readonly Film[],
    testId: string,
  ): void {
    for (const ghost of parent.querySelectorAll('.ghost')) ghost.remove();
    const byId = new Map(products.map((product) => [product.item, product]));
    const actions = {
      look: (id: string) => void shop.look(id),
      buy: (id: string) => void shop.buy(id),
    };
    reconcile(parent, existing, [...byId.keys()], (item) => {
      const product = byId.get(item);
      return product === undefined ? h('li') : productCard(product, actions, testId);
    });
    for (const [item, product] of byId) {
      const card = existing.get(item);
      // Prices may arrive after the card was made.
      if (card !== undefined) showDetails(card, product, state?.goods?.products[item] ?? null);
    }
  }

  return (next) => {
    state = next;
    const { catalogue, goods, choice, phase } = next;
    failed.hidden = phase !== 'failed';
    content.hidden = phase === 'failed';
    setText(failure, `${next.failure?.message ?? ''} (${next.failure?.code ?? 'internal'})`);
    about.hidden = phase === 'failed';
    setText(about, aboutOf(next, site.goods !== null));
    // Its place is kept until the numbers are known.
    const counted = catalogue !== null && (goods !== null || site.goods === null);
    setAttribute(about, 'data-loading', counted ? null : 'true');
    setText(notice, next.status?.notice ?? '');
    const connected = phase === 'failed' ? 'failing' : next.connection?.state;
    const words = connected === undefined ? 'Connecting' : connectionWords[connected];
    setText(connection, phase === 'failed' ? 'Not loaded' : words);
    setAttribute(connection, 'data-state', connected ?? null);
    setAttribute(offline, 'aria-pressed', String(next.offline));
    offline.disabled = phase !== 'ready';
    setText(basket, basketOf(next));
    const most = highestPrice(goods);
    priceField.hidden = site.goods === null;
    stock.hidden = site.goods === null;
    slider.disabled = goods === null;
    stock.disabled = goods === null;
    setAttribute(slider, 'max', most);
    if (choice.price === null) slider.value = String(most);
    setText(price, choice.price === null ? 'any price' : money(choice.price));
    setAttribute(stock, 'aria-checked', String(choice.inStock));
    const categories = catalogue?.genres.slice(0, 12) ?? [];
    filters.hidden = site.goods === null && catalogue !== null && categories.length === 0;
    if (categories.join() !== shownChips) {
      shownChips = categories.join();
      chips.replaceChildren(
        ...categories.map((category) =>
          h(
            'button',
            {
              type: 'button',
              class: 'chip',
              'data-testid': 'category',
              onclick: () =>
                void shop.choose({
                  category: state?.choice.category === category ? null : category,
                }),
            },
            category,
          ),
        ),
      );
    }
    for (const chip of chips.children) {
      setAttribute(chip, 'aria-pressed', String(chip.textContent === choice.category));
    }
    setText(lead, leadOf(next));
    const recommended = next.items.flatMap(({ item }) => catalogue?.films.get(item) ?? []);
    list(shelf, cards.shelf, recommended, 'card');
    const waiting = phase === 'loading' || (catalogue !== null && !next.ranked);
    if (waiting && recommended.length === 0) shelf.append(...productGhosts(SHELF));
    empty.hidden = waiting || recommended.length > 0;
    setText(
      empty,
      next.offline && next.history.length === 0
        ? 'No list on this device yet. Leave airplane mode to request the first one.'
        : 'Nothing matches. Choose another category or a higher price.',
    );
    const browsed =
      catalogue === null ? [] : browseGoods(catalogue, goods, choice, next.query, BROWSED);
    list(found, cards.found, browsed, 'browse-card');
    none.hidden = catalogue === null || browsed.length > 0;
    setText(
      none,
      next.query.trim() === '' ? 'No products match.' : `No products match “${next.query.trim()}”.`,
    );
  };
}

const connectionWords = {
  online: 'Online',
  offline: 'Offline',
  failing: 'Not responding',
} as const;

/** `priced`: the shop has prices and stock, which may not be loaded yet. */
function aboutOf({ catalogue, goods }: GoodsState, priced: boolean): string {
  // Not seen before they are known; as wide as the real numbers.
  const count = catalogue?.films.size.toLocaleString('en') ?? '000';
  const visitors = goods?.visitors.toLocaleString('en') ?? '0,000';
  if (goods === null ? !priced : !goods.generated) {
    return `${count} products, trained by tandem quickstart.`;
  }
  return (
    `A generated shop: its ${count} products, prices, makers and ${visitors} ` +
    'visitors do not exist. One run of tandem quickstart trained the models on their visits. ' +
    'Category and price are filters of the package; the page tells the device what is in stock.'
  );
}

function basketOf({ basket, goods }: GoodsState): string {
  if (basket.length === 0) return 'Basket empty';
  const sum = basket.reduce((total, item) => total + (goods?.products[item]?.price ?? 0), 0);
  const count = products(basket.length);
  return goods === null ? `Basket: ${count}` : `Basket: ${count}, ${money(sum)}`;
}

export function leadOf({
  phase,
  rerankMs,
  decision,
  calls,
  history,
  problem,
  connection,
}: Pick<
  GoodsState,
  'phase' | 'rerankMs' | 'decision' | 'calls' | 'history' | 'problem' | 'connection'
>): string {
  if (phase === 'loading') return 'Loading the small model …';
  if (problem !== null) return `Error: ${problem}`;
  if (connection?.state === 'failing')
    return 'The server is not responding. The last list is still used.';
  if (history.length === 0) return 'Popular products. Look at one.';
  const ranked = rerankMs === null ? '' : `Re-ranked in ${milliseconds(rerankMs)}. `;
  const decided = decision === null ? '' : `${sentence(decisionText(decision))} `;
  const called = calls === 1 ? '1 call' : `${calls} calls`;
  return `${ranked}${decided}So far: ${products(history.length)}, ${called}.`;
}

function sentence(text: string): string {
  return text === '' ? '' : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function products(count: number): string {
  return count === 1 ? '1 product' : `${count} products`;
}
