// Names of visits and visitors, what is sent when a page is left, and the back/forward cache.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RecommenderOptions } from '../src/page/index.js';
import { MemoryStorage } from '../src/page/storage.js';
import { Frames, held, type Stand, settle, stand } from './stand.js';

const click = (item: string) => ({ type: 'click', item }) as const;

/** A browser's `Storage`, as far as it is used. */
class FakeStorage {
  readonly entries = new Map<string, string>();
  getItem = (key: string): string | null => this.entries.get(key) ?? null;
  setItem = (key: string, value: string): void => void this.entries.set(key, value);
  removeItem = (key: string): void => void this.entries.delete(key);
}

interface Asked {
  body: { session: string; events: { id: string; item: string }[] };
  keepalive: boolean;
  headers: Record<string, string>;
}

let frames: Frames;
let tab: FakeStorage;
let browser: FakeStorage;
let page: EventTarget;
let asked: Asked[];
let answer: () => Response | Promise<Response>;

const own = (async (_, init) => {
  asked.push({
    body: JSON.parse(String(init?.body)),
    keepalive: init?.keepalive === true,
    headers: init?.headers as Record<string, string>,
  });
  return answer();
}) as typeof fetch;

beforeEach(() => {
  frames = new Frames();
  frames.install();
  tab = new FakeStorage();
  browser = new FakeStorage();
  newPage();
  vi.stubGlobal('sessionStorage', tab);
  vi.stubGlobal('localStorage', browser);
  asked = [];
  answer = () => new Response(null, { status: 204 });
});
afterEach(() => vi.unstubAllGlobals());

function newPage(): void {
  page = new EventTarget();
  vi.stubGlobal('window', page);
}

function leave(): void {
  page.dispatchEvent(new Event('pagehide'));
}

/** A page of the site, opened after the last one was left. */
async function visitPage(options: Partial<RecommenderOptions> = {}): Promise<Stand> {
  newPage();
  const opened = await stand({ events: true, fetch: own, ...options });
  // The queue of an earlier visit is sent after opening.
  await new Promise((done) => setTimeout(done, 1));
  await settle();
  return opened;
}

/** The name under which a click on a page of its own is logged. */
async function nameOfClick(options: Partial<RecommenderOptions> = {}): Promise<string | undefined> {
  const { recommender } = await visitPage(options);
  await recommender.track(click('x'));
  leave();
  await settle();
  recommender.dispose();
  return asked.pop()?.body.session;
}

const withConsent = () => ({ consent: true, storage: new MemoryStorage() });

