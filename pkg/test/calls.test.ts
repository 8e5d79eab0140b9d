// Calls from the page: order, arguments, errors, the end.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ArtifactError, LifecycleError, UsageError } from '../src/page/index.js';
import { FakeWorker, Frames, open, settle, stand } from './stand.js';

beforeEach(() => new Frames().install());

describe('calls', () => {
  it('are carried out one at a time, in the order they were made', async () => {
    const { client, recommender } = await stand();
    const answers = await Promise.all([
      recommender.track({ type: 'click', item: 'x' }),
      recommender.recommend(),
      recommender.track({ type: 'purchase', item: 'y' }),
    ]);
    expect(client.calls.slice(0, 3)).toEqual(['track x', 'recommend', 'track y']);
    expect(client.overlaps).toBe(0);
    expect(answers.map((answer) => answer.history)).toEqual([['x'], ['x'], ['x', 'y']]);
  });

  it('tell the listeners before the caller', async () => {
    const { recommender } = await stand();
    const seen: string[] = [];
    recommender.on('update', ({ cause, sequence }) => seen.push(`${cause} ${sequence}`));
    recommender.on('decision', ({ code }) => seen.push(code));
    await recommender.track({ type: 'view', item: 'x' });
    seen.push('resolved');
    expect(seen).toEqual(['event 1', 'rankings_agree', 'resolved']);
  });

  it('leave out what exclude, filter and k say, in this order', async () => {
    const { recommender } = await stand();
    const { items } = await recommender.recommend({
      exclude: new Set(['a']),
      filter: ({ llmRank }) => llmRank !== 2,
      k: 2,
    });
    expect(items.map(({ item }) => item)).toEqual(['b', 'd']);
  });

  it.each([{ k: 0 }, { k: 1.5 }, { k: -1 }])('refuse the length %j', async (options) => {
    const { client, recommender } = await stand();
    await expect(recommender.recommend(options)).rejects.toThrow(UsageError);
    expect(client.calls).toEqual([]);
  });

  it('apply rules before the length, on the page alone', async () => {
    const { client, recommender } = await stand();
    const { items } = await recommender.recommend({
      rules: [
        { type: 'never', items: ['a'] },
        { type: 'last', items: ['b'] },
      ],
      k: 2,
    });
    expect(items.map(({ item }) => item)).toEqual(['c', 'd']);
    expect(client.calls).toEqual(['recommend']);
  });

  it('take the last event back, by either name', async () => {
    const { recommender } = await stand();
    const causes: string[] = [];
    await recommender.track({ type: 'click', item: 'x' });
    await recommender.track({ type: 'click', item: 'y' });
    recommender.on('update', ({ cause }) => causes.push(cause));
    expect(await recommender.undo()).toEqual({ type: 'click', item: 'y' });
    expect((await recommender.track({ type: 'undo' })).history).toEqual([]);
    expect(await recommender.undo()).toBeNull();
    expect(causes).toEqual(['undo', 'undo']);
  });

  it('explain, find what is alike and compare, each with checked arguments', async () => {
    const { recommender } = await stand();
    expect((await recommender.explain('b'))?.item.item).toBe('b');
    expect(await recommender.explain('unheard of')).toBeNull();
    expect(await recommender.similar('a')).toEqual([{ item: 'b', similarity: 0.5 }]);
    expect(await recommender.compare(['a', 'b'])).toBeNull();
    await expect(recommender.explain('')).rejects.toThrow(UsageError);
    await expect(recommender.similar('a', { k: 0 })).rejects.toThrow(UsageError);
    await expect(recommender.compare([null as never])).rejects.toThrow(UsageError);
  });

  it('refuse an event that is none, without entering the worker', async () => {
    const { client, recommender } = await stand();
    await expect(recommender.track({ type: 'hover' as never, item: 'x' })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('"hover"'),
    });
    await expect(recommender.track({ type: 'click', item: '' })).rejects.toThrow(UsageError);
    expect(client.calls).toEqual([]);
  });

  it('carry a session over by export and import', async () => {
    const first = await stand();
    await first.recommender.track({ type: 'click', item: 'x' });
    const bytes = await first.recommender.exportPersonalData();
    const second = await stand();
    await second.recommender.importPersonalData(bytes);
    expect(second.recommender.state().history).toEqual(['x']);
  });
});

