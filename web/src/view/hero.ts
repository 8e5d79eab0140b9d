import { bytes, milliseconds } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import type { SiteInfo } from '../site-info.ts';
import { h, setAttribute, setText } from './dom.ts';

/** Number of clicks of the first comparison. */
const ROUND = 20;

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

/** What the page is about, and what the clicks so far have cost and saved. */
export function hero({ release }: SiteInfo): View {
  const meter = meterView();
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
        'A language model in the cloud makes the list. A small model in this browser re-ranks ' +
          'it after every click, learns, and calls the cloud only when a new list will help.',
      ),
      release === null
        ? null
        : h(
            'p',
            { class: 'hero-lead', 'data-testid': 'without-server' },
            'This copy has no server: the language model made its lists in advance, for each item ' +
              'and for common pairs. For everything else the small model searches the catalogue.',
          ),
    ),
    meter.element,
  );
  return { element, render: meter.render };
}

/** Calls, bytes and waiting time of Tandem and of a call at every click. */
function meterView(): View {
  const dots = Array.from({ length: ROUND }, () => h('span', { class: 'dot' }));
  const title = h('h2', { id: 'meter-title' });
  const saved = h('strong', { class: 'saved', 'data-testid': 'meter-saved' });
  const cells = {
    calls: pair('status-calls', 'cloud-calls'),
    traffic: pair('status-bytes', 'cloud-bytes'),
    waited: pair('meter-waited', 'cloud-waited'),
  };
  const element = h(
    'section',
    { class: 'savings', 'aria-labelledby': 'meter-title' },
    h('div', { class: 'savings-head' }, title, saved),
    h('div', { class: 'dots', 'aria-hidden': 'true' }, ...dots),
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
          h('th', { scope: 'col' }, 'Bytes'),
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
  );
  return {
    element,
    render({ clicks, update, cloud, traffic, comparing }) {
      const count = clicks.length;
      setText(title, count === 1 ? '1 click' : `${count} clicks`);
      dots.forEach((dot, at) => {
        // After the first round, the newest clicks.
        const record = clicks[Math.max(0, count - ROUND) + at];
        setAttribute(dot, 'data-action', record?.action ?? null);
      });
      const calls = update?.stats.calls ?? 0;
      setText(cells.calls.tandem, String(calls));
      setText(cells.traffic.tandem, bytes(traffic.bytesUp + traffic.bytesDown));
      const reranking = clicks.reduce((sum, { rerankMs }) => sum + rerankMs, 0);
      setText(cells.waited.tandem, milliseconds(count === 0 ? null : reranking));
      setText(cells.calls.cloud, comparing ? String(cloud.calls) : '–');
      setText(cells.traffic.cloud, comparing ? bytes(cloud.bytesUp + cloud.bytesDown) : '–');
      setText(
        cells.waited.cloud,
        comparing && cloud.waitedMs > 0 ? milliseconds(cloud.waitedMs) : '–',
      );
      // Failed requests count on both sides.
      const share = savedShare(Math.max(calls, traffic.calls), cloud.calls);
      setText(
        saved,
        comparing && count > 0 && share !== null ? `${Math.round(share * 100)} % fewer calls` : '',
      );
    },
  };
}

/** Share of the calls that Tandem did not make; `null` without calls to compare with. */
export function savedShare(calls: number, callsOfCloud: number): number | null {
  return callsOfCloud === 0 || calls > callsOfCloud ? null : 1 - calls / callsOfCloud;
}

function pair(tandem: string, cloud: string): { tandem: HTMLElement; cloud: HTMLElement } {
  return { tandem: h('td', { 'data-testid': tandem }), cloud: h('td', { 'data-testid': cloud }) };
}
