// Calls from the page: order, arguments, errors, the end.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Emitter } from '../src/page/emitter.js';
import { ArtifactError, LifecycleError, Recommender, UsageError } from '../src/page/index.js';
import { openSettings } from '../src/page/options.js';
import type { HistoryChange } from '../src/shared/generated.js';
import type { ToPage } from '../src/shared/messages.js';
import { Host } from '../src/worker/host.js';
import { engineOf, FakeClient, FakeWorker, Frames, open, settle, stand } from './stand.js';

beforeEach(() => new Frames().install());

describe('calls', () => {
  it('are carried out one at a time, in their order', async () => {
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

  it('notify the listeners before the caller', async () => {
    const { recommender } = await stand();
    const seen: string[] = [];
    recommender.on('update', ({ cause, sequence }) => seen.push(`${cause} ${sequence}`));
    recommender.on('decision', ({ code }) => seen.push(code));
    await recommender.track({ type: 'view', item: 'x' });
    seen.push('resolved');
    expect(seen).toEqual(['event 1', 'rankings_agree', 'resolved']);
  });

  it('apply exclude, filter and k, in this order', async () => {
    const { recommender } = await stand();
    const { items } = await recommender.recommend({
      exclude: new Set(['a']),
      filter: ({ llmRank }) => llmRank !== 2,
      k: 2,
    });
    expect(items.map(({ item }) => item)).toEqual(['b', 'd']);
  });

  it.each([{ k: 0 }, { k: 1.5 }, { k: -1 }])('refuse %j', async (options) => {
    const { client, recommender } = await stand();
    await expect(recommender.recommend(options)).rejects.toThrow(UsageError);
    expect(client.calls).toEqual([]);
  });

  it('apply rules before k, only on the page', async () => {
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

  it('apply rules whose items are an iterator, also to deeper searches', async () => {
    const { client, recommender } = await stand();
    client.exhausted = false;
    const { items } = await recommender.recommend({
      rules: [
        { type: 'never', items: new Map([['a', 1]]).keys() },
        { type: 'first', items: new Set(['d']).values() },
      ],
      k: 4,
    });
    expect(items.map(({ item }) => item)).toEqual(['d', 'b', 'c']);
    expect(client.calls).toEqual(['recommend', 'deeper 400', 'further']);
  });

  it('revert the last event, by either method', async () => {
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

  it('explain, find similar items and compare, with checked arguments', async () => {
    const { recommender } = await stand();
    expect((await recommender.explain('b'))?.item.item).toBe('b');
    expect(await recommender.explain('unheard of')).toBeNull();
    expect(await recommender.similar('a')).toEqual([{ item: 'b', similarity: 0.5 }]);
    expect(await recommender.compare(['a', 'b'])).toBeNull();
    await expect(recommender.explain('')).rejects.toThrow(UsageError);
    await expect(recommender.similar('a', { k: 0 })).rejects.toThrow(UsageError);
    await expect(recommender.compare([null as never])).rejects.toThrow(UsageError);
  });

  it('refuse an invalid event without calling the worker', async () => {
    const { client, recommender } = await stand();
    await expect(recommender.track({ type: 'hover' as never, item: 'x' })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('"hover"'),
    });
    await expect(recommender.track({ type: 'click', item: '' })).rejects.toThrow(UsageError);
    expect(client.calls).toEqual([]);
  });

  it('transfer a session by export and import', async () => {
    const first = await stand();
    await first.recommender.track({ type: 'click', item: 'x' });
    const bytes = await first.recommender.exportPersonalData();
    const second = await stand();
    await second.recommender.importPersonalData(bytes);
    expect(second.recommender.state().history).toEqual(['x']);
  });

  it.each([
    ['<html>', 'this file is no export of @tandem-rec/client'],
    ['{"version":1,"catalogue_hash":"c","hist', 'this file is no export of @tandem-rec/client'],
    ['{"name":"shop","version":1}', 'this file is no export of @tandem-rec/client'],
    // Of an export that is damaged within, the session says what is wrong.
    ['{"version":1,"catalogue_hash":"c","history":[],"delta":7}', 'the parser’s text'],
  ])('say what a file is that cannot be imported: %s', async (text, message) => {
    const { recommender } = await stand();
    await recommender.track({ type: 'click', item: 'x' });
    const refused = recommender.importPersonalData(new TextEncoder().encode(text));
    await expect(refused).rejects.toMatchObject({
      name: 'ArtifactError',
      code: 'invalid_artifact',
      message: expect.stringContaining(message),
    });
    expect(recommender.state().history).toEqual(['x']);
  });
});

describe('updates', () => {
  it('cross from worker to page once, with only the change of the history', async () => {
    const client = new FakeClient();
    const posted: ToPage[] = [];
    const host = new Host({ postMessage: (message) => posted.push(message) }, async () =>
      engineOf(client),
    );
    const settings = openSettings({ server: '/' }, 'http://shop.example/');
    host.receive({ kind: 'call', id: 1, command: { type: 'open', settings, restore: null } });
    await settle();
    posted.length = 0;
    const event = { type: 'click', item: 'x' } as const;
    host.receive({ kind: 'call', id: 2, command: { type: 'track', event, id: 1 } });
    await settle();
    const updates = posted.filter((message) => 'update' in message);
    expect(updates).toHaveLength(1);
    expect(updates[0]).toMatchObject({
      kind: 'result',
      id: 2,
      update: { history: client.historyChange() },
      delivery: { sequence: 1, cause: 'event', decided: true },
    });
  });

  it('have the whole history on the page', async () => {
    const { client, recommender } = await stand();
    const changes: HistoryChange[] = [
      { dropped: 0, kept: 0, added: ['a', 'b'] },
      { dropped: 0, kept: 2, added: ['c'] },
      { dropped: 1, kept: 1, added: [] },
      { dropped: 0, kept: 1, added: ['b'] },
    ];
    const histories: string[][] = [];
    for (const change of changes) {
      client.historyChange = () => change;
      histories.push((await recommender.recommend()).history);
    }
    expect(histories.map((history) => history.join(''))).toEqual(['ab', 'abc', 'b', 'bb']);
  });
});

describe('a selection', () => {
  const categories = Array.from({ length: 2_000 }, (_, at) =>
    at % 74 === 0 ? `c${at}` : `o${at}`,
  );

  it('is filled up by deeper searches until it has k items', async () => {
    const { client, recommender } = await stand();
    client.catalogue = categories;
    client.exhausted = false;
    const filter = ({ item }: { item: string }): boolean => item.startsWith('c');
    const { items } = await recommender.recommend({ k: 12, filter });
    expect(items).toHaveLength(12);
    expect(client.calls).toEqual(['recommend', 'deeper 400', 'deeper 1600']);
  });

  it('ends when nothing is left, also with an iterator to exclude', async () => {
    const { client, recommender } = await stand();
    client.catalogue = categories;
    client.exhausted = false;
    const options = { k: 50, filter: ({ item }: { item: string }) => item.startsWith('c') };
    const exclude = ['c0'].values();
    expect((await recommender.recommend({ ...options, exclude })).items).toHaveLength(27);
    expect(client.calls.slice(-2)).toEqual(['deeper 6400', 'further']);
    const none = await recommender.recommend({ k: 3, filter: () => false });
    expect(none.items).toEqual([]);
  });

  it('is filled up from further cells until it has k items', async () => {
    const { client, recommender } = await stand();
    client.catalogue = ['a', 'c1'];
    client.further = [['b', 'c2'], ['e'], ['c3'], ['c4']];
    const filter = ({ item }: { item: string }): boolean => /^c\d/.test(item);
    const { items } = await recommender.recommend({ k: 3, filter });
    expect(items.map(({ item }) => item)).toEqual(['c1', 'c2', 'c3']);
    expect(client.calls.filter((call) => call === 'further')).toHaveLength(3);
    // Nothing more arrives after the fourth.
    expect((await recommender.recommend({ k: 9, filter })).items).toHaveLength(4);
  });

  it('fetches further cells a bounded number of times, and not without waiting', async () => {
    const { client, recommender } = await stand();
    client.further = Array.from({ length: 30 }, (_, at) => [`o${at}`]);
    const none = { k: 3, filter: () => false };
    expect((await recommender.recommend({ ...none, wait: 0 })).items).toEqual([]);
    expect(client.calls).not.toContain('further');
    await recommender.recommend(none);
    expect(client.calls.filter((call) => call === 'further')).toHaveLength(8);
  });

  it('waits for cells at most as long as it is told', async () => {
    const { client, recommender } = await stand();
    client.fetchFurther = () => new Promise(() => {});
    expect((await recommender.recommend({ k: 9, wait: 20 })).items).toHaveLength(4);
  });

  it('without k does not search further', async () => {
    const { client, recommender } = await stand();
    client.exhausted = false;
    await recommender.recommend({ filter: () => false });
    expect(client.calls).toEqual(['recommend']);
  });
});

describe('ids', () => {
  it('may be numbers, which are taken as their text', async () => {
    const { client, recommender } = await stand();
    await recommender.track({ type: 'click', item: 50 });
    await recommender.setAvailable([50, '51']);
    await recommender.setExcluded(new Set([7]), { send: true });
    expect(client.calls).toEqual(['track 50', 'available 50,51', 'excluded 7 true']);
  });

  it.each([
    ['blank', '  '],
    ['with a line break', 'a\nb'],
    ['with half a character', 'a\ud800'],
    ['too long', 'x'.repeat(257)],
    ['too long in bytes', 'ü'.repeat(129)],
  ])('that no request can name are refused: %s', async (_, item) => {
    const { client, recommender } = await stand();
    await expect(recommender.track({ type: 'click', item })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching('^event.item: expected the id of an item, 1 to 256 bytes'),
    });
    expect(client.calls).toEqual([]);
    await recommender.track({ type: 'click', item: 'ü'.repeat(128) });
    await recommender.track({ type: 'view', item: 'Größe 42/😀' });
    expect(client.calls).toHaveLength(2);
  });

  it.each([7n, Number.NaN, {}, null])('of another type are refused: %s', async (item) => {
    const { recommender } = await stand();
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    for (const id of [item, circular]) {
      const refused = recommender.track({ type: 'click', item: id as never });
      await expect(refused).rejects.toMatchObject({
        code: 'invalid_argument',
        message: expect.stringMatching('^event.item: expected the id of an item'),
      });
    }
  });
});

describe('arguments', () => {
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  type Call = (recommender: Recommender) => Promise<unknown>;
  const any = (value: unknown): never => value as never;

  it.each<[string, Call, string]>([
    ['track without an event', (rec) => rec.track(any(undefined)), 'event: .* found undefined'],
    ['track with an id', (rec) => rec.track(any('sku-42')), 'event: .* found "sku-42"'],
    ['recommend with null', (rec) => rec.recommend(any(null)), 'options: expected an object'],
    ['similar with a number', (rec) => rec.similar('a', any(3)), 'options: expected an object'],
    ['a BigInt for k', (rec) => rec.recommend({ k: any(5n) }), 'k: .* found 5n'],
    [
      'a circular exclude',
      (rec) => rec.recommend({ exclude: any(circular) }),
      'exclude: .* found object',
    ],
    ['a text to exclude', (rec) => rec.recommend({ exclude: 'abc' }), 'exclude: expected ids'],
    [
      'a filter that is none',
      (rec) => rec.recommend({ filter: any('a') }),
      'filter: expected a function',
    ],
    [
      'too much diversity',
      (rec) => rec.recommend({ diversity: 2 }),
      'diversity: expected a number',
    ],
    [
      'a placement without a name',
      (rec) => rec.recommend({ placement: '' }),
      'placement: expected',
    ],
    ['a negative wait', (rec) => rec.recommend({ wait: -1 }), 'wait: expected a number'],
    ['no available items', (rec) => rec.setAvailable(any(undefined)), 'items: expected ids'],
    ['a BigInt to exclude', (rec) => rec.setExcluded([any(7n)]), 'items: .* found 7n'],
    ['a consent that is no boolean', (rec) => rec.setConsent(any('no')), 'granted: expected true'],
    ['offline that is no boolean', (rec) => rec.setOffline(any(0)), 'offline: expected true'],
    ['a text to import', (rec) => rec.importPersonalData(any('x')), 'bytes: expected a Uint8Array'],
    ['a model that is a BigInt', (rec) => rec.useModel(any(1n)), 'name: .* found 1n'],
  ])('%s: a typed error', async (_, call, message) => {
    const { client, recommender } = await stand();
    await expect(call(recommender)).rejects.toMatchObject({
      name: 'UsageError',
      code: 'invalid_argument',
      message: expect.stringMatching(`^${message}`),
    });
    expect(client.calls).toEqual([]);
  });

  it('an unknown event name is refused', async () => {
    const { recommender } = await stand();
    expect(() => recommender.on(any('updated'), () => {})).toThrow(
      'name: expected update, decision, learn, offline, error, found "updated"',
    );
  });
});

describe('errors', () => {
  it('have the class of their code', async () => {
    const { recommender } = await stand();
    const refused = recommender.track({ type: 'click', item: 'refused' });
    await expect(refused).rejects.toBeInstanceOf(UsageError);
    await expect(refused).rejects.toMatchObject({ message: 'no such item' });
  });

  it('of other origin become internal, and the next call works', async () => {
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

  it('that are no trap do not end the worker', async () => {
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
      [{ search: 'all' as never }, 'search'],
      [{ searchMemory: 0 }, 'searchMemory'],
      [
        { searchMemory: 1e12 },
        'searchMemory: expected .* from 1 to 4294967295, found 1000000000000',
      ],
      [{ counts: 1 as unknown as boolean }, 'counts'],
      [{ server: 'http://[' }, 'server'],
      [{ key: '' }, 'key'],
      [{ model: 7 as never }, 'model'],
      [{ budget: { burst: 0, perMinute: 1 } }, 'budget.burst'],
      [{ budget: { burst: 1, perMinute: -1 } }, 'budget.perMinute'],
      [{ shadow: true, events: true }, 'shadow, events'],
      [{ events: 'yes' as never }, 'events'],
      [{ consent: 1 as never }, 'consent'],
      [{ server: 7n as never }, 'server'],
      [{ server: '' }, 'server'],
      [{ fetch: 'fetch' as never }, 'fetch'],
      [{ onProgress: {} as never }, 'onProgress'],
      [{ signal: new AbortController() as never }, 'signal'],
      [{ signal: null as never }, 'signal'],
    ] as const) {
      await expect(open(worker, options)).rejects.toMatchObject({
        code: 'invalid_argument',
        message: expect.stringMatching(`^${named}`),
      });
    }
  });
});

describe('options', () => {
  it.each([undefined, null, 'http://rec.example'])(
    'that are no object are refused: %s',
    async (options) => {
      const worker = new FakeWorker(() => Promise.reject(new Error('not reached')));
      const opening = Recommender.open(options as never, 'http://shop.example/', () => worker);
      await expect(opening).rejects.toMatchObject({
        name: 'UsageError',
        code: 'invalid_argument',
        message: expect.stringMatching('^options: expected an object with the option server'),
      });
    },
  );

  it('that are not known are a warning, with the one that was meant', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const { recommender } = await stand({ consnet: true, colour: 'red' } as object);
    expect(recommender.state().consent).toBe(false);
    expect(warned.mock.calls).toEqual([
      [
        'createRecommender: the option consnet is not known and has no effect; did you mean consent?',
      ],
      ['createRecommender: the option colour is not known and has no effect'],
    ]);
    warned.mockRestore();
  });

  it('of calls, rules and events that are not known are a warning, once', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const { recommender } = await stand({
      budget: { burst: 1, perMinute: 1, perHour: 2 } as never,
    });
    const mistyped = { k: 3, placment: 'side' } as object;
    expect((await recommender.recommend(mistyped)).items).toHaveLength(3);
    await recommender.recommend(mistyped);
    await recommender.recommend({ rules: [{ type: 'first', items: ['d'], item: 1 } as never] });
    await recommender.similar('a', { K: 3 } as object);
    await recommender.setExcluded([], { sent: true } as object);
    await recommender.track({ type: 'click', item: 'x', recomendation: 'y' } as never);
    await recommender.track({ type: 'click', item: 'x', recommendation: null });
    const none = 'is not known and has no effect';
    expect(warned.mock.calls.map(([text]) => text)).toEqual([
      `createRecommender: the option budget.perHour ${none}`,
      `recommend: the option placment ${none}; did you mean placement?`,
      `recommend: the option rules[0].item ${none}; did you mean rules[0].items?`,
      `similar: the option K ${none}; did you mean k?`,
      `setExcluded: the option sent ${none}; did you mean send?`,
      `track: the field recomendation ${none}; did you mean recommendation?`,
    ]);
    warned.mockRestore();
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

  it('is caused by the signal, while opening and later', async () => {
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

  it('precedes the worker if the signal was aborted already', async () => {
    const spawned = vi.fn();
    const worker = new FakeWorker(spawned);
    await expect(open(worker, { signal: AbortSignal.abort() })).rejects.toThrow(LifecycleError);
    await settle();
    expect(spawned).not.toHaveBeenCalled();
  });
});

describe('listeners', () => {
  it('get errors from before the first of them', async () => {
    const emitter = new Emitter<{ error: string; update: string }>();
    emitter.emit('error', 'early');
    emitter.emit('update', 'early');
    const heard: string[] = [];
    emitter.on('update', (text) => heard.push(`update ${text}`));
    emitter.on('error', (text) => heard.push(text));
    expect(heard).toEqual([]);
    await settle();
    emitter.on('error', (text) => heard.push(`second ${text}`));
    await settle();
    expect(heard).toEqual(['early']);
  });

  it('are removed one by one', async () => {
    const { recommender } = await stand();
    const listener = vi.fn();
    const stop = recommender.on('update', listener);
    recommender.on('update', listener);
    stop();
    await recommender.track({ type: 'view', item: 'x' });
    expect(listener).toHaveBeenCalledTimes(1);
  });
});
