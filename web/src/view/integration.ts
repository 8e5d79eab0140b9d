import { closeButton, dialog } from './dialog.ts';
import { h } from './dom.ts';

/** The package is not on npm: it is packed from a checkout. */
const PACK = `cargo xtask wasm                              # in a checkout of Tandem
npm pack --workspace @tandem-rec/client
npm install ./tandem-rec-client-*.tgz         # in your project`;

const MODULE = `import { createRecommender } from '@tandem-rec/client';

const rec = await createRecommender({ server: 'https://rec.example.com' });
rec.on('update', ({ items }) => show(items.slice(0, 12)));
await rec.track({ type: 'click', item: 'sku-42' });`;

const ELEMENT = `<script type="module" src="/tandem/dist/adapters/element.js"></script>
<tandem-list server="https://rec.example.com"></tandem-list>`;

const SERVER = `tandem quickstart --events clicks.csv --catalogue items.csv --out shop
cloud-server --release shop --allow-origin https://shop.example`;

/** How to use the package and the server in a shop of one's own. */
export function integration(): { element: HTMLElement; open(): void } {
  const body = h('div', { class: 'integration' });
  const element = dialog('integration-dialog', 'integration-title', body);
  body.append(
    closeButton(element),
    h('h2', { id: 'integration-title' }, 'Use it in your page'),
    h('h3', {}, '1. A server with your data'),
    code(SERVER),
    h(
      'p',
      { class: 'quiet' },
      'Both programs are built by cargo xtask demo, in target/release. ',
      'The origin is that of the pages with the package.',
    ),
    h('h3', {}, '2. The package in your page'),
    code(PACK),
    code(MODULE),
    h('h3', {}, 'or an element, without a script of your own'),
    code(ELEMENT),
    h(
      'p',
      { class: 'quiet' },
      'React, Vue and Svelte have adapters of their own. The package has no dependencies, loads ' +
        'nothing from other hosts and needs neither eval nor cookies.',
    ),
    h('p', {}, h('a', { href: './docs/package.html' }, 'Documentation of the package')),
  );
  return { element, open: () => element.showModal() };
}

function code(text: string): HTMLElement {
  return h('pre', { tabindex: '0' }, h('code', {}, text));
}