describe('a visit', () => {
  it('has one name on all pages of a tab, and another in the next tab', async () => {
    const names = [await nameOfClick(), await nameOfClick(), await nameOfClick()];
    expect(new Set(names).size).toBe(1);
    expect(names[0]).toMatch(/^[a-z0-9]{8,}$/);
    expect([...browser.entries]).toEqual([]);
    tab.entries.clear();
    expect(await nameOfClick()).not.toBe(names[0]);
  });

  it('gives its name to the visitor with consent, who keeps it in other tabs', async () => {
    const before = await nameOfClick();
    const visitor = await nameOfClick(withConsent());
    tab.entries.clear();
    expect([visitor, await nameOfClick(withConsent())]).toEqual([before, before]);
  });

  it('without consent does not use the name of the visitor', async () => {
    const visitor = await nameOfClick(withConsent());
    tab.entries.clear();
    expect(await nameOfClick()).not.toBe(visitor);
  });

  it('has the site’s own id, if there is one, and then stores no name', async () => {
    expect(await nameOfClick({ userId: 'u-42' })).toBe('u-42');
    expect(await nameOfClick({ userId: 'u-42', ...withConsent() })).toBe('u-42');
    expect([tab.entries.size, browser.entries.size]).toEqual([0, 0]);
  });

  it('without events stores nothing', async () => {
    const { recommender } = await visitPage({ events: false });
    await recommender.track(click('x'));
    leave();
    expect([asked, tab.entries.size, browser.entries.size]).toEqual([[], 0, 0]);
  });

  it('has names of its own for each profile', async () => {
    const anna = await nameOfClick({ profile: 'anna' });
    const ben = await nameOfClick({ profile: 'ben' });
    expect(ben).not.toBe(anna);
    expect(await nameOfClick({ profile: 'anna' })).toBe(anna);
  });

  it.each([
    [{}, 'tandem http://shop.example'],
    [{ profile: 'anna' }, 'tandem http://shop.example anna'],
  ])('with %j has its own database and channel', async (options, name) => {
    const names: string[] = [];
    vi.stubGlobal('indexedDB', {
      open: (database: string) => {
        names.push(database);
        throw new DOMException('denied', 'SecurityError');
      },
    });
    vi.stubGlobal(
      'BroadcastChannel',
      class {
        onmessage = null;
        constructor(channel: string) {
          names.push(channel);
        }
        postMessage(): void {}
        close(): void {}
      },
    );
    const { recommender } = await visitPage({ consent: true, ...options });
    expect(new Set(names)).toEqual(new Set([name]));
    expect(names.length).toBeGreaterThan(1);
    recommender.dispose();
  });

  it('has a new name after a reset', async () => {
    const before = await nameOfClick(withConsent());
    const { recommender } = await visitPage(withConsent());
    await recommender.reset();
    recommender.dispose();
    expect(await nameOfClick(withConsent())).not.toBe(before);
  });

  it('shows its name in the state and in the export, once there is one', async () => {
    const { recommender, client } = await visitPage();
    client.exportPersonal = () => new TextEncoder().encode('{"version":1}');
    const exported = async () =>
      JSON.parse(new TextDecoder().decode(await recommender.exportPersonalData()));
    expect(recommender.state().visitor).toBeNull();
    expect(await exported()).toEqual({ version: 1 });
    expect([tab.entries.size, browser.entries.size]).toEqual([0, 0]);
    await recommender.track(click('x'));
    leave();
    await settle();
    const visitor = asked.at(-1)?.body.session;
    expect(recommender.state().visitor).toBe(visitor);
    expect(await exported()).toEqual({ version: 1, visitor });
    recommender.dispose();
    const named = await visitPage({ userId: 'u-42' });
    expect(named.recommender.state().visitor).toBe('u-42');
    const silent = await visitPage({ userId: 'u-42', events: false });
    expect(silent.recommender.state().visitor).toBeNull();
  });

  it('sends which recommendations led to a click, and refuses what is no id', async () => {
    const { recommender } = await visitPage();
    const { recommendation } = await recommender.recommend();
    await recommender.track({ ...click('x'), recommendation });
    await recommender.track({ ...click('y'), recommendation: null });
    leave();
    await settle();
    expect(asked.at(-1)?.body.events).toMatchObject([{ item: 'x', recommendation }, { item: 'y' }]);
    expect(asked.at(-1)?.body.events[1]).not.toHaveProperty('recommendation');
    const refused = recommender.track({ ...click('z'), recommendation: 'a b' });
    await expect(refused).rejects.toMatchObject({ code: 'invalid_argument' });
  });

  it('has one name for a page where the browser blocks storage', async () => {
    const blocked = () => {
      throw new DOMException('denied', 'SecurityError');
    };
    for (const storage of [tab, browser]) {
      Object.assign(storage, { getItem: blocked, setItem: blocked, removeItem: blocked });
    }
    const { recommender } = await visitPage();
    await recommender.track(click('x'));
    leave();
    await settle();
    await recommender.track(click('y'));
    leave();
    expect(asked).toHaveLength(2);
    expect(asked[1]?.body.session).toBe(asked[0]?.body.session);
  });

  it.each([
    { userId: 'a b' },
    { userId: '' },
    { profile: 'x'.repeat(65) },
    { profile: 7 as never },
  ])('refuses %j', async (options) => {
    await expect(visitPage(options)).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching('^(userId|profile): expected 1 to 64 letters'),
    });
  });
});

