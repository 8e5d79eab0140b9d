/** Events by kind over time, and what is stored. */
import { shareBar, stackedBars } from './charts.js';
import { card, command, empty, h, table } from './elements.js';
import { bytes, count, hourOf, share } from './numbers.js';

const KINDS = ['click', 'purchase', 'view', 'dislike'];
const NAMES = ['clicks', 'purchases', 'views', 'dislikes'];
const HOUR_MS = 3_600_000;
const HOURS = 24;

export function eventsPage({ database, event_log: log }) {
  return [
    h('h1', {}, 'Events and storage'),
    h(
      'p',
      { class: 'lead' },
      database === null && log === null
        ? 'This server stores nothing about visitors.'
        : 'What devices have sent, and what it takes on the disk.',
    ),
    h(
      'div',
      { class: 'cards' },
      database?.stores_events ? card('Last 24 hours', chart(database.events)) : null,
      database === null ? noDatabase() : card('Database', databaseTable(database)),
      log === null ? null : card('Event log', logTable(log)),
    ),
  ];
}

function chart(events) {
  if (events.length === 0) return empty('No event has arrived in the last 24 hours.');
  const now = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  const starts = Array.from({ length: HOURS }, (_, at) => now - (HOURS - 1 - at) * HOUR_MS);
  const number = (start, kind) =>
    events.find((it) => it.start === start && it.kind === kind)?.events ?? 0;
  const bars = starts.map((start) => ({
    name: hourOf(start),
    values: KINDS.map((kind) => number(start, kind)),
  }));
  const totals = KINDS.map((kind) =>
    events.filter((it) => it.kind === kind).reduce((sum, it) => sum + it.events, 0),
  );
  return [
    stackedBars(bars, NAMES, 'Events by kind and hour', 3),
    table(
      'Events by kind',
      [['Kind'], ['Events', 'number']],
      NAMES.map((name, at) => [name, count(totals[at])]),
    ),
  ];
}

function databaseTable({ location, sizes, stores_events: stores }) {
  return [
    table(
      'Database',
      [['Stored'], ['Number', 'number']],
      [
        ['items', count(sizes.items)],
        ['events', count(sizes.events)],
        ['size on the disk', bytes(sizes.bytes)],
      ],
    ),
    h('p', { class: 'quiet' }, h('code', {}, location)),
    stores
      ? null
      : h(
          'p',
          { class: 'quiet' },
          'Events are not stored in it. Start the server with --store-events to store them.',
        ),
  ];
}

function noDatabase() {
  return card(
    'No database',
    h(
      'p',
      {},
      'With a database, the server stores items, activations and, if you want it, events by kind:',
    ),
    command('cloud-server --storage shop.db --store-events …'),
  );
}

function logTable({ files, max_bytes: max }) {
  const rows = files.map((file) => [
    h('code', {}, file.name),
    bytes(file.bytes),
    h('span', { class: 'with-bar' }, shareBar(file.bytes / max), share(file.bytes, max)),
  ]);
  return [
    table('Event log', [['File'], ['Size', 'number'], ['Of its maximum']], rows),
    h('p', { class: 'quiet' }, `A file accepts no more events above ${bytes(max)}.`),
  ];
}
