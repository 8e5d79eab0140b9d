// Requests of the worker other than lists: language models, a changed catalogue, events, and the
// disagreement in shadow mode.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { RecommenderOptions } from '../src/page/index.js';
import type { Fetched } from '../src/shared/generated.js';
import {
  engineOf,
  FakeClient,
  FakeWorker,
  Frames,
  held,
  online,
  open,
  request,
  settle,
  stand,
  update,
} from './stand.js';

beforeEach(() => new Frames().install());
afterEach(() => vi.useRealTimers());

const click = (item: string) => ({ type: 'click', item }) as const;

/** A page's own `fetch` that records its requests. */
function cloud(answer: (path: string) => Response): {
  asked: { path: string; body: unknown }[];
  fetch: typeof fetch;
} {
  const asked: { path: string; body: unknown }[] = [];
  return {
    asked,
    fetch: async (address, init) => {
      const path = new URL(String(address)).pathname;
      asked.push({ path, body: init?.body == null ? null : JSON.parse(String(init.body)) });
      return answer(path);
    },
  };
}

const json = (value: unknown): Response => new Response(JSON.stringify(value));

it('the server’s language models are listed', async () => {
  const { asked, fetch } = cloud(() => json({ models: [{ name: 'small', ready: true }] }));
  const { recommender } = await stand({ fetch });
  expect(await recommender.models()).toEqual([{ name: 'small', ready: true }]);
  expect(asked).toEqual([{ path: '/v1/models', body: null }]);
  expect((await recommender.ledger()).entries).toMatchObject([
    { method: 'GET', url: 'http://shop.example/v1/models', status: 200 },
  ]);
});

it.each([
  [404, 'not_found'],
  [429, 'overloaded'],
  [500, 'internal'],
])('a server that answers %i is an error of code %s', async (status, code) => {
  const { fetch } = cloud(() => Response.json({ detail: 'why', code }, { status }));
  const { recommender } = await stand({ fetch });
  await expect(recommender.models()).rejects.toMatchObject({
    code,
    message: expect.stringContaining('why'),
  });
});

it('an invalid response is an error', async () => {
  const { fetch } = cloud(() => new Response('<html>'));
  const { recommender } = await stand({ fetch });
  await expect(recommender.models()).rejects.toMatchObject({ code: 'bad_response' });
});

it('a model that the server does not have is refused, and nothing changes', async () => {
  const { asked, fetch } = cloud(() => json({ models: [{ name: 'small', ready: true }] }));
  const { client, recommender } = await stand({ fetch });
  await expect(recommender.useModel('nope')).rejects.toMatchObject({
    name: 'UsageError',
    code: 'invalid_argument',
    message: "name: expected one of 'small', found 'nope'",
  });
  expect(asked).toEqual([{ path: '/v1/models', body: null }]);
  expect([client.calls, recommender.state().model]).toEqual([[], null]);
});

it('any model is accepted while the server cannot be reached', async () => {
  const { fetch } = cloud(() => new Response('', { status: 500 }));
  const { client, recommender } = await stand({ fetch });
  await recommender.useModel('large');
  expect(client.calls[0]).toBe('model large');
});

it('another model is called at once, although the rankings agree', async () => {
  const { client, recommender } = await stand();
  const shown = await recommender.useModel('large');
  await settle();
  expect(client.calls).toEqual(['model large', 'recommend', 'request']);
  expect(client.reasons).toEqual(['the page selected large']);
  expect(shown.items).toHaveLength(4);
  client.requests[0]?.resolve(update([], { model: 'large' }));
  await settle();
  await recommender.track(click('x'));
  expect(client.requests).toHaveLength(1);
  expect(recommender.state().model).toBe('large');
});

it('another model is called again until its list has arrived', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { client, recommender } = await stand();
  await recommender.useModel('large');
  await settle();
  client.connection = { ...online, state: 'failing', code: 'timeout', retryInMs: 300 };
  client.requests[0]?.resolve(update([], { connection: client.connection }));
  await settle();
  client.connection = online;
  vi.advanceTimersByTime(300);
  await settle();
  expect(client.requests).toHaveLength(2);
});

it('a model selected in the options or later is that of a new worker', async () => {
  const { clients, workers, recommender } = await stand({ model: 'large' });
  workers[0]?.crash({ message: 'killed' });
  await settle();
  expect(clients[1]?.calls[0]).toBe('model large');
  await recommender.useModel(null);
  workers[1]?.crash({ message: 'killed' });
  await settle();
  expect(clients[2]?.calls).not.toContain('model large');
});

