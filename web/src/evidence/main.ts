import '../styles/base.css';
import '../styles/header.css';
import '../styles/evidence.css';
import { h, setAttribute, setText } from '../view/dom.ts';
import { bars, lineChart, type Series } from './chart.ts';
import type { Measured, Point } from './summary.ts';
import { takeaway } from './takeaway.ts';

type Metric = 'ndcg10' | 'hr10';

const metrics: Record<Metric, string> = { ndcg10: 'NDCG@10', hr10: 'HR@10' };
const datasets: Record<string, string> = {
  'ml-100k': 'MovieLens-100k',
  beauty: 'Amazon Beauty',
  toys: 'Amazon Toys',
  yelp: 'Yelp',
};
/** The rules in the order of their colours. */
const rules: Record<string, string> = {
  'fusion-uplift': 'Learnt rule',
  'fusion-consistency': 'Disagreement',
  'fusion-every-kth': 'Every k clicks',
  'fusion-random': 'Random calls',
};

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');
void load(root);

async function load(root: HTMLElement): Promise<void> {
  const main = h('main', { class: 'evidence' });
  root.replaceChildren(top(), main);
  try {
    const response = await fetch('./results.json');
    if (!response.ok) throw new Error(`results.json: HTTP status ${response.status}`);
    show(main, (await response.json()) as Point[]);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    main.replaceChildren(
      h('h1', {}, 'The results could not be loaded'),
      h('p', { role: 'alert' }, `${message}: reload the page.`),
    );
  }
}

function top(): HTMLElement {
  return h(
    'header',
    { class: 'header' },
    h(
      'a',
      { class: 'brand', href: './', 'aria-label': 'Tandem Films, start page' },
      h('span', { class: 'brand-mark', 'aria-hidden': 'true' }),
      'Tandem Films',
    ),
    h('nav', { class: 'links', 'aria-label': 'Pages' }, h('a', { href: './' }, 'Back to the shop')),
  );
}

function show(main: HTMLElement, points: readonly Point[]): void {
  let dataset = 'ml-100k';
  let metric: Metric = 'ndcg10';
  let learning = true;
  const sessions = h('div', { class: 'figure-box' });
  const lesson = h('p', { class: 'takeaway', 'data-testid': 'takeaway' });
  const current = h('output', { class: 'current', 'data-testid': 'point' });
  const alone = h('div', {});
  const searching = h('div', {});
  const searched = h(
    'section',
    {},
    h('h2', {}, 'Without any call: search on the device'),
    searching,
  );
  const choices = [
    choice('Data', Object.entries(datasets), dataset, (value) => {
      dataset = value;
      render();
    }),
    choice('Metric', Object.entries(metrics), metric, (value) => {
      metric = value as Metric;
      render();
    }),
    choice(
      'Learning on the device',
      [
        ['yes', 'On'],
        ['no', 'Off'],
      ],
      'yes',
      (value) => {
        learning = value === 'yes';
        render();
      },
    ),
  ];

  function render(): void {
    const own = points.filter((point) => point.dataset === dataset);
    const session = own.filter(
      (point) => point.protocol === 'session' && point.learning === learning,
    );
    const series = seriesOf(session, metric);
    setText(lesson, takeaway(session, metric) ?? '');
    setText(
      current,
      'Point at a mark, or move to it with the Tab key, for its figures and command.',
    );
    sessions.replaceChildren(
      lineChart(
        `${metrics[metric]} against calls per session`,
        { x: 'calls per session after the first list', y: metrics[metric] },
        series,
        (label) => setText(current, label),
      ),
      h(
        'ul',
        { class: 'legend' },
        ...series.map(({ name, style }) => h('li', { 'data-style': style }, name)),
      ),
    );
    const found = searchBars(own, metric);
    searching.replaceChildren(...found);
    searched.hidden = found.length === 0;
    alone.replaceChildren(...aloneBars(own, metric));
  }

  main.replaceChildren(
    h('h1', {}, 'What a call to the cloud is worth'),
    h(
      'p',
      { class: 'lead' },
      'Held-out interactions of real users, over the whole catalogue, mean over training seeds. ' +
        'Every figure has the command that measured it.',
    ),
    h('div', { class: 'choices' }, ...choices),
    h(
      'section',
      { class: 'sessions' },
      h('h2', {}, 'Quality against calls, one session per user'),
      lesson,
      sessions,
      current,
    ),
    h(
      'div',
      { class: 'two' },
      searched,
      h(
        'section',
        {},
        h('h2', {}, 'One model alone, whole catalogue'),
        h(
          'p',
          { class: 'quiet' },
          'No model was trained on the validation interactions. A shop trains on all interactions.',
        ),
        alone,
      ),
    ),
  );
  render();
}

/** One line per rule from no call to a call at every click, and one with search on the device. */
function seriesOf(session: readonly Point[], metric: Metric): Series[] {
  const lines = [false, true].flatMap((search) =>
    Object.entries(rules).flatMap(([rule, name], style) => {
      const own = session.filter(
        (point) =>
          point.search === search && [rule, 'fusion-never', 'fusion-always'].includes(point.name),
      );
      // With search, only the learnt rule: the others lie on the same line.
      if (!own.some((point) => point.name === rule) || (search && style > 0)) return [];
      return [
        {
          name: search ? `${name}, with search on the device` : name,
          style: search ? 4 : style,
          points: [...own]
            .sort((a, b) => (a.calls ?? 0) - (b.calls ?? 0))
            .map((point) => ({
              x: point.calls ?? 0,
              y: point[metric].mean,
              error: point[metric].sd,
              label: labelOf(point, metric),
            })),
        },
      ];
    }),
  );
  return lines;
}

