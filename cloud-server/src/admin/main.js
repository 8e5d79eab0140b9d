/** The admin page: log-in, views, and what is shown while the server does not answer. */
import { Catalogue } from './catalogue.js';
import { h } from './elements.js';
import { eventsPage } from './events.js';
import { keysPage } from './keys.js';
import { login } from './login.js';
import { moment } from './numbers.js';
import { overviewPage } from './overview.js';
import { Polling } from './polling.js';
import { Releases } from './releases.js';
import { Gone, Refused, Server } from './server.js';

/** Name of the key in the storage of this tab. */
const STORED = 'tandem-admin-key';
/** Milliseconds between two looks of the views that change by themselves. */
const OVERVIEW_MS = 5_000;
const STORAGE_MS = 60_000;

const at = (id) => document.getElementById(id);
const content = at('content');

/** Polls the view that is shown. */
let polling = null;
/** Polls the state of the server for the header, in views that do not say it. */
let watching = null;
/** The server whose key was accepted. */
let current = null;
/** Views that have loaded, by their name: they are shown while the server does not answer. */
const loaded = new Map();

/** Views by the fragment of the page's address: title, and a function that makes the view. */
function views(server) {
  const catalogue = new Catalogue(server, guarded);
  const simple = (load, page, interval) => () => {
    let answer;
    return {
      load: async () => {
        answer = await load();
      },
      page: () => page(answer),
      interval: () => interval,
    };
  };
  const releases = () => {
    const view = new Releases(server, () => polling?.now());
    return {
      load: () => view.load(),
      page: () => view.page(),
      interval: () => view.interval,
    };
  };
  return {
    overview: ['Overview', simple(() => overviewOf(server), overviewPage, OVERVIEW_MS)],
    releases: ['Releases', releases],
    catalogue: [
      'Catalogue',
      // It asks by itself.
      () => ({ load: async () => {}, page: () => catalogue.page(), interval: () => null }),
    ],
    events: ['Events', simple(() => server.get('admin/storage'), eventsPage, STORAGE_MS)],
    keys: ['Keys', simple(() => server.get('admin/keys'), keysPage, STORAGE_MS)],
  };
}

/** Errors of the tasks that failed last, by their names. */
const failures = new Map();

/**
 * Runs a task; `undefined` if the server refused it or is gone, which the page shows until the task
 * of this name succeeds.
 */
async function guarded(task, name) {
  try {
    const answer = await task();
    failures.delete(name);
    // Not every task asks the server.
    if (current !== null && current.lastAnswer !== lastAnswer) reached();
    return answer;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      forget('The server does not know this key any more.');
    } else {
      failures.set(name, error);
      failed(error);
    }
    return undefined;
  }
}

/** The overview, which also says whether the database answers, for the header of all views. */
async function overviewOf(server) {
  const overview = await server.get('admin/overview');
  hasDatabase = overview.storage_answers !== false;
  return overview;
}

let lastAnswer = null;
/** Whether the server's database answers, if it has one. */
let hasDatabase = true;

function reached() {
  lastAnswer = current.lastAnswer;
  const [failure] = failures.values();
  if (failure !== undefined) {
    failed(failure);
    return;
  }
  at('gone').hidden = true;
  const updated = `Updated ${moment(lastAnswer)}`;
  at('connection').textContent = hasDatabase ? updated : `${updated}, without the database`;
  at('connection').dataset.state = hasDatabase ? 'online' : 'failing';
}

function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function failed(error) {
  const since = lastAnswer === null ? '' : ` What is shown is of ${moment(lastAnswer)}.`;
  // What programs should do, after the semicolon, the page does.
  const [cause] = error.message.split(';');
  const passing =
    error instanceof Gone ? 'The server does not answer' : error.status === 503 ? cause : null;
  at('gone').textContent =
    passing === null ? error.message : `${capitalised(passing)}.${since} The page tries again.`;
  at('gone').hidden = false;
  at('connection').textContent =
    passing === null ? 'Refused' : error instanceof Gone ? 'No connection' : 'Unavailable';
  at('connection').dataset.state = 'failing';
}

