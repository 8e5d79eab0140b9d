// The worker's own doings: learning after the paint, requests beside clicks, back-off.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Frames, held, keep, online, request, settle, stand, update } from './stand.js';

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

  it('takes a step for each click of a burst, after its last paint', async () => {
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

  it('happens in a hidden tab too, where no frame comes', async () => {
    const { client, recommender } = await stand();
    frames.hide();
    await recommender.track({ type: 'click', item: 'x' });
    await pass(249);
    expect(client.calls).toEqual(['track x']);
    await pass(1);
    expect(client.calls).toContain('learn');
  });

  it('waits for slow frames in a tab that is shown, until it is hidden', async () => {
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

  it('gives way to a click that comes between two steps', async () => {
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

  it('is not owed after a view, nor after a reset', async () => {
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

  it('that fails is an error event, and clicks go on', async () => {
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
  it('does not hold up clicks, and brings a second update', async () => {
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

  it('is not made again for the same events, but is for new ones', async () => {
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

  it('is made by recommend when there is no list yet', async () => {
    const { client, recommender } = await stand();
    client.decision = request;
    await recommender.recommend();
    await settle();
    expect(client.requests).toHaveLength(1);
  });

  it('of before a reset changes nothing after it', async () => {
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

  it('goes on when an import is refused, and is dropped when one succeeds', async () => {
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

  it('given up before its turn is not made', async () => {
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

  it('and what led to it are told as decisions, each once', async () => {
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
  it('is left alone until the back-off is over, then asked once', async () => {
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

  it('is tried again when the budget has filled up, though no back-off is left', async () => {
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

  it('is tried no sooner than after 250 ms', async () => {
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
    ['asked for by itself without a list', [], 1_000, 1],
    ['left alone while a list is in use', null, 1_000, 0],
    ['not waited for if the budget never fills up', [], Number.POSITIVE_INFINITY, 0],
  ])('that answers, but with the budget spent, is %s', async (_, items, waitMs, requests) => {
    const { client, recommender } = await stand();
    client.items = items;
    client.decision = { ...keep, code: 'budget_spent', waitMs };
    await recommender.track({ type: 'click', item: 'x' });
    client.decision = request;
    await pass(1_000);
    expect(client.requests).toHaveLength(requests);
  });

  it('is not tried again while forced offline', async () => {
    const { client, recommender } = await stand();
    client.connection = { ...online, state: 'failing', code: 'timeout', retryInMs: 300 };
    await recommender.recommend();
    await recommender.setOffline(true);
    expect(recommender.state().connection.state).toBe('offline');
    await pass(400);
    expect(client.calls).toEqual(['recommend', 'offline true', 'recommend']);
  });
});
