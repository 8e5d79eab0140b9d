import type { ShopState } from '../shop.ts';
import { type ControlActions, controls } from './controls.ts';
import { actionWords, decisionView } from './decision.ts';
import { h } from './dom.ts';
import { ordersView } from './orders.ts';
import { replayTile } from './replay.ts';
import { decisionLog, learning, timeline } from './trends.ts';

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

/** Where the visitors to replay are; see {@link replayTile}. */
export interface ReplaySource {
  server: string;
  address: string;
}

/** How the list was made: decision, rankings, learning, latency, settings, and a replay. */
export function internals(actions: ControlActions, replay: ReplaySource | null): View {
  const decision = decisionView();
  const orders = ordersView();
  const settings = controls(actions);
  const tiles = [timeline(), learning(), decisionLog((action) => actionWords({ action }))];
  const replayed = replay === null ? [] : [replayTile(replay.server, replay.address)];
  const element = h(
    'section',
    { class: 'internals', id: 'internals', 'aria-labelledby': 'internals-title' },
    h('h2', { id: 'internals-title' }, 'How this list was made'),
    h(
      'div',
      { class: 'internals-top' },
      h('div', {}, decision.element, orders.element),
      settings.element,
    ),
    h('div', { class: 'tiles' }, ...tiles.map((tile) => tile.element)),
    ...replayed.map((tile) => tile.element),
  );
  return {
    element,
    render: (state) => {
      for (const part of [decision, orders, settings, ...tiles, ...replayed]) part.render(state);
    },
  };
}
