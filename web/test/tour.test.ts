// The tour: what it clicks on, what it says, and that the visitor can take over.
import { expect, it } from 'vitest';
import { type ClickRecord, initialState, type ShopState } from '../src/shop-state.ts';
import { startingDelay } from '../src/starting-delay.ts';
import { Tour } from '../src/tour.ts';
import { verdictOf } from '../src/view/race.ts';

/** A shop that answers at once, and what the tour did with it. */
function shop(shelf: readonly string[] = ['a', 'b', 'c', 'd']) {
  const done: string[] = [];
  const click = (): ClickRecord => ({
    ...{ click: 1, action: 'keep', reason: '', rerankMs: 0, shownMs: 1 },
    ...{ learnMs: null, requestMs: null, alone: false },
  });
  let clicks: readonly ClickRecord[] = [];
  let offline = false;
  const state = (): ShopState => ({
    ...initialState,
    phase: 'ready',
    clicks,
    shelf: shelf.map((item) => ({ item }) as ShopState['shelf'][number]),
    update: { connection: { state: offline ? 'offline' : 'online' } } as ShopState['update'],
  });
  const actions = {
    watch: (item: string) => {
      clicks = [...clicks, click()];
      done.push(offline ? `${item} offline` : item);
    },
    setOffline: (now: boolean) => {
      offline = now;
      done.push(now ? 'off' : 'on');
    },
  };
  return { actions, state, done };
}

it('clicks with a network, then without one, and switches it on again', async () => {
  const { actions, state, done } = shop();
  const said: [string, boolean][] = [];
  const tour = new Tour(
    actions,
    state,
    (...words) => said.push(words),
    () => Promise.resolve(),
  );
  await tour.play();
  expect(done).toEqual(['a', 'c', 'b', 'a', 'd', 'b', 'a', 'c', 'off', 'a offline', 'on']);
  expect(said[0]).toEqual(['A click on a.', true]);
  expect(said.at(-1)).toEqual(['Your turn: click any film.', false]);
  expect(tour.running).toBe(false);
});

it('ends at once when the visitor takes over, with the network on', async () => {
  const { actions, state, done } = shop();
  const tour: Tour = new Tour(
    actions,
    state,
    (text) => {
      if (text === 'Now without a network.') queueMicrotask(() => tour.stop());
    },
    () => Promise.resolve(),
  );
  await tour.play();
  expect(done).toEqual(['a', 'c', 'b', 'a', 'd', 'b', 'a', 'c', 'off', 'on']);
  expect(tour.running).toBe(false);
});

it('ends although there are too few films', async () => {
  const { actions, state, done } = shop([]);
  const tour = new Tour(
    actions,
    state,
    () => {},
    () => Promise.resolve(),
  );
  await tour.play();
  expect(done).toEqual(['off', 'on']);
});

it('simulates a mobile network only for a server on the same machine', () => {
  const delay = (hostname: string, search = '') => startingDelay({ hostname, search });
  for (const name of ['127.0.0.1', 'localhost', 'demo.localhost', '[::1]']) {
    expect(delay(name)).toBe(400);
  }
  expect(delay('films.example')).toBe(0);
  expect(delay('127.0.0.1.example')).toBe(0);
  expect(delay('127.0.0.1', '?delay=0')).toBe(0);
  expect(delay('films.example', '?delay=700')).toBe(700);
  expect(delay('films.example', '?delay=9999')).toBe(2000);
  expect(delay('films.example', '?delay=abc')).toBe(0);
});

it('says how many times sooner the device was, if it was', () => {
  expect(verdictOf(4, 412)).toBe('103 × sooner');
  expect(verdictOf(4, 7)).toBe('');
  expect(verdictOf(4, null)).toBe('');
  expect(verdictOf(0, 400)).toBe('');
});
