import type { Catalogue, Film } from '../catalogue.ts';
import { FilmAddress } from '../film-address.ts';
import type { ShopRecommender } from '../recommender.ts';
import type { ShopState } from '../shop.ts';
import type { SiteInfo } from '../site-info.ts';
import type { CardActions } from './card.ts';
import { type CompareActions, cloudPane, compareControls } from './compare.ts';
import type { ControlActions } from './controls.ts';
import { h, setAttribute, setText } from './dom.ts';
import { filmPage } from './film.ts';
import { finder } from './finder.ts';
import { header } from './header.ts';
import { hero } from './hero.ts';
import { integration } from './integration.ts';
import { internals } from './internals.ts';
import { preparing } from './preparing.ts';
import { type PrivacyActions, privacy } from './privacy.ts';
import { session } from './session.ts';
import { shelf } from './shelf.ts';
import { strip } from './strip.ts';

/** How long a notice is shown, in milliseconds. */
const NOTICE_MS = 8000;

/** Actions of the page that change the shop. */
export type PageActions = Omit<CardActions, 'openFilm'> &
  Omit<CompareActions, 'openFilm' | 'surprise' | 'watch' | 'dislike'> &
  ControlActions &
  PrivacyActions & {
    showNewList(): void;
    dismissError(): void;
    undo(): void;
    retry(): void;
  };

/** Builds the page once and returns a function that renders a state. */
export function page(
  root: HTMLElement,
  given: PageActions,
  recommender: () => ShopRecommender | null,
  server: string,
  site: SiteInfo,
): (state: ShopState) => void {
  let state: ShopState | null = null;
  /** Whether there are films to display. */
  let stocked = false;
  const address = new FilmAddress(window, (item) => showFilm(item));
  const openFilm = (item: string): void => {
    if (state?.catalogue?.films.has(item)) address.open(item);
  };
  const missing = h('p', {
    class: 'missing',
    role: 'status',
    'data-testid': 'missing',
    hidden: true,
  });
  /** Says for a moment that the address names no film of this shop. */
  const notFound = (): void => {
    setText(missing, 'The film of this address is not in the catalogue.');
    missing.hidden = false;
    setTimeout(() => {
      missing.hidden = true;
    }, NOTICE_MS);
  };
  address.onUnreadable = notFound;
  const film = filmPage({ ...given, openFilm, closed: () => address.close() }, recommender);
  const showFilm = (item: string | null): void => {
    const catalogue = state?.catalogue ?? null;
    const found = catalogue?.films.get(item ?? '');
    setTitle(found);
    if (catalogue !== null && found !== undefined) film.open(found, catalogue);
    else {
      film.close();
      // A film that the catalogue does not have.
      if (item !== null && stocked) {
        address.close();
        notFound();
      }
    }
  };
  const surprise = (): void => {
    const found = state === null ? null : surpriseOf(state);
    if (found !== null) openFilm(found.item);
  };
  const actions = { ...given, openFilm, surprise };

  const data = privacy(given, recommender);
  const use = integration();
  const top = header({ openPrivacy: data.open, openIntegration: use.open }, site);
  const notice = banner();
  const loading = opening(given.retry);
  const story = hero(site, given);
  const network = compareControls(actions, site);
  const panes = [cloudPane(actions), shelf(actions)];
  const shop = [finder(actions), session(actions)];
  const { visitors } = site;
  const how = internals(actions, visitors === null ? null : { server, address: visitors });
  const bar = strip(actions, how.element);
  // Above the strip, where it moves no films.
  bar.element.prepend(h('div', { class: 'notices' }, missing, notice.element));
  const live = h('p', { class: 'sr-only', 'aria-live': 'polite', 'data-testid': 'live' });
  const end = footer();
  const comparison = h('div', { class: 'comparison' }, ...panes.map(({ element }) => element));
  root.replaceChildren(
    h('a', { class: 'skip', href: '#main' }, 'Skip to the films'),
    top.element,
    h(
      'main',
      { id: 'main', class: 'main' },
      story.element,
      network.element,
      loading.element,
      comparison,
      preparing(site),
      h('div', { class: 'shop' }, ...shop.map(({ element }) => element)),
    ),
    end.element,
    bar.element,
    film.element,
    data.element,
    use.element,
    live,
  );
  // An error of one dialog does not stay for the next. The event does not bubble.
  root.addEventListener('close', () => given.dismissError(), { capture: true });
  const views = [story, network, ...panes, ...shop, film, how, bar, data, end];
  const parts = [top, notice, loading, ...views];
  return (next) => {
    state = next;
    const stockedBefore = stocked;
    // The message after a failure must not lie behind a film.
    stocked = next.catalogue !== null && next.phase !== 'failed';
    if (stocked !== stockedBefore) {
      if (stocked) address.restore();
      else film.close();
    }
    setAttribute(comparison, 'data-comparing', next.comparing ? 'true' : null);
    for (const part of parts) part.render(next);
    setText(live, next.announcement);
  };
}

