// The worker: learning after the paint, requests beside clicks, retries, missing rows.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Fetched } from '../src/shared/generated.js';
import { Frames, held, keep, online, request, type Stand, settle, stand, update } from './stand.js';

let frames: Frames;
beforeEach(() => {
  frames = new Frames();
  frames.install();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => vi.useRealTimers());

async function pass(milliseconds: number): Promise<void> {
  vi.advanceTimersByTime(milliseconds);
  await settle();
}

describe('learning', () => {
  it('waits for the paint of the click', async () => {
    const { client, recommender } = await stand();
    const steps: number[] = [];
    recommender.on('learn', ({ step }) => steps.push(step));
    await recommender.track({ type: 'click', item: 'x' });
    await settle();
    expect(client.calls).toEqual(['track x']);
    frames.paint();
    await settle();
    // The second call finds nothing more to learn from.
    expect(client.calls).toEqual(['track x', 'learn', 'learn']);
    expect(steps).toEqual([1]);
    expect(recommender.state().learned?.lossAfter).toBe(1);
  });

  it('takes one step per click of a burst, after the last paint', async () => {
    const { client, recommender } = await stand();
    const steps: number[] = [];
    recommender.on('learn', ({ step }) => steps.push(step));
    await recommender.track({ type: 'click', item: 'x' });
    // Painted is only the first of the two updates when its word reaches the worker.
    const second = recommender.track({ type: 'click', item: 'y' });
    frames.paint();
    await second;
    await settle();
    expect(client.calls).toEqual(['track x', 'track y']);
    frames.paint();
    await settle();
    expect(client.calls.slice(2)).toEqual(['learn', 'learn', 'learn']);
    expect(steps).toEqual([1, 2]);
    expect(client.overlaps).toBe(0);
  });

  it('also happens in a hidden tab, which has no frames', async () => {
    const { client, recommender } = await stand();
    frames.hide();
    await recommender.track({ type: 'click', item: 'x' });
    await pass(249);
    expect(client.calls).toEqual(['track x']);
    await pass(1);
    expect(client.calls).toContain('learn');
  });

  it('waits for slow frames in a visible tab, until it is hidden', async () => {
    const { client, recommender } = await stand();
    await recommender.track({ type: 'click', item: 'x' });
    await pass(5_000);
    frames.hide();
    await pass(200);
    frames.hide(false);
    await pass(5_000);
    expect(client.calls).toEqual(['track x']);
    frames.hide();
    await pass(250);
    expect(client.calls).toContain('learn');
  });

  it('lets a click pass between two steps', async () => {
    const { client, recommender } = await stand();
    await recommender.track({ type: 'click', item: 'x' });
    await recommender.track({ type: 'click', item: 'y' });
    const stop = recommender.on('learn', () => {
      stop();
      void recommender.track({ type: 'view', item: 'z' });
    });
    frames.paint();
    await settle();
    expect(client.calls.indexOf('track z')).toBeGreaterThan(client.calls.indexOf('learn'));
    // What was learnt after the view was learnt after its paint.
    const learnt = client.calls.length;
    frames.paint();
    await settle();
    expect(client.calls.slice(learnt).every((call) => call === 'learn')).toBe(true);
    expect(client.overlaps).toBe(0);
  });

  it('does not follow a view or a reset', async () => {
    const { client, recommender } = await stand();
    await recommender.track({ type: 'view', item: 'x' });
    frames.paint();
    await settle();
    await recommender.track({ type: 'click', item: 'y' });
    await recommender.reset();
    frames.paint();
    await settle();
    expect(client.calls).not.toContain('learn');
  });

  it('that fails is an error event, and clicks still work', async () => {
    const { client, recommender } = await stand();
    client.learnFails = { code: 'device_lost', message: 'the GPU went away' };
    const codes: string[] = [];
    recommender.on('error', ({ code }) => codes.push(code));
    await recommender.track({ type: 'click', item: 'x' });
    frames.paint();
    await settle();
    expect(codes).toEqual(['device_lost']);
    await recommender.track({ type: 'click', item: 'y' });
  });
});

describe('a request', () => {
  it('does not delay clicks, and causes a second update', async () => {
    const { client, recommender } = await stand();
    const causes: string[] = [];
    recommender.on('update', ({ cause }) => causes.push(cause));
    client.decision = request;
    await recommender.track({ type: 'click', item: 'x' });
    await recommender.track({ type: 'click', item: 'y' });
    await settle();
    expect(client.requests).toHaveLength(1);
    expect(causes).toEqual(['event', 'event']);
    client.requests[0]?.resolve(update(['x', 'y']));
    await settle();
    expect(causes).toEqual(['event', 'event', 'request']);
    expect(client.overlaps).toBe(0);
  });

  it('is repeated only after new events', async () => {
    const { client, recommender } = await stand();
    client.decision = request;
    await recommender.track({ type: 'click', item: 'x' });
    await settle();
    client.requests[0]?.resolve(update(['x'], { decision: request }));
    await settle();
    expect(client.requests).toHaveLength(1);

    await recommender.track({ type: 'click', item: 'y' });
    await settle();
    await recommender.track({ type: 'click', item: 'z' });
    client.requests[1]?.resolve(update(['x', 'y', 'z'], { decision: request }));
    await settle();
    expect(client.requests).toHaveLength(3);
  });

  it('is made by recommend without a list', async () => {
    const { client, recommender } = await stand();
    client.decision = request;
    void recommender.recommend();
    await settle();
    expect(client.requests).toHaveLength(1);
  });

  it('from before a reset changes nothing after it', async () => {
    const { client, recommender } = await stand();
    client.decision = request;
    await recommender.track({ type: 'click', item: 'x' });
    await settle();
    client.decision = { ...request, action: 'keep' };
    await recommender.reset();
    expect(client.aborted).toBe(1);
    client.requests[0]?.resolve(update(['x']));
    await settle();
    expect(recommender.state().history).toEqual([]);
  });

  it('continues after a refused import, and is dropped by a successful one', async () => {
    const { client, recommender } = await stand();
    const causes: string[] = [];
    recommender.on('update', ({ cause }) => causes.push(cause));
    client.decision = request;
    await recommender.track({ type: 'click', item: 'x' });
    await settle();
    const refused = recommender.importPersonalData(new Uint8Array());
    await expect(refused).rejects.toMatchObject({ code: 'integrity' });
    expect(client.aborted).toBe(0);
    client.decision = keep;
    client.requests[0]?.resolve(update(['x']));
    await settle();
    expect(causes).toEqual(['event', 'request']);

    client.decision = request;
    await recommender.track({ type: 'click', item: 'y' });
    await settle();
    client.decision = keep;
    await recommender.importPersonalData(new TextEncoder().encode('z'));
    client.requests[1]?.resolve(update(['x', 'y']));
    await settle();
    expect(causes).toEqual(['event', 'request', 'event', 'import']);
    expect(recommender.state().history).toEqual(['z']);
  });

  it('dropped before its turn is not made', async () => {
    const { client, recommender } = await stand();
    client.decision = request;
    const busy = held<void>();
    client.slow.set('track y', busy.promise);
    void recommender.track({ type: 'click', item: 'x' });
    const second = recommender.track({ type: 'click', item: 'y' });
    await settle();
    // The request that x led to waits behind y.
    const switched = recommender.setOffline(true);
    await settle();
    client.decision = keep;
    busy.resolve();
    await Promise.all([second, switched]);
    await settle();
    expect(client.calls).not.toContain('request');
  });

  it('and its cause are reported as decisions, each once', async () => {
    const { client, recommender } = await stand();
    const actions: string[] = [];
    recommender.on('decision', ({ action }) => actions.push(action));
    client.decision = request;
    await recommender.recommend();
    await settle();
    // Nothing new happened: the answer's own decision is not acted on.
    client.requests[0]?.resolve(update([], { decision: request }));
    await settle();
    expect(actions).toEqual(['request']);
    await recommender.track({ type: 'click', item: 'x' });
    await settle();
    client.decision = keep;
    await recommender.track({ type: 'click', item: 'y' });
    client.requests[1]?.resolve(update(['x', 'y'], { decision: request }));
    await settle();
    expect(actions).toEqual(['request', 'request', 'keep', 'request']);
  });

  it('that throws is an error event and not a hang', async () => {
    const { client, recommender } = await stand();
    const failed = held<string>();
    recommender.on('error', ({ code }) => failed.resolve(code));
    client.decision = request;
    await recommender.track({ type: 'click', item: 'x' });
    await settle();
    client.requests[0]?.reject({ code: 'bad_response', message: 'not JSON' });
    expect(await failed.promise).toBe('bad_response');
    await recommender.track({ type: 'click', item: 'y' });
    await settle();
    expect(client.requests).toHaveLength(2);
  });
});

describe('a failing server', () => {
  it('is called again once after the back-off', async () => {
    const { client, recommender } = await stand();
    const states: string[] = [];
    recommender.on('offline', ({ state }) => states.push(state));
    client.decision = request;
    await recommender.track({ type: 'click', item: 'x' });
    await settle();
    client.connection = { ...online, state: 'failing', code: 'unreachable', retryInMs: 300 };
    client.requests[0]?.resolve(
      update(['x'], { decision: request, connection: client.connection }),
    );
    await settle();
    await recommender.track({ type: 'click', item: 'y' });
    await pass(290);
    expect(client.requests).toHaveLength(1);
    await pass(20);
    expect(client.requests).toHaveLength(2);
    client.requests[1]?.resolve(update(['x', 'y']));
    await settle();
    expect(states).toEqual(['failing', 'online']);
  });

  it('is called again when the budget has been refilled', async () => {
    const { client, recommender } = await stand();
    client.connection = { ...online, state: 'failing', code: 'unreachable' };
    client.decision = { ...keep, code: 'budget_spent', waitMs: 10_000 };
    await recommender.track({ type: 'click', item: 'x' });
    client.decision = request;
    await pass(9_990);
    expect(client.requests).toHaveLength(0);
    await pass(10);
    expect(client.requests).toHaveLength(1);
  });

  it('is called again after 250 ms at the earliest', async () => {
    const { client, recommender } = await stand();
    client.connection = { ...online, state: 'failing', code: 'unreachable' };
    client.decision = { ...keep, code: 'budget_spent', waitMs: 1 };
    await recommender.track({ type: 'click', item: 'x' });
    client.decision = request;
    await pass(249);
    expect(client.requests).toHaveLength(0);
    await pass(1);
    expect(client.requests).toHaveLength(1);
  });

  it.each([
    ['called again without a list', [], 1_000, 1],
    ['not called while a list is in use', null, 1_000, 0],
    ['not called if the budget is never refilled', [], Number.POSITIVE_INFINITY, 0],
  ])('that answers, with a spent budget, is %s', async (_, items, waitMs, requests) => {
    const { client, recommender } = await stand();
    client.items = items;
    client.decision = { ...keep, code: 'budget_spent', waitMs };
    await recommender.track({ type: 'click', item: 'x' });
    client.decision = request;
    await pass(1_000);
    expect(client.requests).toHaveLength(requests);
  });

  it('is not called while the network is forbidden', async () => {
    const { client, recommender } = await stand();
    client.connection = { ...online, state: 'failing', code: 'timeout', retryInMs: 300 };
    await recommender.recommend();
    await recommender.setOffline(true);
    expect(recommender.state().connection.state).toBe('offline');
    await pass(400);
    expect(client.calls).toEqual(['recommend', 'offline true', 'recommend']);
  });
});

describe('a failing server of which no list is wanted', () => {
  const failing = { ...online, state: 'failing', code: 'not_ready', retryInMs: null } as const;

  /**
   * The server failed, and the page has clicks after which its list is good enough. `answers`: the
   * statuses of its answers to probes, one after the other; the last one for ever.
   */
  async function failed(answers: (number | 'loading')[], options = {}) {
    const asked: string[] = [];
    let answer: number | 'loading' = 503;
    const fetch = async (url: string | URL | Request): Promise<Response> => {
      const { pathname } = new URL(String(url));
      // A service worker has the models, whether the server answers or not.
      if (pathname === '/v1/models') {
        return Response.json({ models: [{ name: 'small', ready: answer !== 'loading' }] });
      }
      asked.push(pathname);
      answer = (answers.length > 1 ? answers.shift() : answers[0]) ?? 503;
      return answer === 200 || answer === 'loading'
        ? Response.json({ rows_hash: 'h', rows: [], unknown: 0 })
        : Response.json({ code: 'not_ready', detail: 'why' }, { status: answer });
    };
    const made = await stand({ fetch, ...options });
    const states: string[] = [];
    made.recommender.on('offline', ({ state }) => states.push(state));
    made.client.connection = { ...failing, retryInMs: 300 };
    await made.recommender.track({ type: 'click', item: 'x' });
    await settle();
    return { ...made, asked, states };
  }

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });

  it('is asked once after the back-off, and the connection is online again', async () => {
    const { client, recommender, asked, states } = await failed([200]);
    await pass(290);
    expect(asked).toEqual([]);
    client.connection = failing;
    await pass(20);
    expect(asked).toEqual(['/v1/rows']);
    expect(recommender.state().connection.state).toBe('online');
    expect(states).toEqual(['failing', 'online']);
    await pass(600_000);
    expect([asked.length, client.requests.length]).toEqual([1, 0]);
    expect((await recommender.ledger()).entries).toMatchObject([
      { method: 'POST', body: '{"items":[]}' },
      { method: 'GET', why: 'whether the server answers again after a failure' },
    ]);
  });

  it('is asked again with increasing delays, which the state has', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    const { client, recommender, asked } = await failed([503, 'loading', 500, 200]);
    const retryInMs = () => recommender.state().connection.retryInMs;
    client.connection = failing;
    await pass(300);
    expect([asked.length, retryInMs()]).toEqual([1, 1_000]);
    // Clicks meanwhile do not ask earlier.
    await recommender.track({ type: 'click', item: 'y' });
    await pass(999);
    expect(asked).toHaveLength(1);
    await pass(1);
    expect([asked.length, retryInMs()]).toEqual([2, 2_000]);
    await pass(2_000);
    expect([asked.length, retryInMs()]).toEqual([3, 4_000]);
    await pass(4_000);
    expect([asked.length, recommender.state().connection.state]).toEqual([4, 'online']);
    vi.mocked(Math.random).mockRestore();
  });

  it('is not asked after more than a minute', async () => {
    const { client, asked } = await failed([503]);
    client.connection = failing;
    await pass(300);
    for (let minute = 0; minute < 20; minute += 1) await pass(60_000);
    expect(asked.length).toBeGreaterThan(20);
  });

  it('is not asked while a list is requested, which tells as much', async () => {
    const { client, recommender, asked } = await failed([503, 200]);
    client.connection = failing;
    await pass(300);
    client.decision = request;
    await recommender.track({ type: 'click', item: 'y' });
    await settle();
    expect([asked.length, client.requests.length]).toEqual([1, 1]);
    await pass(60_000);
    expect(asked).toHaveLength(1);
  });

  it('is not asked while the network is forbidden, nor is a late answer heard', async () => {
    const answer = held<Response>();
    const { client, recommender, states } = await failed([200], { fetch: () => answer.promise });
    client.connection = failing;
    await pass(300);
    await recommender.setOffline(true);
    answer.resolve(Response.json({ models: [{ name: 'small', ready: true }] }));
    await pass(60_000);
    expect(client.calls).not.toContain('offline false');
    expect(states).toEqual(['failing', 'offline']);
  });

  it('is not asked if it has refused the request: that failure is not over', async () => {
    const { client, asked } = await failed([200]);
    client.connection = { ...failing, code: 'catalogue_changed' };
    await pass(60_000);
    expect(asked).toEqual([]);
  });

  it('answers also if it refuses the probe', async () => {
    const { client, recommender } = await failed([400]);
    client.connection = failing;
    await pass(300);
    expect(recommender.state().connection.state).toBe('online');
  });

  it('is asked for the selected model', async () => {
    const { client, recommender, asked } = await failed([200], { model: 'large' });
    client.connection = failing;
    await pass(300);
    expect([asked.length, recommender.state().connection.state]).toEqual([1, 'failing']);
  });
});

