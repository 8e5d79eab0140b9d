import { lossPoints, milliseconds } from '../figures.ts';
import type { ClickRecord, ShopState } from '../shop-state.ts';
import { h, s, setAttribute, setText } from './dom.ts';

const WIDTH = 300;
const HEIGHT = 72;
/** Clicks and learning steps that fit into a chart. */
const SHOWN = 40;
const SPARK = 28;

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

/** One line per step, from the loss before to the loss after it. */
export function learning(): View {
  let drawn = '';
  const figure = h('p', { class: 'figure', 'data-testid': 'learn-loss' });
  const chart = s('svg', {
    class: 'chart',
    viewBox: `-4 -4 ${WIDTH + 8} ${HEIGHT + 8}`,
    role: 'img',
    'aria-label': 'Loss before and after each learning step',
  });
  const note = h('p', { class: 'quiet' });
  const element = tile('Learning on this device', figure, chart, note);
  return {
    element,
    render({ steps, settings }) {
      const last = steps.at(-1);
      const key = `${last?.step} ${steps.length} ${settings.learning}`;
      if (key === drawn) return;
      drawn = key;
      setText(
        figure,
        last === undefined ? '–' : `${last.lossBefore.toFixed(3)} → ${last.lossAfter.toFixed(3)}`,
      );
      setText(
        note,
        !settings.learning
          ? 'Switched off: clicks do not change the small model.'
          : last === undefined
            ? 'After each click, the small model makes one learning step. What it learns stays on this device.'
            : `Loss before and after each step; the base line is zero. Step ${last.step} took ${milliseconds(last.ms)}.`,
      );
      chart.toggleAttribute('hidden', last === undefined);
      const base = s('line', { class: 'base', x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });
      const strokes = lossPoints(steps.slice(-SHOWN), WIDTH, HEIGHT).flatMap(
        ({ x, before, after }) => [
          s('line', { class: 'step', x1: x, x2: x, y1: before, y2: after }),
          s('circle', { class: 'before', cx: x, cy: before, r: 2.6 }),
          s('circle', { class: 'after', cx: x, cy: after, r: 2.6 }),
        ],
      );
      chart.replaceChildren(base, ...strokes);
    },
  };
}

/** The clicks in order: kept or requested, and the durations of each. */
export function timeline(): View {
  let drawn: readonly ClickRecord[] | null = null;
  const marks = s('svg', {
    class: 'chart timeline',
    viewBox: `-4 0 ${WIDTH + 8} 16`,
    role: 'img',
    'aria-label': 'Decisions in the order of the clicks',
  });
  const rows = [
    spark('Re-ranking', 'time-rerank', ({ rerankMs }) => rerankMs),
    spark('Learning step', 'time-learn', ({ learnMs }) => learnMs),
    spark('Request to the server', 'time-request', ({ requestMs }) => requestMs),
  ];
  const server = h('strong', { 'data-testid': 'time-server' });
  const element = tile(
    'Clicks and latency',
    marks,
    h(
      'p',
      { class: 'legend quiet' },
      h('span', { class: 'key', 'data-action': 'keep' }, 'list kept'),
      h('span', { class: 'key', 'data-action': 'request' }, 'new list requested'),
    ),
    ...rows.map(({ element: row }) => row),
    h('p', { class: 'quiet' }, 'Server time of the last request: ', server),
  );
  return {
    element,
    render({ clicks, update, steps }) {
      setText(server, milliseconds(update?.timings.serverMs ?? null));
      const [rerank, learn, request] = rows;
      rerank?.say(update?.timings.rerankMs ?? null);
      learn?.say(steps.at(-1)?.ms ?? null);
      request?.say(update?.timings.requestMs ?? null);
      if (clicks === drawn) return;
      drawn = clicks;
      const shown = clicks.slice(-SHOWN);
      marks.replaceChildren(
        ...shown.map(({ action }, at) =>
          s('circle', {
            cx: place(at),
            cy: 8,
            r: action === 'request' ? 4.5 : 3,
            'data-action': action,
          }),
        ),
      );
      for (const row of rows) row.draw(shown);
    },
  };
}

function place(at: number): number {
  return (at * WIDTH) / (SHOWN - 1);
}

/** One duration per click as a small bar, relative to the largest. */
function spark(
  name: string,
  testId: string,
  of: (record: ClickRecord) => number | null,
): {
  element: HTMLElement;
  draw(records: readonly ClickRecord[]): void;
  say(ms: number | null): void;
} {
  const figure = h('strong', { 'data-testid': testId });
  const chart = s('svg', {
    class: 'chart',
    viewBox: `-4 0 ${WIDTH + 8} ${SPARK}`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  });
  const element = h('div', { class: 'spark' }, h('p', {}, h('span', {}, name), figure), chart);
  return {
    element,
    say: (ms) => setText(figure, milliseconds(ms)),
    draw(records) {
      const values = records.map(of);
      const largest = Math.max(...values.map((value) => value ?? 0));
      chart.replaceChildren(
        s('line', { class: 'base', x1: 0, x2: WIDTH, y1: SPARK - 1, y2: SPARK - 1 }),
        ...values.flatMap((value, at) => {
          if (value === null || largest === 0) return [];
          const height = Math.max(1.5, ((SPARK - 4) * value) / largest);
          return [s('rect', { x: place(at) - 2, y: SPARK - 1 - height, width: 4, height })];
        }),
      );
    },
  };
}

/** All decisions with their reasons, newest first. */
export function decisionLog(words: (action: ClickRecord['action']) => string): View {
  let shown: ShopState['decisions'] | null = null;
  const list = h('ol', {
    class: 'log',
    'data-testid': 'decision-log',
    tabindex: '0',
    'aria-label': 'Decisions, newest first',
  });
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
        ...[...decisions.slice(-SHOWN)]
          .reverse()
          .map(({ action, click, reason }) =>
            h(
              'li',
              { 'data-action': action },
              h('span', { class: 'log-click' }, click === 0 ? 'start' : `click ${click}`),
              h('span', {}, h('strong', {}, words(action)), `: ${reason}`),
            ),
          ),
      );
      setAttribute(list, 'data-count', decisions.length);
    },
  };
}

function tile(title: string, ...content: Element[]): HTMLElement {
  return h('section', { class: 'tile' }, h('h3', {}, title), ...content);
}