describe('a click that leaves the page', () => {
  it('is sent by the page, although the worker has not seen it yet', async () => {
    const { recommender } = await visitPage({ key: 'pub_1' });
    void recommender.track(click('x'));
    leave();
    expect(asked).toMatchObject([
      {
        keepalive: true,
        body: { events: [{ item: 'x' }] },
        headers: { authorization: 'Bearer pub_1' },
      },
    ]);
    await settle();
    const { entries, bytes } = await recommender.ledger();
    expect(entries).toMatchObject([
      { url: 'http://shop.example/v1/events', status: 204, body: JSON.stringify(asked[0]?.body) },
    ]);
    expect(bytes).toBe(entries[0]?.bytes);
  });

  it('is sent when the page is hidden, which may be its end on a phone', async () => {
    const { recommender } = await visitPage();
    await recommender.track(click('x'));
    frames.hide();
    leave();
    expect(asked).toHaveLength(1);
  });

  it('stays on the device while the network is forbidden', async () => {
    const { recommender } = await visitPage();
    await recommender.setOffline(true);
    void recommender.track(click('x'));
    leave();
    expect(asked).toEqual([]);
  });

  it('is sent although the device does not know the item', async () => {
    const { recommender } = await visitPage();
    await expect(recommender.track(click('refused'))).rejects.toMatchObject({
      code: 'unknown_item',
    });
    leave();
    expect(asked.map(({ body }) => body.events.map(({ item }) => item))).toEqual([['refused']]);
  });

  it('is sent with the next page if the request failed, under the same id', async () => {
    const storage = new MemoryStorage();
    answer = () => Promise.reject(new Error('no network'));
    const first = await visitPage({ consent: true, storage });
    await first.recommender.track(click('x'));
    leave();
    await settle();
    answer = () => new Response(null, { status: 204 });
    newPage();
    await stand({ events: true, fetch: own, consent: true, storage });
    // The timer of the queue.
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    expect(asked[1]?.body).toEqual(asked[0]?.body);
  });
});

describe('after a withdrawal of consent', () => {
  it('nothing is sent, on this page and later ones, until there is a new consent', async () => {
    const { recommender } = await visitPage(withConsent());
    await recommender.track(click('x'));
    await recommender.setConsent(false);
    await recommender.track(click('y'));
    leave();
    recommender.dispose();
    expect(await nameOfClick()).toBeUndefined();
    tab.entries.clear();
    expect(await nameOfClick()).toBeUndefined();
    expect(asked).toEqual([]);
    const name = await nameOfClick(withConsent());
    expect(name).toBeDefined();
    expect(await nameOfClick()).toBeDefined();
  });

  it('the visitor’s name is deleted', async () => {
    const before = await nameOfClick(withConsent());
    const { recommender } = await visitPage(withConsent());
    await recommender.setConsent(false);
    recommender.dispose();
    expect([...tab.entries.values(), ...browser.entries.values()]).not.toContain(before);
    expect(await nameOfClick(withConsent())).not.toBe(before);
  });

  it('a refusal without an earlier consent counts as well', async () => {
    const { recommender } = await visitPage();
    await recommender.track(click('x'));
    await recommender.setConsent(false);
    void recommender.track(click('y'));
    leave();
    expect(asked).toEqual([]);
  });

  it('a page from the back/forward cache notices it', async () => {
    const { recommender } = await visitPage(withConsent());
    leave();
    const { recommender: next } = await stand({ events: true, fetch: own, ...withConsent() });
    await next.setConsent(false);
    page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    await settle();
    expect(recommender.state().consent).toBe(false);
    void recommender.track(click('x'));
    leave();
    expect(asked).toEqual([]);
  });
});

describe('in the back/forward cache', () => {
  it('a page holds no lock and no channel, and takes them again', async () => {
    const locks = new Map<string, number>();
    vi.stubGlobal('navigator', {
      locks: {
        request: async (name: string, ...rest: unknown[]) => {
          const act = rest.at(-1) as () => Promise<void>;
          const { signal } = (rest.length > 1 ? rest[0] : {}) as { signal?: AbortSignal };
          locks.set(name, (locks.get(name) ?? 0) + 1);
          const ended = held<void>();
          signal?.addEventListener('abort', () => ended.reject(signal.reason));
          // The worker holds the lock, and the page waits for it.
          await (signal === undefined ? act() : ended.promise).finally(() =>
            locks.set(name, (locks.get(name) ?? 0) - 1),
          );
        },
      },
    });
    const open = new Set<unknown>();
    vi.stubGlobal(
      'BroadcastChannel',
      class {
        onmessage = null;
        constructor() {
          open.add(this);
        }
        postMessage(): void {}
        close(): void {
          open.delete(this);
        }
      },
    );
    const { recommender } = await visitPage(withConsent());
    await settle();
    const taken = (): number => [...locks.values()].reduce((sum, count) => sum + count, 0);
    expect([taken(), open.size]).toEqual([2, 1]);
    leave();
    await settle();
    expect([taken(), open.size]).toEqual([0, 0]);
    page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    await settle();
    expect([taken(), open.size]).toEqual([2, 1]);
    recommender.dispose();
    expect(open.size).toBe(0);
  });
});
