import type { Device } from '@tandem-rec/client';
import { bytes } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import type { CardActions } from './card.ts';
import { h, setAttribute, setText } from './dom.ts';
import { finder } from './finder.ts';
import { header } from './header.ts';
import { session } from './session.ts';
import { shelf } from './shelf.ts';
import { workings } from './workings.ts';

/** Everything the page can ask of the shop. */
export interface PageActions extends CardActions {
  switchDevice(device: Device): void;
  setOffline(offline: boolean): void;
  chooseModel(name: string): void;
  undo(): void;
  reset(): void;
  retry(): void;
}

/** Builds the page once; the function it returns shows a state. */
export function page(root: HTMLElement, actions: PageActions): (state: ShopState) => void {
  const top = header(actions);
  const notice = banner();
  const films = [finder(actions), shelf(actions), session(actions), workings()];
  const [find, recommended, watched, how] = films.map(({ element }) => element);
  const shop = h(
    'main',
    { id: 'main', class: 'shop' },
    find ?? null,
    recommended ?? null,
    watched ?? null,
    how ?? null,
  );
  const curtain = opening(actions.retry);
  const live = h('p', { class: 'sr-only', 'aria-live': 'polite', 'data-testid': 'live' });
  const end = footer();
  root.replaceChildren(
    h('a', { class: 'skip', href: '#main' }, 'Skip to the films'),
    top.element,
    notice.element,
    curtain.element,
    shop,
    end.element,
    live,
  );
  return (state) => {
    top.render(state);
    notice.render(state);
    curtain.render(state);
    const ready = state.phase === 'ready';
    shop.hidden = !ready;
    if (ready) for (const part of films) part.render(state);
    end.render(state);
    setText(live, state.announcement);
  };
}

/** One line about what is wrong while the shop goes on. */
function banner(): { element: HTMLElement; render(state: ShopState): void } {
  const element = h('p', { class: 'banner', role: 'status', 'data-testid': 'banner' });
  return {
    element,
    render(state) {
      const text = bannerText(state);
      element.hidden = text === '' || state.phase !== 'ready';
      setText(element, text);
      // The long story, for whoever runs the server.
      setAttribute(element, 'title', state.update?.connection.message ?? null);
    },
  };
}

function bannerText({ update, switching, trouble }: ShopState): string {
  if (switching) return 'Changing devices. Your session comes along.';
  const connection = update?.connection;
  if (connection?.state === 'offline') {
    return 'Offline: the small model goes on with the last list, and nothing is sent.';
  }
  if (connection?.state === 'failing') {
    const retry =
      connection.retryInMs === null
        ? ''
        : ` Trying again in ${Math.max(1, Math.round(connection.retryInMs / 1000))}\u00a0s.`;
    const why = connection.code ?? 'no reason given';
    const list = update?.ranking == null ? '' : ' The last list stays in use.';
    return `The cloud does not answer (${why}).${list}${retry}`;
  }
  return trouble === null ? '' : `Something went wrong: ${trouble}`;
}

const failureTitles: Record<string, string> = {
  integrity: 'A file came damaged and was refused',
  invalid_artifact: 'A file of the model cannot be read',
  unsupported_version: 'The model is newer than this page',
  unsupported: 'This browser lacks what the shop needs',
};

/** What is shown before the shop opens, or instead of it. */
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
        setText(title, failureTitles[failure?.code ?? ''] ?? 'The shop could not open');
        setText(text, `What happened: ${failure?.message ?? ''} (${failure?.code ?? 'internal'})`);
        return;
      }
      setText(title, 'Opening the shop');
      if (progress?.phase === 'runtime') {
        const { loaded, total } = progress;
        setText(
          text,
          `Fetching the small model’s program${loaded > 0 ? `, ${bytes(loaded)}` : ''}`,
        );
        if (total === null) bar.removeAttribute('value');
        else {
          bar.max = total;
          bar.value = loaded;
        }
      } else {
        setText(text, 'Fetching the small model and checking it');
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
          large ? `In the cloud: ${large}.` : '',
          catalogue === null ? '' : `On this device: ${catalogue.smallModel}.`,
        ].join(' '),
      );
      setText(notice, status?.notice ?? '');
    },
  };
}
