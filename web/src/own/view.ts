import { GoodsShop } from '../goods/store.ts';
import { goodsPage } from '../goods/view.ts';
import type { SiteInfo } from '../site-info.ts';
import { h, setAttribute, setText } from '../view/dom.ts';
import { fileSize } from './files.ts';
import type { FileKind } from './helper.ts';
import type { OwnState, Step } from './own-data.ts';
import { reportView } from './report-view.ts';

/** The steps of a training by the names that the local server tells, in order. */
const STEPS = [
  'reading the log',
  'training the small model',
  'training the language model',
  'weighing the counts',
  'listing candidates',
  'calibrating',
  'measuring on held-out interactions',
  'training the small model on everything',
  'training the language model on everything',
  'counting everything',
  'publishing',
  'starting the server',
];

export interface OwnActions {
  choose(kind: FileKind, file: File | null): void;
  drop(files: readonly File[]): void;
  train(): void;
  cancel(): void;
}

/** Builds the page once and returns a function that renders a state. */
export function ownPage(
  root: HTMLElement,
  actions: OwnActions,
  site: SiteInfo,
): (state: OwnState) => void {
  const inputs = {
    events: fileRow('events', 'Events', 'Who chose which item, and when. Required.', actions),
    items: fileRow('items', 'Items', 'Titles and categories. Optional.', actions),
  };
  const train = h(
    'button',
    { type: 'button', class: 'primary', 'data-testid': 'train', onclick: () => actions.train() },
    'Train',
  );
  const cancel = h(
    'button',
    { type: 'button', class: 'plain', 'data-testid': 'cancel', onclick: () => actions.cancel() },
    'Cancel',
  );
  const zone = h(
    'div',
    { class: 'own-zone', 'data-testid': 'drop-zone' },
    h('h2', { class: 'own-drop' }, 'Drop both files here, or choose them'),
    inputs.events.element,
    inputs.items.element,
    h('div', { class: 'buttons' }, train, cancel),
  );
  acceptDrops(zone, actions);
  const failureTitle = h('h2', {});
  const failureText = h('pre', { class: 'own-text' });
  const failureHint = h(
    'p',
    { class: 'quiet' },
    'On this page, change the file: rename a column, or correct the rows. Options such as ' +
      '--user-column are for tandem quickstart on the command line.',
  );
  const failure = h(
    'div',
    { class: 'opening', role: 'alert', 'data-testid': 'own-failure' },
    failureTitle,
    failureText,
    failureHint,
  );
  const steps = h('ol', { class: 'own-steps', 'data-testid': 'steps' });
  const live = h('p', { class: 'sr-only', role: 'status' });
  const report = reportView();
  const othersTitle = h('summary', {});
  const others = h('details', { class: 'own-others', 'data-testid': 'files' }, othersTitle);
  const panel = h('section', { class: 'own', 'aria-label': 'Your files' });
  panel.append(zone, failure, steps, live, report.element);

  const formats = site.firstShop === null ? null : new URL('./docs/own-data.html', site.firstShop);
  const layout = (): Node[] => [
    h('a', { class: 'skip', href: '#main' }, 'Skip to the files'),
    h(
      'header',
      { class: 'header' },
      h(
        'a',
        { class: 'brand', href: './own.html' },
        h('span', { class: 'brand-mark', 'aria-hidden': 'true' }),
        'Your shop',
      ),
      h(
        'nav',
        { class: 'links', 'aria-label': 'Pages' },
        site.firstShop === null ? null : h('a', { href: site.firstShop }, 'Film shop'),
        formats === null ? null : h('a', { href: formats.href }, 'File formats'),
      ),
    ),
    h(
      'main',
      { id: 'main', class: 'main own-main' },
      h(
        'div',
        { class: 'hero-text' },
        h('h1', {}, 'A shop from your own data'),
        h(
          'p',
          { class: 'hero-lead' },
          'One file of events and one of items, as CSV, TSV, JSON or Parquet. A server on this ' +
            'machine reads them, trains both models with tandem quickstart and opens a shop with ' +
            'your items. The files do not leave this machine and are deleted when the demo ends.',
        ),
      ),
      panel,
    ),
  ];
  let shop: { server: string; close(): void } | null = null;
  let shown: OwnState | null = null;
  root.replaceChildren(...layout());
  // The running step counts the seconds.
  setInterval(() => {
    if (shown?.phase === 'training') renderSteps(steps, shown.steps);
  }, 500);

  function switchTo(server: string | null): void {
    if ((shop?.server ?? null) === server) return;
    shop?.close();
    shop = null;
    if (server === null) {
      others.remove();
      panel.prepend(zone);
      panel.append(report.element);
      root.replaceChildren(...layout());
      return;
    }
    // The shop comes first; what was read is one click away.
    others.append(report.element, zone);
    panel.prepend(others);
    const goods = new GoodsShop({ server: `${server}/`, goods: null }, (state) => render(state));
    const render = goodsPage(root, goods, site, panel);
    shop = { server, close: () => goods.close() };
    void goods.open();
    window.scrollTo({ top: 0 });
  }

  return (state) => {
    shown = state;
    const { phase, files } = state;
    const busy = phase === 'sending' || phase === 'training';
    for (const kind of ['events', 'items'] as const) inputs[kind].render(files[kind], busy);
    train.disabled = busy || files.events === null;
    setText(train, phase === 'sending' ? 'Sending the files …' : 'Train');
    cancel.hidden = phase !== 'training';
    setAttribute(zone, 'data-busy', busy ? 'true' : null);
    failure.hidden = state.failure === null;
    setText(failureTitle, failureTitles[state.failure?.code ?? ''] ?? 'The training failed');
    setText(failureText, state.failure?.message ?? '');
    failureHint.hidden = state.failure?.code !== 'refused';
    steps.hidden = phase !== 'training';
    renderSteps(steps, state.steps);
    setText(live, announced(state));
    setText(othersTitle, summaryOf(state));
    report.render(state);
    switchTo(state.server);
  };
}