function show(all) {
  const name = location.hash.slice(1) in all ? location.hash.slice(1) : 'overview';
  const [title, make] = all[name];
  polling?.stop();
  for (const task of ['view', 'search', 'preview', 'state']) failures.delete(task);
  watching?.stop();
  // The overview says it by itself.
  if (name !== 'overview') void watching?.start();
  document.title = `${title} – Tandem server`;
  for (const link of at('views').querySelectorAll('a')) {
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const view = make();
  let shown = false;
  content.replaceChildren(h('p', { class: 'empty' }, 'Loading …'));
  const look = async () => {
    const isLoaded = await guarded(async () => {
      await view.load();
      return true;
    }, 'view');
    // Another view has been opened.
    if (polling !== mine) return;
    // Text that is being copied stays.
    if (isLoaded && shown && isSelecting()) return;
    if (isLoaded) {
      loaded.set(name, view);
      const page = view.page();
      // A view that keeps its elements is not touched: somebody may be typing in it.
      if (page.some((element) => element.parentNode !== content)) {
        keepPlace(() => content.replaceChildren(...page));
      }
      shown = true;
    } else if (!shown) {
      const earlier = loaded.get(name)?.page();
      const empty = h('p', { class: 'empty' }, 'Nothing was loaded yet.');
      content.replaceChildren(...(earlier ?? [h('h1', {}, title), empty]));
      shown = earlier !== undefined;
    }
  };
  const mine = new Polling(look, () => view.interval() ?? 2 ** 31 - 1);
  polling = mine;
  void mine.start();
}

function isSelecting() {
  const selection = document.getSelection();
  return !selection.isCollapsed && content.contains(selection.anchorNode);
}

/** Replaces elements without moving the focus and the scrolled tables. */
function keepPlace(replace) {
  const label = (element) => element?.id || element?.getAttribute?.('aria-label');
  const focused = content.contains(document.activeElement) ? label(document.activeElement) : null;
  const scrolled = new Map(
    [...content.querySelectorAll('.scroll')].map((part) => [label(part), part.scrollLeft]),
  );
  replace();
  for (const part of content.querySelectorAll('.scroll')) {
    part.scrollLeft = scrolled.get(label(part)) ?? 0;
  }
  if (!focused || document.activeElement !== document.body) return;
  const again = [...content.querySelectorAll('button, input, [tabindex]')].find(
    (element) => label(element) === focused,
  );
  again?.focus({ preventScroll: true });
}

let opened = null;

/** Shows the views. `overview` was loaded with the key of `server`. */
function open(server, overview) {
  current = server;
  loaded.clear();
  failures.clear();
  hasDatabase = overview.storage_answers !== false;
  watching?.stop();
  watching = new Polling(() => guarded(() => overviewOf(server), 'state'), () => OVERVIEW_MS);
  const all = views(server);
  at('name').textContent = `${overview.dataset} – Tandem server`;
  at('views').replaceChildren(
    ...Object.entries(all).map(([name, [title]]) => h('a', { href: `#${name}` }, title)),
  );
  at('views').hidden = false;
  at('connection').hidden = false;
  at('leave').hidden = !server.hasKey;
  if (opened !== null) window.removeEventListener('hashchange', opened);
  opened = () => show(all);
  window.addEventListener('hashchange', opened);
  reached();
  show(all);
}

/** Forgets the key and shows the form. */
function forget(message) {
  sessionStorage.removeItem(STORED);
  polling?.stop();
  watching?.stop();
  polling = null;
  watching = null;
  current = null;
  loaded.clear();
  if (opened !== null) window.removeEventListener('hashchange', opened);
  opened = null;
  for (const id of ['views', 'connection', 'leave', 'gone']) at(id).hidden = true;
  at('name').textContent = 'Tandem server';
  document.title = 'Log in – Tandem server';
  content.replaceChildren(login(message, enter));
  at('key').focus();
}

/** Tries a key. Returns why it cannot be used. */
async function enter(key) {
  const server = new Server(key);
  try {
    const overview = await server.get('admin/overview');
    sessionStorage.setItem(STORED, key);
    open(server, overview);
    return '';
  } catch (error) {
    return reason(error);
  }
}

function reason(error) {
  if (!(error instanceof Refused)) return error.message;
  if (error.status === 401) return 'The server does not know this key.';
  if (error.status === 403) return 'This is a public key. This page needs an admin key.';
  return error.message;
}

async function start() {
  const key = sessionStorage.getItem(STORED);
  const server = new Server(key);
  try {
    open(server, await server.get('admin/overview'));
  } catch (error) {
    if (error instanceof Gone) {
      failed(error);
      content.replaceChildren(
        h('h1', {}, 'No connection'),
        h('p', { class: 'empty' }, 'The page opens when the server answers.'),
      );
      setTimeout(() => void start(), OVERVIEW_MS);
    } else if (key === null && error.status === 401) {
      forget('');
    } else if (key === null && error.status === 403) {
      forget(
        'This server has no keys. Without keys, only programs on its own machine may use this page.',
      );
    } else {
      forget(reason(error));
    }
  }
}

at('leave').addEventListener('click', () => forget(''));
void start();