function labelOf(point: Point, metric: Metric): string {
  const name = rules[point.name] ?? point.name;
  return (
    `${name}: ${metrics[metric]} ${figureOf(point[metric])}, ${(point.calls ?? 0).toFixed(2)} calls, ` +
    `${seedsOf(point)}. ${point.command}`
  );
}

function searchBars(own: readonly Point[], metric: Metric): HTMLElement[] {
  const paper = own.filter(({ protocol, learning }) => protocol === 'paper' && !learning);
  const find = (name: string, search: boolean, budget: number): Point | undefined =>
    paper.find(
      (point) => point.name === name && point.search === search && point.budget === budget,
    );
  const rows: [string, Point | undefined][] = [
    ['Old list of the cloud', paper.find(({ name, search }) => name === 'llm-stale' && !search)],
    ['Old list, re-ranked', find('fusion-none', false, 0)],
    ['Search on the device, no call', find('fusion-none', true, 0)],
    ['Search, and a call for every user', find('fusion-always', true, 1)],
  ];
  const known = rows.flatMap(([name, point]) => (point === undefined ? [] : [{ name, point }]));
  if (!known.some(({ point }) => point.search)) {
    // Not measured on this data.
    return [];
  }
  return barsOf(known, metric, ({ search }) => search);
}

function aloneBars(own: readonly Point[], metric: Metric): HTMLElement[] {
  const names: Record<string, string> = {
    popularity: 'Popularity',
    'co-occurrence': 'Co-occurrence',
    'srm-sasrec': 'Small model',
    'srm-sasrec text': 'Small model, text in training',
    'srm-sasrec text-part': 'Small model, text in training and rows',
    'srm-sasrec full': 'Small model, text in training, full softmax',
    'srm-sasrec full-text-part': 'Small model, text in training and rows, full softmax',
    'llm-item-tokens': 'Language model',
    'llm-item-tokens-text': 'Language model, text in training',
    'llm-item-tokens-signals': 'Language model with counts and text',
    'llm-item-tokens-text-signals': 'Language model with all of these',
    'llm-text-signals-srm': 'The same, and the small model',
    'srm-sasrec best': 'Small model, best recipe',
    'srm-sasrec best-text-part': 'Small model, best recipe, text in rows',
    'llm-item-tokens-best': 'Language model, best recipe',
    'llm-item-tokens-best-signals': 'Best recipe with counts and text',
    'llm-item-tokens-best-signals-small-model': 'Best recipe with counts, text and small model',
  };
  const standard = own.filter(({ protocol }) => protocol === 'standard');
  const rows = Object.entries(names).flatMap(([id, name]) =>
    standard.filter((point) => systemOf(point) === id).map((point) => ({ name, point })),
  );
  return barsOf(rows, metric, ({ name }) => name.startsWith('llm') || name.startsWith('srm'));
}

function systemOf({ name, variant }: Point): string {
  return variant === null ? name : `${name} ${variant}`;
}

/** Bars, and below them the command that measured each. */
function barsOf(
  rows: readonly { name: string; point: Point }[],
  metric: Metric,
  strong: (point: Point) => boolean,
): HTMLElement[] {
  const drawn = bars(
    rows.map(({ name, point }) => ({
      name,
      value: point[metric].mean,
      text: figureOf(point[metric]),
      strong: strong(point),
    })),
  );
  const commands = rows.flatMap(({ name, point }) => [
    h('dt', {}, `${name}, ${seedsOf(point)}`),
    h('dd', {}, h('code', {}, point.command)),
  ]);
  return [
    drawn,
    h('details', { class: 'commands' }, h('summary', {}, 'Commands'), h('dl', {}, ...commands)),
  ];
}

function seedsOf({ seeds }: Point): string {
  return seeds === 1 ? '1 seed' : `${seeds} seeds`;
}

function figureOf({ mean, sd }: Measured): string {
  return sd === null ? mean.toFixed(4) : `${mean.toFixed(4)} ± ${sd.toFixed(4)}`;
}

/** A row of buttons of which one is pressed. */
function choice(
  name: string,
  options: readonly [value: string, label: string][],
  first: string,
  choose: (value: string) => void,
): HTMLElement {
  const buttons = options.map(([value, label]) =>
    h('button', { type: 'button', 'data-value': value, onclick: () => press(value) }, label),
  );
  const press = (value: string): void => {
    mark(value);
    choose(value);
  };
  const mark = (value: string): void => {
    for (const button of buttons) {
      setAttribute(button, 'aria-pressed', String(button.dataset['value'] === value));
    }
  };
  mark(first);
  return h(
    'div',
    { class: 'choice' },
    h('span', { class: 'quiet' }, name),
    h('div', { class: 'segmented', role: 'group', 'aria-label': name }, ...buttons),
  );
}
