import { lossPoints, milliseconds } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import { actionWords, decisionView } from './decision.ts';
import { h, s, setText } from './dom.ts';
import { ordersView } from './orders.ts';

const WIDTH = 300;
const HEIGHT = 72;
const STEPS = 40;
const MAX_SHOWN = 40;

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

/** How the list was made: decision, rankings, learning, latency and the decision log. */
export function internals(): View {
  const parts = [decisionView(), ordersView(), learning(), timings(), log()];
  const [decision, orders, ...tiles] = parts.map(({ element }) => element);
  const element = h(
    'section',
    { class: 'internals', 'aria-labelledby': 'internals-title' },
    h('h2', { id: 'internals-title' }, 'How this list was made'),
    h(
      'p',
      { class: 'lead' },
      'The language model in the cloud made a list of candidates and ranked it. The small model ' +
        'on this device re-ranked it with your latest clicks and added the films it found in ' +
        'the catalogue itself. You see the fusion of both. The device requests a new list only ' +
        'when it expects one to help.',
    ),
    decision ?? null,
    orders ?? null,
    h('div', { class: 'tiles' }, ...tiles),
  );
  return {
    element,
    render: (state) => {
      for (const part of parts) part.render(state);
    },
  };
}

function learning(): View {
  let drawn = -1;
  const figure = h('p', { class: 'figure', 'data-testid': 'learn-loss' });
  const chart = s('svg', {
    class: 'sparkline',
    viewBox: `-4 -4 ${WIDTH + 8} ${HEIGHT + 8}`,
    role: 'img',
    'aria-label': 'Loss before and after each learning step',
  });
  const note = h('p', { class: 'quiet' });
  const element = tile('Learning on this device', figure, chart, note);
  return {
    element,
    render({ steps }) {
      if (steps.length === drawn) return;
      drawn = steps.length;
      const last = steps.at(-1);
      setText(
        figure,
        last === undefined ? '–' : `${last.lossBefore.toFixed(3)} → ${last.lossAfter.toFixed(3)}`,
      );
      setText(
        note,
        last === undefined
          ? 'After each click, the small model makes one learning step. What it learns stays on this device.'
          : `Loss before and after each step; the base line is zero. Step ${last.step} took ${milliseconds(last.ms)}.`,
      );
      chart.toggleAttribute('hidden', last === undefined);
      chart.replaceChildren(...drawing(steps.slice(-STEPS)));
    },
  };
}

/** One vertical line per step, from the loss before to the loss after it. */
function drawing(steps: ShopState['steps']): SVGElement[] {
  const base = s('line', { class: 'base', x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });
  const strokes = lossPoints(steps, WIDTH, HEIGHT).flatMap(({ x, before, after }) => [
    s('line', { class: 'step', x1: x, x2: x, y1: before, y2: after }),
    s('circle', { class: 'before', cx: x, cy: before, r: 2.6 }),
    s('circle', { class: 'after', cx: x, cy: after, r: 2.6 }),
  ]);
  return [base, ...strokes];
}

function timings(): View {
  const rerank = h('dd', { 'data-testid': 'time-rerank' });
  const request = h('dd', { 'data-testid': 'time-request' });
  const server = h('dd', { 'data-testid': 'time-server' });
  const learn = h('dd', { 'data-testid': 'time-learn' });
  const element = tile(
    'Latency',
    h(
      'dl',
      { class: 'times' },
      h('dt', {}, 'Re-ranking on this device'),
      rerank,
      h('dt', {}, 'Learning step'),
      learn,
      h('dt', {}, 'Last request to the server'),
      request,
      h('dt', {}, 'of which server time'),
      server,
    ),
  );
  return {
    element,
    render({ update, steps }) {
      setText(rerank, milliseconds(update?.timings.rerankMs ?? null));
      setText(request, milliseconds(update?.timings.requestMs ?? null));
      setText(server, milliseconds(update?.timings.serverMs ?? null));
      setText(learn, milliseconds(steps.at(-1)?.ms ?? null));
    },
  };
}

function log(): View {
  let shown: ShopState['decisions'] | null = null;
  const list = h('ol', { class: 'log', 'data-testid': 'decision-log', tabindex: '0' });
  const empty = h('p', { class: 'quiet' }, 'No decisions yet.');
  const element = tile('Decisions', empty, list);
  return {
    element,
    render({ decisions }) {
      if (decisions === shown) return;
      shown = decisions;
      empty.hidden = decisions.length > 0;
      list.hidden = decisions.length === 0;
      list.replaceChildren(
        ...decisions
          .slice(-MAX_SHOWN)
          .reverse()
          .map((decision) =>
            h(
              'li',
              { 'data-action': decision.action },
              h(
                'span',
                { class: 'log-click' },
                decision.click === 0 ? 'start' : `click ${decision.click}`,
              ),
              h('span', {}, h('strong', {}, actionWords(decision)), `: ${decision.reason}`),
            ),
          ),
      );
    },
  };
}

function tile(title: string, ...content: Element[]): HTMLElement {
  return h('section', { class: 'tile' }, h('h3', {}, title), ...content);
}
