// Whether the server answers, from the results of requests.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Reachability, STORED_COPY } from '../src/reachability.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function watched(answer: () => Promise<Response>) {
  const results: boolean[] = [];
  const send = vi.fn<typeof fetch>(answer);
  const options = { asks: true, answer };
  send.mockImplementation(() => options.answer());
  const reachability = new Reachability({
    send,
    address: './v1/status',
    mayAsk: () => options.asks,
    onResult: (reached) => results.push(reached),
  });
  return { options, reachability, results, send };
}

const answers = async (): Promise<Response> => new Response('{}');
const fails = async (): Promise<Response> => {
  throw new TypeError('Failed to fetch');
};

it('takes an answer, also an error of the server, as reached', async () => {
  const { options, reachability, results } = watched(answers);
  await reachability.fetch('http://s/v1/manifest');
  options.answer = async () => new Response('', { status: 503 });
  await reachability.fetch('http://s/v1/candidates');
  expect(results).toEqual([true, true]);
});

it('takes neither a failed request nor a stored copy as reached', async () => {
  const { options, reachability, results } = watched(fails);
  await expect(reachability.fetch('./v1/candidates')).rejects.toThrow('Failed to fetch');
  options.answer = async () => new Response('{}', { headers: { [STORED_COPY]: '1' } });
  await reachability.fetch('./v1/manifest');
  expect(results).toEqual([false, false]);
});

it('concludes nothing from files of the release and from requests that were given up', async () => {
  const { options, reachability, results } = watched(answers);
  await reachability.fetch('./artifacts/abc/items.json');
  options.answer = fails;
  const signal = AbortSignal.abort();
  await expect(reachability.fetch('./v1/candidates', { signal })).rejects.toThrow();
  expect(results).toEqual([]);
});

it('tries the server again until it answers', async () => {
  const { options, reachability, results, send } = watched(fails);
  await reachability.check();
  await vi.advanceTimersByTimeAsync(10_000);
  options.answer = answers;
  await vi.advanceTimersByTimeAsync(10_000);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(results).toEqual([false, false, true]);
  expect(send).toHaveBeenLastCalledWith('./v1/status', { cache: 'no-store' });
});

it('sends nothing in airplane mode, and goes on after it', async () => {
  const { options, reachability, results, send } = watched(fails);
  await reachability.check();
  options.asks = false;
  await reachability.check();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(send).toHaveBeenCalledTimes(1);
  options.asks = true;
  options.answer = answers;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(results).toEqual([false, true]);
});