describe('a request that the server refuses as invalid', () => {
  const refused = (message: string) =>
    ({ ...online, state: 'failing', code: 'invalid_field', message, retryInMs: 300 }) as const;

  /** The server refuses the newest request. */
  async function refuse({ client }: Stand, message = 'model: expected one of `small`') {
    client.connection = refused(message);
    client.requests.at(-1)?.resolve(update([], { items: [], connection: client.connection }));
    await settle();
  }

  async function refusedStand(): Promise<Stand & { errors: string[] }> {
    const made = await stand({ model: 'large' });
    const errors: string[] = [];
    made.recommender.on('error', ({ code, message }) => errors.push(`${code} ${message}`));
    made.client.items = [];
    made.client.decision = request;
    await made.recommender.track({ type: 'click', item: 'x' });
    await settle();
    await refuse(made);
    return { ...made, errors };
  }

  it('is an error event, and is not tried again by itself', async () => {
    const { client, recommender, errors } = await refusedStand();
    await pass(60_000);
    await recommender.recommend();
    await pass(60_000);
    expect(client.requests).toHaveLength(1);
    expect(errors).toEqual(['invalid_field model: expected one of `small`']);
  });

  it('is made once per event, and the same refusal is reported once', async () => {
    const made = await refusedStand();
    for (const requests of [2, 3]) {
      await made.recommender.track({ type: 'click', item: 'y' });
      await settle();
      expect(made.client.requests).toHaveLength(requests);
      await refuse(made);
      await pass(60_000);
    }
    expect(made.client.requests).toHaveLength(3);
    expect(made.errors).toHaveLength(1);
  });

  it('is made again for another model, and reported again after a success', async () => {
    const made = await refusedStand();
    const { client, recommender, errors } = made;
    await recommender.useModel(null);
    await settle();
    expect(client.requests).toHaveLength(2);
    client.connection = online;
    client.requests[1]?.resolve(update(['x']));
    await settle();
    await recommender.track({ type: 'click', item: 'y' });
    await settle();
    await refuse(made);
    expect(errors).toHaveLength(2);
  });
});

