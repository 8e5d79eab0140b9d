import { serverStatus } from '../connection.ts';
import type { ShopState } from '../shop.ts';
import type { SiteInfo } from '../site-info.ts';
import { h, setAttribute, setText } from './dom.ts';

/** Shop name, links and the state of the connection. */
export function header(
  actions: { openPrivacy(): void; openIntegration(): void },
  { secondShop, ownShop }: SiteInfo,
): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  const connection = h('strong', { 'data-testid': 'status-connection' });
  const element = h(
    'header',
    { class: 'header' },
    h(
      'a',
      { class: 'brand', href: './', 'aria-label': 'Tandem Films, start page' },
      h('span', { class: 'brand-mark', 'aria-hidden': 'true' }),
      'Tandem Films',
    ),
    h(
      'nav',
      { class: 'links', 'aria-label': 'About Tandem' },
      h('a', { href: './docs/index.html' }, 'Documentation'),
      h('a', { href: './docs/code.html' }, 'Code'),
      h('a', { href: './evidence.html' }, 'Evidence'),
      secondShop === null ? null : h('a', { href: secondShop }, 'Second shop'),
      ownShop === null ? null : h('a', { href: ownShop }, 'Your own data'),
      h(
        'button',
        {
          type: 'button',
          class: 'link',
          'data-testid': 'integration',
          onclick: () => actions.openIntegration(),
        },
        'Use it in your page',
      ),
    ),
    h('p', { class: 'connection' }, connection),
    h(
      'button',
      {
        type: 'button',
        class: 'plain',
        'data-testid': 'privacy',
        onclick: () => actions.openPrivacy(),
      },
      'Your data',
    ),
  );
  return {
    element,
    render(shop) {
      const { state, words } = serverStatus(shop);
      setText(connection, words);
      setAttribute(connection, 'data-state', state);
    },
  };
}
