/** What the server did in the last hour. */
import { shareBar, sparkline } from './charts.js';
import { badge, card, empty, h, table, wideCard } from './elements.js';
import { count, duration, moment, share, span } from './numbers.js';

const ENGINES = { titles: 'titles', item_tokens: 'item tokens', unknown: 'not loaded' };
const RANKINGS = { language_model: 'the language model', popularity: 'popularity' };

/** What an error code means, for people who run the server. */
const MEANINGS = {
  invalid_request: 'the body was not JSON, or did not arrive in time',
  invalid_field: 'a field was missing, unknown or out of range',
  unauthorized: 'no key, an unknown key, or a key of another kind or origin',
  not_found: 'no such route, file, cell, item or release',
  method_not_allowed: 'the route has other methods',
  catalogue_changed: 'a device named a release that the server does not have',
  conflict: 'the state of the releases did not allow it',
  payload_too_large: 'the body was too large',
  unsupported_media_type: 'the body had another media type',
  release_refused: 'a release could not be used',
  rate_limited: 'a client or a key sent too many requests',
  not_ready: 'the model was loading, or the server was shutting down',
  overloaded:
    'the queue was full, there were too many connections or large bodies, or the storage did not answer',
  event_log_full: 'the event log or its disk was full',
  storage_full: 'the disk of the database was full',
  timeout: 'no list within the time limit',
  internal: 'the server failed; its log has the reason',
};

export function overviewPage(overview) {
  const { hour } = overview;
  return [
    h('h1', {}, 'Overview'),
    h(
      'p',
      { class: 'lead' },
      `${overview.dataset}: ${items(overview)}. Running for ${span(overview.uptime_s)}. `,
      overview.release === null
        ? ''
        : ['Release ', h('code', {}, overview.release), ' is in use. '],
      `Version ${overview.version}.`,
    ),
    ...notes(overview).map((text) => h('p', { class: 'note' }, text)),
    h('div', { class: 'tiles' }, ...tiles(overview)),
    h(
      'div',
      { class: 'cards' },
      card('Language models', models(overview.models)),
      card('Lists by engine, last hour', lists(hour.lists)),
      card('Error responses, last hour', refusals(hour.refusals)),
      wideCard('Last failures', errors(overview.errors)),
    ),
  ];
}

/** The number of items, as in the view of the catalogue. */
function items({ items: all, items_added: added, items_deleted: deleted }) {
  const parts = [
    added === 0 ? null : `${count(added)} only in the database`,
    deleted === 0 ? null : `${count(deleted)} of the release deleted`,
  ].filter((part) => part !== null);
  return `${count(all)} items${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`;
}

/** What the operator has to know, or to do. */
function notes({ items_unranked: unranked, storage_answers: answers }) {
  return [
    answers === false
      ? 'The database does not answer. Lists go on with what is known of the items; events and changes of items are refused until it answers.'
      : null,
    unranked === 0
      ? null
      : `${count(unranked)} items that only the database has are no candidates. The language model of this release ranks new items by their texts: this needs the option --embedder and a release with text vectors. Texts are read some time after an item is stored.`,
  ].filter((text) => text !== null);
}

function tiles({ hour, models, connections }) {
  const { minutes } = hour;
  const of = (field) => minutes.map((minute) => minute[field]);
  const sum = (field) => of(field).reduce((all, value) => all + value, 0);
  // The last minute is not over.
  const before = minutes[minutes.length - 2];
  const queued = models.reduce((all, model) => all + model.queued, 0);
  const tokens = hour.prompt_tokens + hour.cached_tokens;
  return [
    tile(
      'Lists',
      count(sum('lists')),
      `in the last hour, ${count(before.lists)} in the last full minute`,
      {
        values: of('lists'),
        label: 'Lists per minute',
      },
    ),
    tile(
      'Time of a list',
      duration(hour.median_ms),
      `median of the last hour; 95 % within ${duration(hour.p95_ms)}`,
      {
        values: of('p95_ms'),
        label: '95th percentile of each minute',
      },
    ),
    tile(
      'Waiting now',
      count(queued),
      `requests; the longest wait of the hour was ${duration(Math.max(...of('queue_ms')))}`,
      { values: of('queue_ms'), label: 'Longest wait of each minute' },
    ),
    tile('Requests', count(sum('requests')), 'in the last hour', {
      values: of('requests'),
      label: 'Requests per minute',
    }),
    tile(
      'Failures',
      count(sum('failures')),
      `status 500 and above; ${count(sum('refusals'))} refused with 400 to 499`,
      { values: of('failures'), label: 'Failures per minute' },
      sum('failures') > 0,
    ),
    tile(
      'Cached prompt tokens',
      share(hour.cached_tokens, tokens),
      `of ${count(tokens)} in the last hour; these are not evaluated again`,
    ),
    tile('Events', count(sum('events')), 'stored in the last hour', {
      values: of('events'),
      label: 'Stored events per minute',
    }),
    tile('Connections', count(connections), 'are open now'),
  ];
}

function tile(title, value, text, line, isBad = false) {
  return h(
    'section',
    { class: isBad ? 'tile bad' : 'tile' },
    h('h2', {}, title),
    h('p', { class: 'figure' }, value),
    h('p', { class: 'quiet' }, text),
    line === undefined
      ? null
      : [
          sparkline(line.values, `${line.label}, last hour`),
          h('p', { class: 'axis-label' }, h('span', {}, line.label), h('span', {}, 'now')),
        ],
  );
}

function models(models) {
  const rows = models.map(({ name, engine, ready, queued }) => [
    name,
    ENGINES[engine] ?? '–',
    ready ? badge('ready', 'good') : badge('loading', 'busy'),
    count(queued),
  ]);
  return table('Language models', [['Name'], ['Engine'], ['State'], ['Waiting', 'number']], rows);
}

function lists(lists) {
  const all = lists.reduce((sum, kind) => sum + kind.lists, 0);
  if (all === 0) return empty('No list was made in the last hour.');
  const rows = lists.map(({ model, engine, ranking, lists }) => [
    model,
    ENGINES[engine] ?? engine,
    RANKINGS[ranking] ?? ranking,
    count(lists),
    h('span', { class: 'with-bar' }, shareBar(lists / all), share(lists, all)),
  ]);
  return [
    table(
      'Lists by engine',
      [['Model'], ['Engine'], ['Ordered by'], ['Lists', 'number'], ['Share']],
      rows,
    ),
    h(
      'p',
      { class: 'quiet' },
      'Popularity orders the list of a visitor whose history has no known item.',
    ),
  ];
}

function refusals(refusals) {
  if (refusals.length === 0) return empty('No error response in the last hour.');
  const rows = refusals.map(({ code, cause, count: number }) => [
    h('code', {}, code),
    cause ?? MEANINGS[code] ?? '',
    count(number),
  ]);
  return table('Error responses', [['Code'], ['Meaning'], ['Responses', 'number']], rows);
}

function errors(errors) {
  if (errors.length === 0) return empty('No request has failed since the start of the server.');
  const rows = errors.map(({ at, route, status, code, cause, request }) => [
    moment(at),
    h('code', {}, route),
    [`${status} ${code ?? ''}`, cause === null ? null : h('small', {}, cause)],
    h('code', {}, request),
  ]);
  return [
    table('Last failures', [['Time', 'fixed'], ['Route'], ['Status'], ['Request id']], rows),
    h('p', { class: 'quiet' }, 'The log has the reason, in the line with the request id.'),
  ];
}
