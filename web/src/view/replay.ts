import type { Catalogue } from '../catalogue.ts';
import type { Replay, ReplayState } from '../replay/replay.ts';
import { hitRate, ndcg, type Score, SHOWN, type SystemName } from '../replay/scores.ts';
import type { ShopState } from '../shop.ts';
import { h, setAttribute, setText } from './dom.ts';

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

const NAMES: Record<SystemName, string> = {
  popularity: 'Most popular',
  cloud: 'Cloud list at every click',
  small: 'Small model only',
  tandem: 'Tandem',
};

/** A row of the table. */
interface Row {
  element: HTMLElement;
  show(score: Score, clicks: number): void;
}

/**
 * Replays visitors whom the models have never seen, with four systems at once. `address`: of the
 * file of visitors.
 */
export function replayTile(server: string, address: string): View {
  let catalogue: Catalogue | null = null;
  let replay: Promise<Replay> | null = null;
  const next = button('Replay a visitor', 'replay-next', () => start(false));
  const all = button('Replay all', 'replay-all', () => start(true));
  const stop = button('Stop', 'replay-stop', () => void replay?.then((running) => running.stop()));
  const line = h('p', { class: 'replay-line', 'data-testid': 'replay-line', role: 'status' });
  const rows = new Map(
    (Object.keys(NAMES) as SystemName[]).map((name) => [name, row(name, NAMES[name])]),
  );
  const counted = h('p', { class: 'quiet', 'data-testid': 'replay-counted' });
  const table = h(
    'div',
    { class: 'replay-scroll', tabindex: '0', role: 'region', 'aria-label': 'Replay' },
    h(
      'table',
      { class: 'replay-table' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('td', {}),
          ...['Hit or miss', `HR@${SHOWN}`, `NDCG@${SHOWN}`, 'Calls'].map((name) =>
            h('th', { scope: 'col' }, name),
          ),
        ),
      ),
      h('tbody', {}, ...[...rows.values()].map(({ element }) => element)),
    ),
  );
  const element = h(
    'section',
    { class: 'tile replay', 'data-testid': 'replay', 'aria-labelledby': 'replay-title' },
    h('h3', { id: 'replay-title' }, 'Replay a real visitor'),
    h(
      'p',
      { class: 'quiet' },
      'Visitors of the log whom neither model has seen: all of their ratings were kept out of ' +
        'training and out of the popularity. Their last films are replayed. Before each, every ' +
        `system recommends ${SHOWN} films of the whole catalogue; a hit is the film that the visitor chose.`,
    ),
    h('div', { class: 'buttons' }, next, all, stop),
    line,
    table,
    counted,
    h(
      'p',
      { class: 'quiet' },
      'The models were trained on earlier and later ratings of other visitors. The weight of the two models and ' +
        'the rule for calls were fitted to visitors who are neither trained on nor replayed. ' +
        '“Small model only” learns from the clicks and never calls.',
    ),
  );
  stop.hidden = true;
  all.disabled = true;
  next.disabled = true;

  function start(everyone: boolean): void {
    const { popular = [] } = catalogue ?? {};
    // Loaded when it is needed: most visitors of the page never open this.
    replay ??= import('../replay/replay.ts').then(
      ({ Replay }) => new Replay(server, address, popular, show),
    );
    void replay.then((ready) => ready.start(everyone));
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    table.scrollIntoView({ behavior: still ? 'instant' : 'smooth', block: 'nearest' });
  }

  function show(state: ReplayState): void {
    const busy = state.phase === 'opening' || state.phase === 'running';
    stop.hidden = !busy;
    next.hidden = busy;
    all.hidden = busy;
    setText(next, state.visitor === null ? 'Replay a visitor' : 'Replay the next visitor');
    setText(line, lineOf(state, catalogue));
    setAttribute(line, 'data-failed', state.phase === 'failed' ? 'true' : null);
    for (const [name, { show }] of rows) show(state.scores[name], state.clicks);
    const { clicks } = state.scores.tandem;
    setText(
      counted,
      clicks === 0
        ? ''
        : `HR@${SHOWN}, NDCG@${SHOWN} and calls over ${clicks} clicks of ${visitorsOf(state)}. ` +
            'With few clicks, differences are chance.',
    );
  }

  return {
    element,
    render(state) {
      catalogue = state.catalogue;
      const usable = state.phase === 'ready' && state.catalogue !== null;
      next.disabled = !usable;
      all.disabled = !usable;
    },
  };
}

function visitorsOf({ counted }: ReplayState): string {
  return counted === 1 ? 'one visitor' : `${counted} visitors`;
}

function lineOf(
  { phase, visitor, visitors, before, clicked, failure }: ReplayState,
  catalogue: Catalogue | null,
): string {
  if (phase === 'failed') return `The replay stopped: ${failure ?? 'unknown error'}.`;
  if (visitor === null) return phase === 'opening' ? 'Loading the visitors …' : '';
  const who = `Visitor ${visitor + 1} of ${visitors}, ${before} films before`;
  if (phase === 'opening') return `${who}. Opening two more devices …`;
  const title = clicked === null ? null : (catalogue?.films.get(clicked)?.title ?? clicked);
  return title === null ? `${who}.` : `${who}. Chose ${title}.`;
}

function row(name: SystemName, title: string): Row {
  const marks = h('td', { class: 'replay-marks' });
  const words = h('span', { class: 'sr-only' });
  const dots = h('span', { class: 'replay-dots', 'aria-hidden': 'true' });
  marks.append(dots, words);
  const hr = h('td', { 'data-name': `HR@${SHOWN}`, 'data-testid': `replay-hr-${name}` }, '–');
  const gain = h('td', { 'data-name': `NDCG@${SHOWN}`, 'data-testid': `replay-ndcg-${name}` }, '–');
  const calls = h('td', { 'data-name': 'Calls', 'data-testid': `replay-calls-${name}` }, '–');
  const element = h(
    'tr',
    { 'data-system': name },
    h('th', { scope: 'row' }, title),
    marks,
    hr,
    gain,
    calls,
  );
  return {
    element,
    show(score, clicks) {
      while (dots.children.length < clicks) dots.append(h('span', { class: 'replay-dot' }));
      while (dots.children.length > clicks) dots.lastElementChild?.remove();
      [...dots.children].forEach((dot, at) => {
        const place = score.places[at];
        setAttribute(dot, 'data-hit', place === undefined ? null : String(place !== null));
        setText(dot, place == null ? '' : String(place + 1));
      });
      const hits = score.places.filter((place) => place !== null).length;
      setText(words, `${hits} of ${score.places.length} hit`);
      setText(hr, figure(hitRate(score)));
      setText(gain, figure(ndcg(score)));
      setText(calls, score.clicks === 0 ? '–' : String(score.calls));
    },
  };
}

function figure(value: number | null): string {
  return value === null ? '–' : value.toFixed(3);
}

function button(text: string, testId: string, click: () => void): HTMLButtonElement {
  return h(
    'button',
    { type: 'button', class: 'plain', 'data-testid': testId, onclick: click },
    text,
  );
}
