import { describe, expect, it } from 'vitest';
import { fileSize, sortFiles } from '../src/own/files.ts';
import { Helper, HelperError, type RunEvent } from '../src/own/helper.ts';
import { noData, OwnData, type OwnState, withEvent } from '../src/own/own-data.ts';
import { readReport } from '../src/own/report.ts';

const csv = (name: string, text: string): File => new File([text], name, { type: 'text/csv' });
const clicks = csv('a.csv', 'user_id,item_id,timestamp\nu1,i1,1\n');
const items = csv('b.csv', 'item_id,title\ni1,A kettle with a long description\n');

describe('dropped files', () => {
  it('are told apart by their headers, in any order', async () => {
    expect(await sortFiles([items, clicks])).toEqual({ events: clicks, items });
    expect(await sortFiles([clicks, items])).toEqual({ events: clicks, items });
  });

  it('are told apart by name, then size, without a header that helps', async () => {
    const log = csv('orders.tsv', '1\t2\n');
    const larger = csv('things.tsv', '1\tA kettle\n');
    expect(await sortFiles([larger, log])).toEqual({ events: log, items: larger });
    const parts = [csv('x', '1'), csv('y', '1,2')] as const;
    expect((await sortFiles(parts)).events).toBe(parts[1]);
  });

  it('may be one: of events, unless it describes items', async () => {
    expect(await sortFiles([clicks])).toEqual({ events: clicks, items: null });
    expect(await sortFiles([items])).toEqual({ events: null, items });
    expect(await sortFiles([])).toEqual({ events: null, items: null });
  });

  it('have sizes as a file manager shows them', () => {
    expect([999, 12_345, 2_500_000].map(fileSize)).toEqual(['999 bytes', '12 kB', '2.5 MB']);
  });
});

describe('the report', () => {
  it('separates what was read from what was not', () => {
    const text = [
      'events/clicks.csv: comma-separated, 643 rows',
      '  user: user',
      '  not used: agent, colour',
      'first rows:',
      '  user u0, item i0',
      'left out:',
      '  3 exact duplicates; first: events/clicks.csv, line 9',
      '2 bad rows, listed in bad-rows.txt; first: events/clicks.csv, line 4: no item',
      'shop: 80 users, 40 items, 640 interactions',
    ].join('\n');
    expect(readReport(text)).toEqual({
      read: [
        'events/clicks.csv: comma-separated, 643 rows',
        '  user: user',
        'first rows:',
        '  user u0, item i0',
        'shop: 80 users, 40 items, 640 interactions',
      ].join('\n'),
      leftOut: ['3 exact duplicates; first: events/clicks.csv, line 9'],
      unused: ['events/clicks.csv: agent, colour'],
    });
  });
});

/** A local server that answers as told, and remembers the requests. */
function fakeServer(answers: Record<string, () => Response>): {
  send: typeof fetch;
  asked: string[];
} {
  const asked: string[] = [];
  return {
    asked,
    send: async (input, init) => {
      const request = `${init?.method} ${String(input)}`;
      asked.push(request);
      expect(new Headers(init?.headers).get('authorization')).toBe('Bearer secret');
      return answers[request]?.() ?? new Response(null, { status: 204 });
    },
  };
}

/** Lines in pieces that end anywhere. */
function stream(events: readonly RunEvent[], size: number): Response {
  const bytes = new TextEncoder().encode(
    events.map((event) => `${JSON.stringify(event)}\n`).join(''),
  );
  const pieces = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) {
        controller.enqueue(bytes.slice(at, at + size));
      }
      controller.close();
    },
  });
  return new Response(pieces);
}

const told: RunEvent[] = [
  { type: 'step', name: 'reading the log' },
  { type: 'done', name: 'reading the log', seconds: 0.4 },
  { type: 'read', text: 'left out:\n  1 naïve row', badRows: ['line 3: …'], bad: 7 },
  { type: 'step', name: 'calibrating' },
  { type: 'progress', text: '2 of 3' },
];

describe('a training', () => {
  it('is followed line by line, however the stream is cut', async () => {
    for (const size of [1, 7, 10_000]) {
      const { send } = fakeServer({ 'GET ./api/progress': () => stream(told, size) });
      const events: RunEvent[] = [];
      for await (const event of new Helper('secret', send).progress()) events.push(event);
      expect(events).toEqual(told);
    }
  });

  it('becomes a state: steps with their times, what was not read, the end', () => {
    const state = told.reduce((before, event) => withEvent(before, event, 100), noData);
    expect(state).toMatchObject({ phase: 'training', bad: 7, badRows: ['line 3: …'] });
    expect(state.read?.leftOut).toEqual(['1 naïve row']);
    expect(state.steps.map(({ seconds, note }) => [seconds, note])).toEqual([
      [0.4, ''],
      [null, '2 of 3'],
    ]);
    const ready = withEvent(state, { type: 'ready', server: 'http://127.0.0.1:1' }, 2_100);
    expect(ready).toMatchObject({ phase: 'ready', server: 'http://127.0.0.1:1' });
    expect(ready.steps.at(-1)?.seconds).toBe(2);
    const refused = withEvent(state, { type: 'failed', code: 'refused', message: 'why' }, 0);
    expect(refused).toMatchObject({ phase: 'failed', failure: { code: 'refused' }, bad: 7 });
    expect(withEvent(state, { type: 'cancelled' }, 0)).toEqual(noData);
  });

  it('sends the files, and the old items are not used without new ones', async () => {
    const { send, asked } = fakeServer({
      'GET ./api/progress': () => stream([{ type: 'ready', server: 'http://127.0.0.1:1' }], 9),
    });
    let state: OwnState = noData;
    const data = new OwnData(new Helper('secret', send), (next) => {
      state = next;
    });
    await data.drop([clicks]);
    await data.train();
    expect(state.phase).toBe('ready');
    await data.drop([items]);
    expect(state.files).toEqual({ events: clicks, items });
    await data.drop([clicks]);
    expect(state.files).toEqual({ events: clicks, items: null });
    await data.train();
    expect(asked).toEqual([
      'PUT ./api/events?name=a.csv',
      'DELETE ./api/items',
      'POST ./api/start',
      'GET ./api/progress',
      'PUT ./api/events?name=a.csv',
      'DELETE ./api/items',
      'POST ./api/start',
      'GET ./api/progress',
    ]);
  });

  it('that cannot start is a typed failure', async () => {
    const { send } = fakeServer({
      'POST ./api/start': () =>
        Response.json({ code: 'busy', message: 'one runs' }, { status: 409 }),
    });
    await expect(new Helper('secret', send).start()).rejects.toEqual(
      new HelperError('busy', 'one runs'),
    );
    const gone = new Helper('secret', () => Promise.reject(new TypeError('Failed to fetch')));
    await expect(gone.start()).rejects.toMatchObject({ code: 'unreachable' });
  });
});