describe('the first recommend', () => {
  it('waits for the list if there is nothing to show', async () => {
    const { client, recommender } = await stand();
    client.items = [];
    client.decision = request;
    let shown: string[] | null = null;
    void recommender.recommend().then(({ items }) => {
      shown = items.map(({ item }) => item);
    });
    await settle();
    expect(shown).toBeNull();
    client.items = null;
    client.decision = keep;
    client.requests[0]?.resolve(update());
    await settle();
    expect(shown).toEqual(['a', 'b', 'c', 'd']);
  });

  it('does not wait for the list if the device has something to show', async () => {
    const { client, recommender } = await stand();
    client.decision = request;
    expect((await recommender.recommend()).items).toHaveLength(4);
    await settle();
    expect(client.requests).toHaveLength(1);
  });

  it('ends without items if the request fails, and has the cause', async () => {
    const { client, recommender } = await stand();
    client.items = [];
    client.decision = request;
    const shown = recommender.recommend();
    await settle();
    client.decision = keep;
    client.connection = { ...online, state: 'failing', code: 'timeout', retryInMs: 300 };
    client.requests[0]?.resolve(update([], { items: [], connection: client.connection }));
    expect(await shown).toMatchObject({ items: [], connection: { code: 'timeout' } });
  });
});

describe('missing rows and cells', () => {
  it('are fetched after a click, without delaying the next one', async () => {
    const { client, recommender } = await stand();
    const causes: string[] = [];
    recommender.on('update', ({ cause }) => causes.push(cause));
    const fetched = held<Fetched>();
    client.missing = [fetched];
    await recommender.track({ type: 'click', item: 'x' });
    await recommender.track({ type: 'click', item: 'y' });
    const before = client.fetches;
    fetched.resolve({ update: update(), rows: false, errors: [], more: false, failed: false });
    await settle();
    expect(causes).toEqual(['event', 'event', 'search']);
    // Once more for the click in the meantime, and not for the update itself.
    expect(client.fetches).toBe(before + 1);
  });

  it('that cannot be used are error events, and the session continues', async () => {
    const { client, recommender } = await stand();
    const codes: string[] = [];
    recommender.on('error', ({ code }) => codes.push(code));
    const errors = [{ code: 'integrity', message: 'cells/ab is damaged' } as const];
    const fetched = held<Fetched>();
    client.missing = [fetched];
    await recommender.track({ type: 'click', item: 'x' });
    fetched.resolve({ update: null, rows: false, errors, more: false, failed: false });
    await settle();
    expect(codes).toEqual(['integrity']);
    expect((await recommender.track({ type: 'click', item: 'y' })).items).toHaveLength(4);
  });

  it('that the server is not reached for are a failing connection', async () => {
    const { client, recommender } = await stand();
    const states: string[] = [];
    const causes: string[] = [];
    recommender.on('offline', ({ state }) => states.push(state));
    recommender.on('update', ({ cause }) => causes.push(cause));
    const fetched = held<Fetched>();
    client.missing = [fetched];
    await recommender.track({ type: 'click', item: 'x' });
    client.connection = { ...online, state: 'failing', code: 'unreachable', retryInMs: 500 };
    fetched.resolve({ update: null, rows: false, errors: [], more: false, failed: true });
    await settle();
    expect([states, causes]).toEqual([['failing'], ['event', 'connection']]);
    expect(recommender.state().connection.state).toBe('failing');
  });

  it('that a selection waits for are not requested twice', async () => {
    const { client, recommender } = await stand();
    const fetched = held<Fetched>();
    client.missing = [fetched];
    await recommender.track({ type: 'click', item: 'x' });
    const selection = recommender.recommend({ k: 9 });
    await settle();
    expect(client.calls).not.toContain('further');
    client.catalogue = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
    fetched.resolve({ update: update(), rows: false, errors: [], more: false, failed: false });
    expect((await selection).items).toHaveLength(9);
    expect(client.calls).not.toContain('further');
  });

  it('that arrive during a ranking are in the selection', async () => {
    const { client, recommender } = await stand();
    const fetched = held<Fetched>();
    client.missing = [fetched];
    client.exhausted = false;
    await recommender.track({ type: 'click', item: 'x' });
    const rank = client.rankDeeper.bind(client);
    client.rankDeeper = async (k) => {
      client.rankDeeper = rank;
      const ranking = await rank(k);
      client.catalogue = [...'abcdefghi'];
      fetched.resolve({ update: update(), rows: false, errors: [], more: false, failed: false });
      await settle();
      return ranking;
    };
    expect((await recommender.recommend({ k: 9 })).items).toHaveLength(9);
    expect(client.calls).not.toContain('further');
  });

  it.each([
    ['let clicks be learnt from that lacked a row', true],
    ['without rows of clicked items cause no learning step', false],
  ])('%s', async (_, rows) => {
    const { client, recommender } = await stand();
    const fetched = held<Fetched>();
    client.missing = [fetched];
    await recommender.track({ type: 'view', item: 'x' });
    fetched.resolve({ update: update(), rows, errors: [], more: false, failed: false });
    await settle();
    expect(client.calls).not.toContain('learn');
    frames.paint();
    await settle();
    expect(client.calls.includes('learn')).toBe(rows);
  });
});

it('available and excluded items are those of a new worker, too', async () => {
  const { clients, workers, recommender } = await stand();
  await recommender.setAvailable(['a', 'b']);
  await recommender.setExcluded(['b']);
  workers[0]?.crash({ message: 'killed' });
  await settle();
  expect(clients[1]?.calls.slice(0, 2)).toEqual(['available a,b', 'excluded b false']);
  await recommender.setAvailable(null);
  workers[1]?.crash({ message: 'killed' });
  await settle();
  expect(clients[2]?.calls[0]).toBe('excluded b false');
});
