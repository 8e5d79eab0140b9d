import { milliseconds } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import type { SiteInfo } from '../site-info.ts';
import { isThisMachine } from '../starting-delay.ts';
import { type CardActions, card, ghosts } from './card.ts';
import { h, liftMoved, reconcile, setAttribute, setText } from './dom.ts';

const SHOWN = 8;

/** Actions of the comparison's controls. */
export interface CompareActions extends CardActions {
  setOffline(offline: boolean): void;
  setDelay(ms: number): void;
  setComparing(comparing: boolean): void;
  surprise(): void;
}

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

/** Delay, airplane mode, the comparison itself, and a surprise. */
export function compareControls(actions: CompareActions, { release }: SiteInfo): View {
  let offline = false;
  let comparing = true;
  const output = h('output', { for: 'delay', class: 'delay-value' });
  const slider = h('input', {
    type: 'range',
    id: 'delay',
    min: 0,
    max: 2000,
    step: 50,
    value: 0,
    'data-testid': 'delay',
    oninput: () => actions.setDelay(Number(slider.value)),
  });
  const airplane = h(
    'button',
    {
      type: 'button',
      class: 'switch',
      role: 'switch',
      'data-testid': 'toggle-offline',
      onclick: () => actions.setOffline(!offline),
    },
    'Airplane mode',
  );
  const compare = h(
    'button',
    {
      type: 'button',
      class: 'switch',
      role: 'switch',
      'data-testid': 'toggle-compare',
      onclick: () => actions.setComparing(!comparing),
    },
    'Compare',
  );
  const simulated = isThisMachine(location.hostname) ? ' (simulated)' : '';
  const surprise = h(
    'button',
    {
      type: 'button',
      class: 'plain',
      'data-testid': 'surprise',
      onclick: () => actions.surprise(),
    },
    'Surprise me',
  );
  const element = h(
    'div',
    { class: 'compare-controls', role: 'group', 'aria-label': 'Network and comparison' },
    h('div', { class: 'delay' }, h('label', { for: 'delay' }, 'Network delay'), slider, output),
    airplane,
    compare,
    surprise,
  );
  return {
    element,
    render({ phase, switching, update, comparing: shown, delayMs }) {
      offline = update?.connection.state === 'offline';
      comparing = shown;
      setAttribute(airplane, 'aria-checked', String(offline));
      setAttribute(compare, 'aria-checked', String(shown));
      // A site without a server has no other side.
      compare.hidden = release !== null;
      airplane.disabled = phase !== 'ready' || switching;
      surprise.disabled = phase !== 'ready' || switching;
      slider.value = String(delayMs);
      // A server on this machine answers without a network.
      setText(output, delayMs === 0 ? 'real' : `real + ${delayMs} ms${simulated}`);
    },
  };
}

/** The list of a shop without a device model, for the same clicks. */
export function cloudPane(actions: CardActions): View {
  const cards = new Map<string, HTMLLIElement>();
  const timer = h('p', { class: 'pane-state', 'data-testid': 'cloud-state' });
  const grid = h('ul', { class: 'grid', 'data-testid': 'cloud-shelf', 'aria-label': 'Cloud only' });
  const element = h(
    'section',
    { class: 'pane pane-cloud', 'aria-labelledby': 'cloud-title' },
    h('header', { class: 'pane-head' }, h('h2', { id: 'cloud-title' }, 'Cloud only'), timer),
    grid,
  );
  let since: number | null = null;
  let frame = 0;
  /** Counts up while the request is under way; four times a second is enough to feel it. */
  function tick(): void {
    if (since === null) return;
    setText(timer, `Waiting for the server … ${waited(performance.now() - since)}`);
    frame = window.setTimeout(tick, 100);
  }

  return {
    element,
    render(state) {
      const { catalogue, cloud, comparing, phase } = state;
      element.hidden = !comparing || phase === 'failed';
      if (catalogue === null && grid.childElementCount === 0) grid.append(...ghosts(SHOWN));
      if (catalogue === null || !comparing) return;
      for (const ghost of grid.querySelectorAll('.ghost')) ghost.remove();
      const waiting = cloud.waitingSince !== null;
      setAttribute(element, 'data-waiting', waiting ? 'true' : null);
      setAttribute(element, 'data-problem', cloud.problem);
      window.clearTimeout(frame);
      since = cloud.waitingSince;
      if (waiting) tick();
      else setText(timer, stateText(state));
      const items = (cloud.items.length > 0 ? cloud.items : catalogue.popular)
        .filter((item) => catalogue.films.has(item))
        .slice(0, SHOWN);
      liftMoved(grid, cards, items);
      reconcile(grid, cards, items, (item) => {
        const film = catalogue.films.get(item);
        return film === undefined ? h('li') : card(film, actions, 'cloud-card');
      });
    },
  };
}

function waited(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function stateText({ cloud, phase }: ShopState): string {
  if (cloud.problem === 'offline') return 'No network, no new list';
  if (cloud.problem === 'failing') return 'No answer';
  if (cloud.answeredMs !== null) return `Answered after ${milliseconds(cloud.answeredMs)}`;
  return phase === 'loading' ? 'Popular films' : 'A request at every click';
}
