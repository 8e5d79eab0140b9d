/** The keys of the server, without what would let anyone use them. */
import { badge, card, command, h, table } from './elements.js';

export function keysPage({ keys }) {
  return [
    h('h1', {}, 'Keys'),
    h(
      'p',
      { class: 'lead' },
      'A public key is for web pages and limits their origins and rates. An admin key allows everything. The server knows only hashes of the keys, so no key can be shown again.',
    ),
    keys === null ? noKeys() : card('Keys of this server', keyTable(keys)),
    card(
      'Make and revoke keys',
      h(
        'p',
        {},
        'On the machine of the server; then send SIGHUP to the server. If it runs with --stored-keys, give --storage URL in place of --file; all servers follow within a second, without SIGHUP.',
      ),
      command(
        'cloud-server keys new --file keys.toml --name shop --origin https://shop.example\ncloud-server keys revoke --file keys.toml ID',
      ),
    ),
  ];
}

function keyTable(keys) {
  const rows = keys.map(({ id, name, kind, created, origins }) => [
    h('code', {}, id),
    name,
    badge(kind, kind === 'admin' ? 'busy' : ''),
    created ?? 'unknown',
    pages(kind, origins),
  ]);
  return table(
    'Keys',
    [['Id'], ['Name'], ['Kind'], ['Made on', 'fixed'], ['Used by']],
    rows,
  );
}

/** Who may use a key. */
function pages(kind, origins) {
  if (origins.length > 0) return `pages of ${origins.join(', ')}`;
  return kind === 'admin' ? 'programs and this page' : 'pages of every origin';
}

function noKeys() {
  return card(
    'No keys',
    h(
      'p',
      {},
      'Everyone on this machine may use every route. Others may do what a public key allows, if they can reach the server.',
    ),
  );
}
