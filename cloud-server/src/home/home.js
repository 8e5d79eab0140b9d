/**
 * The page of a server without a site. If the server has the npm package (`--client`), its small
 * model ranks in this browser. Otherwise each click asks the server for the language model's list.
 */
'use strict';

const SHOWN = 12;
/** A catalogue above this size, in bytes of JSON, is not loaded. */
const MAX_CATALOGUE = 30_000_000;

const at = (id) => document.getElementById(id);

/** Items by id, in the order of the catalogue. */
let items = new Map();
/** Ids of the clicked items, oldest first. */
const history = [];

/** Key for a server with keys, from the fragment of the page's address: `/#key=KEY`. */
const key = new URLSearchParams(location.hash.slice(1)).get('key') ?? undefined;

async function json(path, options) {
  const headers = { ...options?.headers };
  if (key !== undefined) headers.authorization = `Bearer ${key}`;
  const response = await fetch(path, { ...options, headers });
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.detail ?? `${path}: status ${response.status}`);
  }
  return [await response.json(), response.headers];
}

async function loadCatalogue() {
  const [manifest, headers] = await json('/v1/manifest');
  if (manifest.items.bytes > MAX_CATALOGUE) return;
  const [list] = await json(`/artifacts/${headers.get('x-artifacts')}/${manifest.items.path}`);
  items = new Map(list.map((item) => [item.item, item]));
  showMatches();
}

/** Title, or the id of an item without one. */
function title(id) {
  return items.get(id)?.title || id;
}

/** The signals of an explanation, in the words of the page. */
const SIGNALS = [
  ['language_model', 'language model'],
  ['counts', 'chosen together'],
  ['text', 'similar text'],
  ['small_model', 'small model'],
];

/** The parts of a candidate's score; empty without an explanation. */
function why(explanation) {
  if (explanation === undefined) return '';
  const parts = SIGNALS.filter(([name]) => explanation[name] !== undefined).map(
    ([name, label]) => `${label} ${explanation[name] < 0 ? '−' : '+'}${Math.abs(explanation[name]).toFixed(1)}`,
  );
  return `Why: ${parts.join(', ')}`;
}

function button(id, reason = '') {
  const place = document.createElement('li');
  const card = document.createElement('button');
  card.type = 'button';
  card.dataset.item = id;
  card.textContent = title(id);
  const { year, genres = [] } = items.get(id) ?? {};
  for (const text of [[year, ...genres].filter(Boolean).join(', '), reason]) {
    if (text === '') continue;
    const line = document.createElement('small');
    line.textContent = text;
    card.append(line);
  }
  card.addEventListener('click', () => click(id));
  place.append(card);
  return place;
}

/** Shows items, each with the reason for it if `reasons` has one. */
function showRecommended(ids, reason, reasons = []) {
  const shown = ids.slice(0, SHOWN).map((id, rank) => button(id, reasons[rank]));
  at('recommended').replaceChildren(...shown);
  at('status').textContent = reason;
}

function showMatches() {
  const wanted = at('search').value.trim().toLowerCase();
  const found = [];
  let count = 0;
  for (const [id, item] of items) {
    if (item.title.toLowerCase().includes(wanted) || id.toLowerCase().includes(wanted)) {
      count += 1;
      if (found.length < 2 * SHOWN) found.push(id);
    }
  }
  at('matches').textContent = `${count.toLocaleString('en')} of ${items.size.toLocaleString('en')} items`;
  at('found').replaceChildren(...found.map((id) => button(id)));
}

function showHistory() {
  const entries = history.map((id) => {
    const entry = document.createElement('li');
    entry.textContent = title(id);
    return entry;
  });
  at('history').replaceChildren(...entries);
  at('reset').hidden = history.length === 0;
}

/** Lists of the server: the language model's, for the whole history. */
function serverLists() {
  let newest = 0;
  let catalogue;
  const update = async () => {
    newest += 1;
    const request = newest;
    const [list] = await json('/v1/candidates', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ history, k: SHOWN, explain: true }),
    });
    // A later click has asked again.
    if (request !== newest) return;
    if (catalogue !== undefined && catalogue !== list.catalogue_hash) await loadCatalogue();
    catalogue = list.catalogue_hash;
    const reason =
      list.ranking === 'language_model'
        ? `The language model's list, made in ${list.timings.total_ms.toFixed(1)} ms.`
        : 'The most popular items. Click one to begin.';
    showRecommended(
      list.candidates.map(({ item }) => item),
      reason,
      list.candidates.map(({ explanation }) => why(explanation)),
    );
  };
  return { start: update, track: update, reset: update };
}

/** The npm package: the small model ranks in this browser and decides when to call the server. */
async function deviceLists(address) {
  await new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = address;
    script.addEventListener('load', resolve);
    script.addEventListener('error', () => reject(new Error(`${address} could not be loaded`)));
    document.head.append(script);
  });
  const recommender = await window.Tandem.createRecommender({ server: location.origin, key });
  const show = ({ items: ranked, decision }) =>
    showRecommended(
      ranked.map(({ item }) => item),
      decision.reason,
    );
  recommender.on('update', show);
  return {
    start: async () => show(await recommender.recommend()),
    track: (item) => recommender.track({ type: 'click', item }),
    reset: () => location.reload(),
  };
}

let source;

async function guarded(task) {
  try {
    await task();
  } catch (error) {
    at('status').textContent = error.message;
  }
}

function click(id) {
  history.push(id);
  showHistory();
  void guarded(() => source.track(id));
}

/** The dataset's name, which only callers on the server's machine and admin keys may read. */
async function showName() {
  const [status] = await json('/v1/status').catch(() => []);
  if (status === undefined) return;
  at('name').textContent = status.dataset;
  document.title = `${status.dataset} – Tandem`;
}

async function start() {
  const client = document.body.dataset.client;
  at('mode').textContent =
    client === ''
      ? 'Lists by the language model on this server. On your pages, the npm package re-ranks them in the browser after every click.'
      : 'The small model in this browser ranks after every click and decides when to ask the language model on the server.';
  at('search').addEventListener('input', showMatches);
  await showName();
  await loadCatalogue();
  source = client === '' ? serverLists() : await deviceLists(client);
  at('reset').addEventListener('click', () => {
    history.length = 0;
    showHistory();
    void guarded(() => source.reset());
  });
  await source.start();
}

void guarded(start);
