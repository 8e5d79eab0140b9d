// Hits, places and running figures of a replay.
import { afterEach, expect, it, vi } from 'vitest';
import { idle, Replay, type ReplayState } from '../src/replay/replay.ts';
import { hitRate, ndcg, nextVisitor, noScore, placeOf, withPlace } from '../src/replay/scores.ts';
import { type CreateRecommender, Popularity } from '../src/replay/systems.ts';

afterEach(() => vi.unstubAllGlobals());

it('only the first ten items of a list count', () => {
  const list = Array.from({ length: 12 }, (_, at) => `i${at}`);
  expect(placeOf(list, 'i0')).toBe(0);
  expect(placeOf(list, 'i9')).toBe(9);
  expect(placeOf(list, 'i10')).toBeNull();
});

it('the figures are means over all clicks, also of earlier visitors', () => {
  const first = withPlace(withPlace(noScore, 0, 1), null, 0);
  const second = withPlace(nextVisitor(first), 2, 2);
  expect(second.places).toEqual([2]);
  expect(hitRate(second)).toBeCloseTo(2 / 3);
  expect(ndcg(second)).toBeCloseTo((1 + 1 / 2) / 3);
  expect(second.calls).toBe(3);
  expect(hitRate(noScore)).toBeNull();
});

it('popular items that the visitor has had are not recommended', async () => {
  const system = new Popularity(['a', 'b', 'c'], ['b']);
  await system.click('a');
  expect(await system.top()).toEqual(['c']);
});

it('a visitor counts from the first click, also after a stop', async () => {
  const visitors = [{ history: [], clicks: ['a', 'b'] }];
  vi.stubGlobal('fetch', async (address: string) =>
    address === 'visitors'
      ? new Response(JSON.stringify(visitors))
      : new Response(JSON.stringify({ candidates: [] })),
  );
  const create = async () => ({
    dispose: () => {},
    // Has learnt at once.
    on: (name: string, listener: () => void) => {
      if (name === 'learn') queueMicrotask(listener);
      return () => {};
    },
    recommend: async () => ({ items: [], ranking: [] }),
    setOffline: async () => {},
    track: async () => ({ decision: { action: 'keep' } }),
  });
  let state: ReplayState = idle;
  const shown = (next: ReplayState): void => {
    state = next;
  };
  const given = create as unknown as CreateRecommender;
  const replay = new Replay('./', 'visitors', [], shown, given);
  void replay.start(false);
  expect(state.counted).toBe(0);
  await vi.waitFor(() => expect(state.clicked).toBe('a'));
  expect(state).toMatchObject({ phase: 'running', counted: 1, finished: 0 });
  replay.stop();
  expect(state).toMatchObject({ phase: 'idle', counted: 1, finished: 0 });
});
