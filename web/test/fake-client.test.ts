// The fake client of `npm run mock`: its decisions and their reasons must agree.
import type { Update } from '@tandem-rec/client';
import { expect, it } from 'vitest';
import { Client } from '../dev/fake-client.ts';
import { films } from '../dev/films.ts';

/** A network whose lists are the films in the order of the catalogue. */
const network = {
  async send(request: object): Promise<{ status: number; body: Uint8Array }> {
    const { body = '{}' } = request as { body?: string };
    const { history = [] } = JSON.parse(body) as { history?: string[] };
    const candidates = films
      .filter(({ item }) => !history.includes(item))
      .map(({ item }) => ({ item }));
    return { status: 200, body: new TextEncoder().encode(JSON.stringify({ candidates })) };
  },
};

it('requests a list if and only if the gain in its reason is above the threshold', async () => {
  const client = new Client('http://mock', films, network);
  const seen = { keep: 0, request: 0 };
  const after = async (update: Update): Promise<Update> =>
    update.decision.action === 'request' ? client.requestCandidates() : update;
  let update = await after(await client.recommend());
  for (let click = 0; click < 25; click += 1) {
    const item = update.items[click % 3]?.item ?? '';
    const tracked = await client.track({ type: 'click', item });
    const { action, code, reason } = tracked.decision;
    const [, gain, sign, threshold] = /gain ([\d.]+) ([>≤]) ([\d.]+)/.exec(reason) ?? [];
    if (code.startsWith('fresh_list')) {
      expect([reason, Number(gain) > Number(threshold)]).toEqual([reason, action === 'request']);
      expect(sign).toBe(action === 'request' ? '>' : '≤');
      seen[action] += 1;
    }
    update = await after(tracked);
  }
  expect(seen.keep).toBeGreaterThan(0);
  expect(seen.request).toBeGreaterThan(0);
});
