// The queue of events for the server's log: order, retries, limits.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HOLD_MS, LastSent } from '../src/page/last-sent.js';
import {
  BATCH,
  GATHER_MS,
  LAST_BYTES,
  Outbox,
  type OutboxHost,
  QUEUE_LIMIT,
} from '../src/page/outbox.js';
import { MemoryStorage } from '../src/page/storage.js';
import { type Held, held } from './stand.js';

interface Sent {
  session: string;
  events: { id: string; type: string; item: string; at: number }[];
}

let storage: MemoryStorage;
let sent: Sent[];
/** The server's response to the next requests; `null`: success. */
let answer: { code: string } | null;
let refused: string[];
/** Name of the visit or the visitor. */
let session: string;
/** Requests that outlive the page, and their responses. */
let last: Sent[];
let lastAnswers: Held<null>[];
let offline: boolean;
/** What earlier pages sent as they were left, if the storage is a lasting one. */
let lastSent: LastSent | null;

beforeEach(() => {
  vi.useFakeTimers();
  storage = new MemoryStorage();
  sent = [];
  answer = null;
  refused = [];
  session = 'visit';
  last = [];
  lastAnswers = [];
  offline = false;
  lastSent = null;
});
afterEach(() => vi.useRealTimers());

const outbox = (page = 's', changes: Partial<OutboxHost> = {}): Outbox =>
  new Outbox(page, {
    storage: () => storage,
    lastSent: () => lastSent,
    session: () => session,
    send: async (path, body) => {
      expect(path).toBe('/v1/events');
      if (answer !== null) throw answer;
      sent.push(JSON.parse(body));
    },
    sendLast: (_, body) => {
      if (offline) return null;
      last.push(JSON.parse(body));
      const response = held<null>();
      lastAnswers.push(response);
      return response.promise;
    },
    refused: ({ code }) => refused.push(code),
    ...changes,
  });
const click = (item: string | number) => ({ type: 'click', item: `${item}` }) as const;
const items = (): string[] => sent.flatMap(({ events }) => events.map(({ item }) => item));