describe('errors', () => {
  it('come as the class of their code', async () => {
    const { recommender } = await stand();
    const refused = recommender.track({ type: 'click', item: 'refused' });
    await expect(refused).rejects.toBeInstanceOf(UsageError);
    await expect(refused).rejects.toMatchObject({ message: 'no such item' });
  });

  it('that are not ours become internal, and the next call still works', async () => {
    const { recommender } = await stand();
    await expect(recommender.track({ type: 'click', item: 'trap' })).rejects.toMatchObject({
      name: 'TandemError',
      code: 'internal',
      message: 'unreachable executed',
    });
    expect((await recommender.track({ type: 'click', item: 'x' })).history).toEqual(['x']);
  });

  it('of opening end the worker', async () => {
    const worker = new FakeWorker(() =>
      Promise.reject({ code: 'integrity', message: 'rows.bin: expected aa, found bb' }),
    );
    await expect(open(worker)).rejects.toBeInstanceOf(ArtifactError);
    expect(worker.terminated).toBe(true);
  });

  it('of ours that are no trap leave the worker at work', async () => {
    const { recommender, workers } = await stand();
    const broken = recommender.track({ type: 'click', item: 'broken' });
    await expect(broken).rejects.toMatchObject({ code: 'internal', fatal: false });
    expect((await recommender.recommend()).history).toEqual([]);
    expect(workers).toHaveLength(1);
  });

  it('in the options name the option', async () => {
    const worker = new FakeWorker(() => Promise.reject(new Error('not reached')));
    for (const [options, named] of [
      [{ device: 'gpu' as never }, 'device'],
      [{ timeoutMs: 0 }, 'timeoutMs'],
      [{ server: 'http://[' }, 'server'],
      [{ key: '' }, 'key'],
      [{ model: 7 as never }, 'model'],
      [{ budget: { burst: 0, perMinute: 1 } }, 'budget.burst'],
      [{ budget: { burst: 1, perMinute: -1 } }, 'budget.perMinute'],
      [{ shadow: true, events: true }, 'shadow, events'],
    ] as const) {
      await expect(open(worker, options)).rejects.toMatchObject({
        code: 'invalid_argument',
        message: expect.stringMatching(`^${named}:`),
      });
    }
  });
});

describe('the end', () => {
  it('rejects pending and later calls, and frees the worker', async () => {
    const { recommender, worker } = await stand();
    const pending = recommender.track({ type: 'click', item: 'x' });
    recommender.dispose();
    recommender.dispose();
    await expect(pending).rejects.toBeInstanceOf(LifecycleError);
    await expect(recommender.recommend()).rejects.toMatchObject({ code: 'disposed' });
    expect(worker.terminated).toBe(true);
    expect(recommender.state().status).toBe('disposed');
  });

  it('comes by the signal, while opening and afterwards', async () => {
    const opening = new AbortController();
    const never = new FakeWorker(() => new Promise(() => {}));
    const unopened = open(never, { signal: opening.signal });
    opening.abort();
    await expect(unopened).rejects.toMatchObject({ code: 'aborted' });
    expect(never.terminated).toBe(true);

    const later = new AbortController();
    const { recommender } = await stand({ signal: later.signal });
    later.abort();
    await expect(recommender.recommend()).rejects.toMatchObject({ code: 'aborted' });
  });

  it('comes before a worker is made if the signal was aborted already', async () => {
    const spawned = vi.fn();
    const worker = new FakeWorker(spawned);
    await expect(open(worker, { signal: AbortSignal.abort() })).rejects.toThrow(LifecycleError);
    await settle();
    expect(spawned).not.toHaveBeenCalled();
  });
});

describe('listeners', () => {
  it('stop when asked to, each for itself', async () => {
    const { recommender } = await stand();
    const listener = vi.fn();
    const stop = recommender.on('update', listener);
    recommender.on('update', listener);
    stop();
    await recommender.track({ type: 'view', item: 'x' });
    expect(listener).toHaveBeenCalledTimes(1);
  });
});
