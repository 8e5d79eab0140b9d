import { waitedMs } from '../clicks.ts';
import { bytes, milliseconds } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import type { ClickRecord } from '../shop-state.ts';
import type { SiteInfo } from '../site-info.ts';
import { Tour, type TourActions } from '../tour.ts';
import { h, setAttribute, setText } from './dom.ts';
import { race } from './race.ts';

const PLAY = 'Show me in 10 seconds';
const INVITATION = 'Or click a film below: both sides get the same click.';
const NOTE =
  'Bytes before compression. Tandem requests a longer list (50 films as a rule) than the cloud-only side (12), to re-rank it on the device. Clicks that the cloud could not answer are left out of both times.';
/** Number of clicks of the first comparison. */
const ROUND = 20;

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

/** What the page is about, and what the clicks so far have cost and saved. */
export function hero({ release }: SiteInfo, actions: TourActions): View {
  const meter = meterView();
  const contest = race();
  const story = tourView(actions);
  const element = h(
    'section',
    { class: 'hero', 'aria-labelledby': 'hero-title' },
    h(
      'div',
      { class: 'hero-text' },
      h('h1', { id: 'hero-title' }, 'Recommendations that answer before the server could'),
      h(
        'p',
        { class: 'hero-lead' },
        'A small model in this browser re-ranks the list after every click and learns from it. ',
        h(
          'span',
          { class: 'hero-more' },
          'The language model in the cloud is called only when a new list is expected to help.',
        ),
      ),
      story.element,
      release === null
        ? null
        : h(
            'p',
            { class: 'hero-lead', 'data-testid': 'without-server' },
            'This copy has no server: the language model made its lists in advance, for each item ' +
              'and for common pairs. For everything else the small model searches the catalogue.',
          ),
    ),
    h('div', { class: 'hero-side' }, contest.element, meter.element),
  );
  return {
    element,
    render(state) {
      contest.render(state);
      meter.render(state);
      story.render(state);
      // It tells of both sides. Without a server there is only one.
      story.element.hidden = release !== null || !state.comparing;
    },
  };
}

/** The button that plays the story of the page, and what is happening. */
function tourView(actions: TourActions): View {
  let state: ShopState | null = null;
  const caption = h('p', { class: 'tour-caption', role: 'status', 'data-testid': 'tour-caption' });
  const button = h(
    'button',
    {
      type: 'button',
      class: 'primary',
      'data-testid': 'tour',
      onclick: () => {
        if (tour.running) tour.stop();
        else {
          void tour.play();
          showShelves();
        }
      },
    },
    PLAY,
  );
  const bar = h('div', { class: 'tour-bar' }, button, caption);
  let ending: ReturnType<typeof setTimeout> | undefined;
  const tour = new Tour(
    actions,
    () => state,
    (text, running) => {
      setText(caption, text === '' ? INVITATION : text);
      setAttribute(caption, 'data-idle', text === '' ? 'true' : null);
      setText(button, running ? 'Stop' : PLAY);
      clearTimeout(ending);
      if (running) setAttribute(bar, 'data-running', 'true');
      // The last words stay for a moment.
      else
        ending = setTimeout(() => setAttribute(bar, 'data-running', null), text === '' ? 0 : 4000);
    },
  );
  setText(caption, INVITATION);
  setAttribute(caption, 'data-idle', 'true');
  // The visitor takes over.
  document.addEventListener('click', ({ target, isTrusted }) => {
    const films =
      target instanceof Element && target.closest('.poster, .compare-controls') !== null;
    if (isTrusted && films) tour.stop();
  });
  return {
    element: h('div', { class: 'tour' }, bar),
    render(next) {
      state = next;
      const ready = next.phase === 'ready' && next.shelf.length > 0 && next.comparing;
      button.disabled = !tour.running && (!ready || next.switching);
      if (next.phase === 'failed') tour.stop();
    },
  };
}

/** On a phone, where the lists are below the fold: scrolls to them. */
function showShelves(): void {
  if (!matchMedia('(max-width: 45.99rem)').matches) return;
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  document
    .querySelector('.comparison')
    ?.scrollIntoView({ behavior: still ? 'instant' : 'smooth', block: 'start' });
}