it('a changed catalogue is loaded, and the session continues with its history', async () => {
  const old = new FakeClient();
  const next = new FakeClient();
  const worker = new FakeWorker(async () => engineOf(old, { reopen: async () => next }));
  const recommender = await open(worker, { model: 'large' });
  const causes: string[] = [];
  recommender.on('update', ({ cause }) => causes.push(cause));
  old.decision = request;
  await recommender.track(click('x'));
  await settle();
  const connection = { ...online, state: 'failing', code: 'catalogue_changed', retryInMs: 9_000 };
  next.decision = request;
  old.requests[0]?.resolve(update(['x'], { connection: connection as never }));
  await settle();
  expect(old.calls.at(-1)).toBe('free');
  expect(next.calls).toEqual(['model large', 'restore', 'recommend', 'request']);
  expect(causes).toEqual(['event', 'request', 'catalogue']);
  // A server that contradicts itself does not cause an endless loop.
  next.requests[0]?.resolve(update(['x'], { connection: connection as never }));
  await settle();
  expect(next.calls).not.toContain('free');
  expect((await recommender.track(click('y'))).history).toEqual(['x', 'y']);
});

it('a changed catalogue is noticed by a request for rows, too', async () => {
  const old = new FakeClient();
  const next = new FakeClient();
  const worker = new FakeWorker(async () => engineOf(old, { reopen: async () => next }));
  const recommender = await open(worker);
  const seen: string[] = [];
  recommender.on('update', ({ cause }) => seen.push(cause));
  recommender.on('error', ({ code }) => seen.push(code));
  const fetched = held<Fetched>();
  old.missing = [fetched];
  await recommender.track(click('x'));
  const errors = [{ code: 'catalogue_changed', message: 'rows of another catalogue' } as const];
  fetched.resolve({ update: null, rows: false, errors, more: false, failed: false });
  await settle();
  expect(old.calls.at(-1)).toBe('free');
  expect(next.calls).toEqual(['restore', 'recommend']);
  expect(seen).toEqual(['event', 'catalogue']);
  expect(recommender.state().history).toEqual(['x']);
});

it('in shadow mode only the disagreement leaves the device', async () => {
  const { asked, fetch } = cloud(() => new Response(null, { status: 204 }));
  const { client, recommender } = await stand({ shadow: true, fetch });
  client.decision = request;
  await recommender.track(click('x'));
  await recommender.recommend();
  await settle();
  expect(client.requests).toEqual([]);
  expect(await recommender.compare(['a', 'b'])).toBe(0.4567);
  expect(asked).toEqual([{ path: '/v1/disagreements', body: { disagreement: 0.46 } }]);
});

it('without a disagreement nothing is sent', async () => {
  const { asked, fetch } = cloud(() => new Response(null, { status: 204 }));
  const { recommender } = await stand({ shadow: true, fetch });
  expect(await recommender.compare(['a', 'b'])).toBeNull();
  await recommender.setOffline(true);
  await recommender.track(click('x'));
  expect(await recommender.compare(['a', 'b'])).toBe(0.4567);
  expect(asked).toEqual([]);
});

it('without shadow mode a comparison stays on the device', async () => {
  const { asked, fetch } = cloud(() => new Response(null, { status: 204 }));
  const { recommender } = await stand({ fetch });
  await recommender.track(click('x'));
  await recommender.compare(['a', 'b']);
  expect(asked).toEqual([]);
});

it.each<[string, Partial<RecommenderOptions>, number]>([
  ['are sent with the option', { events: true }, 1],
  ['stay on the device without it', {}, 0],
])('events %s', async (_, options, requests) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { asked, fetch } = cloud(() => new Response(null, { status: 204 }));
  const { recommender } = await stand({ ...options, fetch });
  await settle();
  await recommender.track(click('x'));
  await settle();
  vi.advanceTimersByTime(2_000);
  await settle();
  expect(asked).toHaveLength(requests);
  if (requests > 0) {
    expect(asked[0]).toMatchObject({
      path: '/v1/events',
      body: { events: [{ type: 'click', item: 'x' }] },
    });
  }
});

it('offline by wish, nothing of all this is asked', async () => {
  const { asked, fetch } = cloud(() => json({ models: [] }));
  const { recommender } = await stand({ fetch });
  await recommender.setOffline(true);
  await expect(recommender.models()).rejects.toMatchObject({ code: 'unreachable' });
  expect(asked).toEqual([]);
});
