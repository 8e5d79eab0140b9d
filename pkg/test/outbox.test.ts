// The queue of events for the server's log: order, retries, limits.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { BATCH, GATHER_MS, Outbox, QUEUE_LIMIT } from '../src/page/outbox.js';
import { MemoryStorage } from '../src/page/storage.js';

interface Sent {
  session: string;
  events: { id: string; type: string; item: string; at: number }[];
}

let storage: MemoryStorage;
let sent: Sent[];
/** The server's response to the next requests; `null`: success. */
let answer: { code: string } | null;
let refused: string[];

beforeEach(() => {
  vi.useFakeTimers();
  storage = new MemoryStorage();
  sent = [];
  answer = null;
  refused = [];
});
afterEach(() => vi.useRealTimers());

const outbox = (session = 's'): Outbox =>
  new Outbox(session, {
    storage: () => storage,
    send: async (path, body) => {
      expect(path).toBe('/v1/events');
      if (answer !== null) throw answer;
      sent.push(JSON.parse(body));
    },
    refused: ({ code }) => refused.push(code),
  });
const click = (item: string | number) => ({ type: 'click', item: `${item}` }) as const;
const items = (): string[] => sent.flatMap(({ events }) => events.map(({ item }) => item));

it('are sent together, in their order, each with its own id', async () => {
  const box = outbox();
  void box.add(click('x'));
  void box.add({ type: 'view', item: 'y' });
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(sent).toHaveLength(1);
  expect(sent[0]?.session).toBe('s');
  expect(sent[0]?.events.map(({ id, type, item }) => [id, type, item])).toEqual([
    ['s-1', 'click', 'x'],
    ['s-2', 'view', 'y'],
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
  expect(sent[0]?.events.map(({ id }) => id)).toEqual(['old-1']);
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
  box.takeBack(click('x'));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(items()).toEqual(['y']);
});

it('are queued at once while an earlier request is pending', async () => {
  let go: () => void = () => {};
  const slow = new Outbox('s', {
    storage: () => storage,
    send: () => new Promise((resolve) => (go = () => resolve(null))),
    refused: () => {},
  });
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