/** Calls, bytes and waiting time of Tandem and of a call at every click. */
function meterView(): View {
  const dots = Array.from({ length: ROUND }, () => h('span', { class: 'dot' }));
  const row = h('div', { class: 'dots', role: 'img' }, ...dots);
  const title = h('h2', { id: 'meter-title' });
  const saved = h('strong', { class: 'saved', 'data-testid': 'meter-saved' });
  const cells = {
    calls: pair('status-calls', 'cloud-calls'),
    traffic: pair('status-bytes', 'cloud-bytes'),
    waited: pair('meter-waited', 'cloud-waited'),
  };
  const element = h(
    'section',
    { class: 'savings so-far', 'aria-labelledby': 'meter-title' },
    h('div', { class: 'savings-head' }, title, saved),
    row,
    h(
      'p',
      { class: 'dots-legend', 'aria-hidden': 'true' },
      h('span', {}, 'Tandem at each click:'),
      h('span', {}, h('span', { class: 'dot', 'data-action': 'request' }), 'cloud called'),
      h('span', {}, h('span', { class: 'dot', 'data-action': 'keep' }), 'cloud not called'),
    ),
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('td', {}),
          h('th', { scope: 'col' }, 'Calls'),
          h('th', { scope: 'col' }, 'Bytes of calls'),
          h('th', { scope: 'col' }, 'Time waited'),
        ),
      ),
      h(
        'tbody',
        {},
        h(
          'tr',
          { class: 'of-tandem' },
          h('th', { scope: 'row' }, 'Tandem'),
          cells.calls.tandem,
          cells.traffic.tandem,
          cells.waited.tandem,
        ),
        h(
          'tr',
          { class: 'of-cloud' },
          h('th', { scope: 'row' }, 'Cloud only'),
          cells.calls.cloud,
          cells.traffic.cloud,
          cells.waited.cloud,
        ),
      ),
    ),
    h('p', { class: 'savings-note', 'data-testid': 'meter-note' }, NOTE),
  );
  return {
    element,
    render(state) {
      const { clicks, cloud, traffic, comparing } = state;
      const count = clicks.length;
      setText(title, count === 1 ? '1 click' : `${count} clicks`);
      // After the first round, the newest clicks.
      const newest = clicks.slice(-ROUND);
      dots.forEach((dot, at) => {
        setAttribute(dot, 'data-action', newest[at]?.action ?? null);
      });
      setAttribute(row, 'aria-label', dotsLabel(newest));
      const calls = meterCalls(state);
      setText(cells.calls.tandem, calls.tandem);
      setText(cells.traffic.tandem, bytes(traffic.bytesUp + traffic.bytesDown));
      setText(cells.waited.tandem, milliseconds(waitedMs(clicks) || null));
      setText(cells.calls.cloud, calls.cloud);
      setText(cells.traffic.cloud, comparing ? bytes(cloud.bytesUp + cloud.bytesDown) : '–');
      setText(
        cells.waited.cloud,
        comparing && cloud.waitedMs > 0 ? milliseconds(cloud.waitedMs) : '–',
      );
      setText(saved, calls.saved);
    },
  };
}

/** What the row of dots shows, in words. */
export function dotsLabel(newest: readonly Pick<ClickRecord, 'action'>[]): string {
  if (newest.length === 0) return 'No clicks yet';
  const called = newest.filter(({ action }) => action === 'request').length;
  const clicks = newest.length === 1 ? '1 click' : `the last ${newest.length} clicks`;
  return `Tandem called the cloud at ${called} of ${clicks}`;
}

/** The calls of both sides, without those that failed, and what follows from these two numbers. */
export function meterCalls({
  clicks,
  cloud,
  traffic,
  comparing,
}: Pick<ShopState, 'clicks' | 'cloud' | 'traffic' | 'comparing'>): {
  tandem: string;
  cloud: string;
  saved: string;
} {
  // Without an answer there is nothing to compare with.
  const answered = cloud.answeredMs !== null && cloud.problem !== 'failing';
  const share =
    comparing && answered && clicks.length > 0 ? savedShare(traffic.calls, cloud.calls) : null;
  return {
    tandem: String(traffic.calls),
    cloud: comparing ? String(cloud.calls) : '–',
    saved: share === null || share <= 0 ? '' : `${Math.round(share * 100)} % fewer calls`,
  };
}

/** Share of the calls that Tandem did not make; `null` without calls to compare with. */
export function savedShare(calls: number, callsOfCloud: number): number | null {
  return callsOfCloud === 0 || calls > callsOfCloud ? null : 1 - calls / callsOfCloud;
}

function pair(tandem: string, cloud: string): { tandem: HTMLElement; cloud: HTMLElement } {
  return { tandem: h('td', { 'data-testid': tandem }), cloud: h('td', { 'data-testid': cloud }) };
}