function setTitle(film: Film | undefined): void {
  document.title = film === undefined ? 'Tandem Films' : `${film.title} · Tandem Films`;
}

/** A film from the lower half of the ranking; without a ranking, any film. */
function surpriseOf({ update, catalogue }: ShopState): Film | null {
  if (catalogue === null) return null;
  const ranked = update?.items.map(({ item }) => item) ?? [];
  const pool = ranked.length > 20 ? ranked.slice(ranked.length >> 1) : filmsOf(catalogue);
  const item = pool[Math.floor(Math.random() * pool.length)];
  return item === undefined ? null : (catalogue.films.get(item) ?? null);
}

function filmsOf({ films }: Catalogue): string[] {
  return [...films.keys()];
}

/** A one-line message for offline mode, connection problems and errors. */
function banner(): { element: HTMLElement; render(state: ShopState): void } {
  const element = h('p', { class: 'banner', role: 'status', 'data-testid': 'banner' });
  return {
    element,
    render(state) {
      const text = bannerText(state);
      element.hidden = text === '' || state.phase !== 'ready';
      setText(element, text);
      // Details for the operator of the server.
      setAttribute(element, 'title', state.update?.connection.message ?? null);
    },
  };
}

function bannerText({
  update,
  switching,
  backgroundError,
  settings,
  catalogue,
  reached,
}: ShopState): string {
  if (switching) return 'Switching the compute backend. Your history is kept.';
  const connection = update?.connection;
  if (connection?.state === 'offline') {
    const searches = settings.search !== 'off' && catalogue?.calibration.searches !== false;
    return searches
      ? 'Offline: this device ranks the last list and searches the catalogue. Nothing is sent.'
      : 'Offline: this device ranks the last list. Nothing is sent.';
  }
  if (connection?.state === 'failing') {
    const retry =
      connection.retryInMs === null
        ? ''
        : ` Retrying in ${Math.max(1, Math.round(connection.retryInMs / 1000))}\u00a0s.`;
    const why =
      connection.code === 'internal'
        ? 'The server has failed (internal error).'
        : `The server is not responding (${connection.code ?? 'unknown reason'}).`;
    const list = update?.ranking == null ? '' : ' The last list is still used.';
    return `${why}${list}${retry}`;
  }
  if (backgroundError !== null) return `Error: ${backgroundError}`;
  return reached === false ? 'The server does not answer. This device ranks without it.' : '';
}

const failureTitles: Record<string, string> = {
  integrity: 'A downloaded file is damaged',
  invalid_artifact: 'A model file cannot be read',
  unsupported_version: 'The model requires a newer version of this page',
  unsupported: 'This browser is not supported',
};

/** The message after a failure to load, with a button to try again. */
function opening(retry: () => void): { element: HTMLElement; render(state: ShopState): void } {
  const title = h('h2', {});
  const text = h('p', {});
  const button = h(
    'button',
    { type: 'button', class: 'primary', 'data-testid': 'retry', onclick: retry },
    'Try again',
  );
  const element = h(
    'div',
    { class: 'opening', 'data-testid': 'opening', role: 'alert' },
    title,
    text,
    button,
  );
  return {
    element,
    render({ phase, failure }) {
      element.hidden = phase !== 'failed';
      element.dataset['phase'] = phase;
      setText(title, failureTitles[failure?.code ?? ''] ?? 'The shop could not be loaded');
      setText(text, `${failure?.message ?? 'Unknown error'} (${failure?.code ?? 'internal'})`);
    },
  };
}

function footer(): { element: HTMLElement; render(state: ShopState): void } {
  const models = h('p', { 'data-testid': 'models' });
  const notice = h('p', { class: 'notice', 'data-testid': 'notice' });
  const element = h('footer', { class: 'footer' }, models, notice);
  return {
    element,
    render({ status, catalogue, update, model }) {
      const large = model ?? status?.languageModel ?? update?.model;
      setText(
        models,
        [
          large ? `Language model in the cloud: ${large}.` : '',
          catalogue === null ? '' : `Small model on this device: ${catalogue.smallModel}.`,
        ].join(' '),
      );
      setText(notice, status?.notice ?? '');
    },
  };
}
