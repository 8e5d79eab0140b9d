import type { Device } from '@tandem-rec/client';
import { bytes } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import type { CardActions } from './card.ts';
import { h, setAttribute, setText } from './dom.ts';
import { finder } from './finder.ts';
import { header } from './header.ts';
import { internals } from './internals.ts';
import { session } from './session.ts';
import { shelf } from './shelf.ts';

/** Actions of the page. */
export interface PageActions extends CardActions {
  switchDevice(device: Device): void;
  setOffline(offline: boolean): void;
  chooseModel(name: string): void;
  undo(): void;
  reset(): void;
  retry(): void;
}

/** Builds the page once and returns a function that renders a state. */
export function page(root: HTMLElement, actions: PageActions): (state: ShopState) => void {
  const top = header(actions);
  const notice = banner();
  const films = [finder(actions), shelf(actions), session(actions), internals()];
  const [find, recommended, watched, how] = films.map(({ element }) => element);
  const shop = h(
    'main',
    { id: 'main', class: 'shop' },
    find ?? null,
    recommended ?? null,
    watched ?? null,
    how ?? null,
  );
  const loading = opening(actions.retry);
  const live = h('p', { class: 'sr-only', 'aria-live': 'polite', 'data-testid': 'live' });
  const end = footer();
  root.replaceChildren(
    h('a', { class: 'skip', href: '#main' }, 'Skip to the films'),
    top.element,
    notice.element,
    loading.element,
    shop,
    end.element,
    live,
  );
  return (state) => {
    top.render(state);
    notice.render(state);
    loading.render(state);
    const ready = state.phase === 'ready';
    shop.hidden = !ready;
    if (ready) for (const part of films) part.render(state);
    end.render(state);
    setText(live, state.announcement);
  };
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

function bannerText({ update, switching, backgroundError }: ShopState): string {
  if (switching) return 'Switching the compute backend. Your history is kept.';
  const connection = update?.connection;
  if (connection?.state === 'offline') {
    return 'Offline: the small model keeps ranking the last list. Nothing is sent.';
  }
  if (connection?.state === 'failing') {
    const retry =
      connection.retryInMs === null
        ? ''
        : ` Retrying in ${Math.max(1, Math.round(connection.retryInMs / 1000))}\u00a0s.`;
    const why = connection.code ?? 'unknown reason';
    const list = update?.ranking == null ? '' : ' The last list is still used.';
    return `The server is not responding (${why}).${list}${retry}`;
  }
  return backgroundError === null ? '' : `Error: ${backgroundError}`;
}

const failureTitles: Record<string, string> = {
  integrity: 'A downloaded file is damaged',
  invalid_artifact: 'A model file cannot be read',
  unsupported_version: 'The model requires a newer version of this page',
  unsupported: 'This browser is not supported',
};

/** The loading screen, also used for errors while loading. */
function opening(retry: () => void): { element: HTMLElement; render(state: ShopState): void } {
  const title = h('h1', {});
  const text = h('p', {});
  const bar = h('progress', { 'aria-label': 'Loading' });
  const button = h(
    'button',
    { type: 'button', class: 'primary', 'data-testid': 'retry', onclick: retry },
    'Try again',
  );
  const element = h(
    'div',
    { class: 'opening', 'data-testid': 'opening' },
    title,
    text,
    bar,
    button,
  );
  return {
    element,
    render({ phase, progress, failure }) {
      element.hidden = phase === 'ready';
      element.dataset['phase'] = phase;
      bar.hidden = phase !== 'loading';
      button.hidden = phase !== 'failed';
      if (phase === 'failed') {
        setText(title, failureTitles[failure?.code ?? ''] ?? 'The shop could not be loaded');
        setText(text, `${failure?.message ?? 'Unknown error'} (${failure?.code ?? 'internal'})`);
        return;
      }
      setText(title, 'Loading the shop');
      if (progress?.phase === 'runtime') {
        const { loaded, total } = progress;
        setText(text, `Downloading the runtime${loaded > 0 ? `, ${bytes(loaded)}` : ''}`);
        if (total === null) bar.removeAttribute('value');
        else {
          bar.max = total;
          bar.value = loaded;
        }
      } else {
        setText(text, 'Downloading and verifying the small model');
        bar.removeAttribute('value');
      }
    },
  };
}

function footer(): { element: HTMLElement; render(state: ShopState): void } {
  const models = h('p', { 'data-testid': 'models' });
  const notice = h('p', { class: 'notice', 'data-testid': 'notice' });
  const element = h('footer', { class: 'footer' }, models, notice);
  return {
    element,
    render({ status, catalogue, update }) {
      const large = status?.languageModel ?? update?.model;
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