it('are sent together, in their order, each with its own id', async () => {
  const box = outbox();
  void box.add(click('x'));
  void box.add({ type: 'view', item: 'y' });
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(sent).toHaveLength(1);
  expect(sent[0]?.session).toBe('visit');
  expect(sent[0]?.events.map(({ id, type, item }) => [id, type, item])).toEqual([
    ['s-000001', 'click', 'x'],
    ['s-000002', 'view', 'y'],
  ]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toHaveLength(1);
});

it('are retried with growing pauses while the server cannot be reached', async () => {
  const box = outbox();
  answer = { code: 'unreachable' };
  void box.add(click('x'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  answer = null;
  await vi.advanceTimersByTimeAsync(4_999);
  expect(sent).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(items()).toEqual(['x']);
});

it('are sent at once when the server can be reached again', async () => {
  const box = outbox();
  answer = { code: 'unreachable' };
  void box.add(click('x'));
  await vi.advanceTimersByTimeAsync(GATHER_MS + 60_000);
  answer = null;
  box.flush();
  await vi.advanceTimersByTimeAsync(0);
  expect(items()).toEqual(['x']);
});

it('of an earlier visit keep their ids', async () => {
  answer = { code: 'unreachable' };
  const before = outbox('old');
  void before.add(click('x'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  before.close();
  answer = null;
  outbox('new').flush();
  await vi.advanceTimersByTimeAsync(0);
  expect(sent[0]?.events.map(({ id }) => id)).toEqual(['old-000001']);
});

it('beyond the limit replace the oldest, and are sent in batches', async () => {
  const box = outbox();
  answer = { code: 'unreachable' };
  for (let number = 0; number < QUEUE_LIMIT + 5; number += 1) void box.add(click(number));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  answer = null;
  box.flush();
  await vi.advanceTimersByTimeAsync(0);
  expect(sent).toHaveLength(QUEUE_LIMIT / BATCH);
  expect([items().length, items()[0]]).toEqual([QUEUE_LIMIT, '5']);
});

it('that were reverted before they were sent are not sent', async () => {
  const box = outbox();
  void box.add(click('x'));
  void box.add(click('y'));
  box.removeNewest(click('x'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(items()).toEqual(['y']);
});

it('are queued at once while an earlier request is pending', async () => {
  let go: () => void = () => {};
  const slow = outbox('s', { send: () => new Promise((resolve) => (go = () => resolve(null))) });
  await slow.add(click('x'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  await slow.add(click('y'));
  expect((await storage.unsent(10)).map(({ item }) => item)).toEqual(['x', 'y']);
  go();
});

it('are not sent after a reset', async () => {
  const box = outbox();
  void box.add(click('x'));
  box.forget();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toEqual([]);
});

it('are dropped with an error if the server has no log', async () => {
  const box = outbox();
  answer = { code: 'not_found' };
  void box.add(click('x'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(refused).toEqual(['not_found']);
  expect(await storage.unsent(10)).toEqual([]);
  answer = null;
  void box.add(click('y'));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toEqual([]);
});

it('that the server refuses do not block others', async () => {
  const box = outbox();
  for (let number = 0; number < BATCH; number += 1) void box.add(click(number));
  answer = { code: 'bad_response' };
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(await storage.unsent(10)).toEqual([]);
  answer = null;
  void box.add(click('later'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(items()).toEqual(['later']);
});

it('are sent without the one that the server will never accept', async () => {
  let requests = 0;
  const accepted: string[] = [];
  const box = outbox('s', {
    send: async (_, body) => {
      requests += 1;
      const named = JSON.parse(body).events.map(({ item }: { item: string }) => item);
      if (named.includes('13') || named.includes('77')) throw { code: 'invalid_field' };
      accepted.push(...named);
    },
  });
  const numbers = Array.from({ length: BATCH }, (_, number) => `${number}`);
  for (const number of numbers) void box.add(click(number));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(accepted).toEqual(numbers.filter((number) => number !== '13' && number !== '77'));
  expect(refused).toEqual(['invalid_field', 'invalid_field']);
  expect(await storage.unsent(10)).toEqual([]);
  expect(requests).toBeLessThan(40);
});

it('that are all refused are dropped after few requests', async () => {
  const box = outbox();
  for (let number = 0; number < 5 * BATCH; number += 1) void box.add(click(number));
  answer = { code: 'invalid_request' };
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(await storage.unsent(10)).toEqual([]);
  expect(refused.length).toBeLessThan(20);
});

it('stay queued while the server refuses the key, with one error', async () => {
  const box = outbox();
  answer = { code: 'unauthorized' };
  void box.add(click('x'));
  await vi.advanceTimersByTimeAsync(GATHER_MS + 20_000);
  expect([refused, items()]).toEqual([['unauthorized'], []]);
  answer = null;
  box.flush();
  await vi.advanceTimersByTimeAsync(0);
  expect(items()).toEqual(['x']);
});

it('are neither queued nor sent while the outbox is suspended', async () => {
  const box = outbox();
  void box.add(click('x'));
  box.suspend(true);
  void box.add(click('y'));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(items()).toEqual([]);
  box.suspend(false);
  void box.add(click('z'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(items()).toEqual(['x', 'z']);
});

it('are sent under the name that they were tracked under', async () => {
  const box = outbox();
  void box.add(click('x'));
  session = 'visitor';
  void box.add(click('y'));
  void box.add(click('z'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(sent.map(({ session: name, events }) => [name, events.length])).toEqual([
    ['visit', 1],
    ['visitor', 2],
  ]);
});

it('of the same millisecond keep their order', async () => {
  const box = outbox();
  for (let number = 1; number <= 12; number += 1) void box.add(click(number));
  const queued = await storage.unsent(20);
  const byTimeAndId = [...queued].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  expect(byTimeAndId.map(({ item }) => Number(item))).toEqual(
    [...Array(12).keys()].map((n) => n + 1),
  );
});

it.each([
  ['1970', 5],
  ['the future', Date.UTC(2099, 0)],
  ['no clock', Number.NaN],
])('with a time of %s get the time of sending', async (_, at) => {
  vi.setSystemTime(Date.UTC(2030, 5));
  const right = Date.UTC(2030, 4);
  await storage.queue(
    [
      { ...click('x'), id: 'old-1', at },
      { ...click('y'), id: 'old-2', at: right },
    ],
    QUEUE_LIMIT,
  );
  outbox().flush();
  await vi.advanceTimersByTimeAsync(0);
  expect(sent[0]?.events.map(({ at }) => at)).toEqual([Date.UTC(2030, 5), right]);
});

it('keep their order when the clock is set back', async () => {
  const box = outbox();
  vi.setSystemTime(Date.UTC(2030, 5));
  void box.add(click('x'));
  vi.setSystemTime(Date.UTC(2030, 4));
  void box.add(click('y'));
  const [x, y] = await storage.unsent(2);
  expect(y?.at).toBe(x?.at);
});

describe('when the page is left', () => {
  it('are sent at once, and not again after the response', async () => {
    const box = outbox();
    void box.add(click('x'));
    box.sendLast(true);
    expect(last).toMatchObject([{ session: 'visit', events: [{ id: 's-000001', item: 'x' }] }]);
    box.sendLast(true);
    lastAnswers[0]?.resolve(null);
    await vi.advanceTimersByTimeAsync(GATHER_MS);
    expect([last.length, sent.length]).toEqual([1, 0]);
    expect(await storage.unsent(10)).toEqual([]);
  });

  it('stay in the queue under the same id until the server has accepted them', async () => {
    const box = outbox();
    void box.add(click('x'));
    box.sendLast(true);
    await vi.advanceTimersByTimeAsync(GATHER_MS);
    expect(sent).toEqual([]);
    lastAnswers[0]?.reject(new Error('no network'));
    await vi.advanceTimersByTimeAsync(0);
    expect(sent[0]?.events.map(({ id }) => id)).toEqual(['s-000001']);
  });

  it('are sent once more if the request of the worker may end with the page', async () => {
    const response = held<null>();
    const box = outbox('s', { send: () => response.promise });
    void box.add(click('x'));
    await vi.advanceTimersByTimeAsync(GATHER_MS);
    box.sendLast(false);
    expect(last).toEqual([]);
    box.sendLast(true);
    expect(last).toHaveLength(1);
  });

  it('are not sent by the next page, until it is unlikely that they have arrived', async () => {
    lastSent = new LastSent('scope');
    const before = outbox('left');
    void before.add(click('x'));
    before.sendLast(true);
    before.close();
    const next = outbox('next');
    next.flush();
    void next.add(click('y'));
    await vi.advanceTimersByTimeAsync(GATHER_MS);
    expect(items()).toEqual(['y']);
    await vi.advanceTimersByTimeAsync(HOLD_MS);
    next.flush();
    await vi.advanceTimersByTimeAsync(0);
    expect(items()).toEqual(['y', 'x']);
  });

  it('are sent by the next page if this one has seen the failure', async () => {
    lastSent = new LastSent('scope');
    const before = outbox('left');
    void before.add(click('x'));
    before.sendLast(true);
    before.close();
    lastAnswers[0]?.reject(new Error('no network'));
    await vi.advanceTimersByTimeAsync(0);
    outbox('next').flush();
    await vi.advanceTimersByTimeAsync(0);
    expect(items()).toEqual(['x']);
  });

  it('are sent up to the size that browsers allow', async () => {
    const box = outbox();
    const long = 'i'.repeat(600);
    for (let number = 0; number < 300; number += 1) void box.add(click(`${long}${number}`));
    box.sendLast(true);
    const bytes = last.map((request) => JSON.stringify(request).length);
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(LAST_BYTES);
    expect(last.flatMap(({ events }) => events)[0]?.item).toBe(`${long}0`);
    expect(await storage.unsent(QUEUE_LIMIT)).toHaveLength(300);
  });

  it.each<[string, (box: Outbox) => void | Promise<void>]>([
    [
      'the network is forbidden',
      () => {
        offline = true;
      },
    ],
    ['the consent was withdrawn', (box) => box.suspend(true)],
    ['the session was reset', (box) => box.forget()],
    ['the event was reverted', (box) => box.removeNewest(click('x'))],
    [
      'the server refuses the key',
      async () => {
        answer = { code: 'unauthorized' };
        await vi.advanceTimersByTimeAsync(GATHER_MS);
      },
    ],
  ])('are not sent if %s', async (_, happens) => {
    const box = outbox();
    await box.add(click('x'));
    await happens(box);
    await vi.advanceTimersByTimeAsync(0);
    box.sendLast(true);
    expect(last).toEqual([]);
  });
});