/** The line that stands for files and report above the shop. */
function summaryOf({ bad, read }: OwnState): string {
  const unread = bad === 1 ? '1 row could not be read' : `${bad} rows could not be read`;
  const parts = [
    ...(bad === 0 ? [] : [unread]),
    ...(read !== null && read.leftOut.length > 0 ? ['rows were left out'] : []),
  ];
  if (parts.length === 0) return 'What was read, and other files';
  return `What was read: ${parts.join(', ')}`;
}

const failureTitles: Record<string, string> = {
  refused: 'These files cannot be used',
  too_large: 'A file is too large',
  unreachable: 'The local server does not answer',
  busy: 'A training is running',
  wrong_token: 'This page is out of date',
};

function announced({ phase, steps }: OwnState): string {
  if (phase === 'ready') return 'The shop is ready.';
  return phase === 'training' ? `Now ${steps.at(-1)?.name ?? ''}.` : '';
}

/** The line of a file: what it is, its name and size, and the button that chooses it. */
function fileRow(
  kind: FileKind,
  title: string,
  hint: string,
  actions: OwnActions,
): { element: HTMLElement; render(file: File | null, busy: boolean): void } {
  const chosen = h('span', { class: 'own-file', 'data-testid': `chosen-${kind}` });
  const input = h('input', {
    type: 'file',
    id: `own-${kind}`,
    class: 'sr-only',
    'aria-describedby': `own-${kind}-hint`,
    'data-testid': `file-${kind}`,
    onchange: () => {
      actions.choose(kind, input.files?.[0] ?? null);
      // The same file can be chosen again after it was changed.
      input.value = '';
    },
  });
  const label = h('label', { for: `own-${kind}`, class: 'plain own-choose' }, `Choose ${kind}`);
  return {
    element: h(
      'div',
      { class: 'own-row' },
      h(
        'div',
        { class: 'own-what' },
        h('h3', {}, title),
        h('p', { class: 'quiet', id: `own-${kind}-hint` }, hint),
      ),
      chosen,
      input,
      label,
    ),
    render(file, busy) {
      setText(chosen, file === null ? '' : `${file.name}, ${fileSize(file.size)}`);
      input.disabled = busy;
    },
  };
}

function acceptDrops(zone: HTMLElement, actions: OwnActions): void {
  const over = (is: boolean) => (event: DragEvent) => {
    event.preventDefault();
    setAttribute(zone, 'data-over', is ? 'true' : null);
  };
  zone.addEventListener('dragover', over(true));
  zone.addEventListener('dragleave', over(false));
  zone.addEventListener('drop', (event) => {
    over(false)(event);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length > 0 && !zone.hasAttribute('data-busy')) actions.drop(files);
  });
  // A file beside the zone must not replace the page.
  for (const type of ['dragover', 'drop']) {
    window.addEventListener(type, (event) => event.preventDefault());
  }
}

function renderSteps(list: HTMLElement, steps: readonly Step[]): void {
  const known = new Map(steps.map((step) => [step.name, step]));
  const names = [...new Set([...STEPS, ...known.keys()])];
  while (list.children.length > names.length) list.lastChild?.remove();
  names.forEach((name, at) => {
    const row = list.children[at] ?? list.appendChild(h('li', {}, h('span'), h('span')));
    const step = known.get(name);
    setAttribute(row, 'data-state', stateOf(step));
    const [title, time] = row.children;
    if (title !== undefined) setText(title, `${name.charAt(0).toUpperCase()}${name.slice(1)}`);
    if (time !== undefined) setText(time, timeOf(step));
  });
}

function stateOf(step: Step | undefined): string {
  if (step === undefined) return 'waiting';
  return step.seconds === null ? 'running' : 'done';
}

function timeOf(step: Step | undefined): string {
  if (step === undefined) return '';
  if (step.seconds !== null) return `${step.seconds.toFixed(1)} s`;
  const seconds = Math.floor((performance.now() - step.since) / 1_000);
  return [step.note, `${seconds} s`].filter((part) => part !== '').join(' · ');
}
