// Addresses of films, with a fake of the browser's history.
import { expect, it } from 'vitest';
import { addressOf, FilmAddress, filmOf } from '../src/film-address.ts';

class FakeWindow {
  readonly location = { hash: '', pathname: '/shop/', search: '?delay=0' };
  readonly entries: { url: string; state: unknown }[];
  at: number;
  readonly #listeners: (() => void)[] = [];
  readonly history: {
    readonly state: unknown;
    pushState(state: unknown, unused: string, url: string): void;
    replaceState(state: unknown, unused: string, url: string): void;
    go(by: number): void;
  };

  constructor(...urls: string[]) {
    this.entries = urls.map((url) => ({ url, state: null }));
    this.at = urls.length - 1;
    this.#move(0);
    const current = (): unknown => this.entries[this.at]?.state ?? null;
    this.history = {
      get state() {
        return current();
      },
      pushState: (state, _, url) => {
        this.entries.splice(this.at + 1, Number.POSITIVE_INFINITY, { url, state });
        this.#move(1);
      },
      replaceState: (state, _, url) => {
        this.entries[this.at] = { url, state };
        this.#move(0);
      },
      go: (by) => {
        this.#move(by);
        for (const listener of this.#listeners) listener();
      },
    };
  }

  addEventListener(type: string, listener: () => void): void {
    if (type === 'popstate') this.#listeners.push(listener);
  }

  #move(by: number): void {
    this.at += by;
    this.location.hash = this.entries[this.at]?.url.replace(/^[^#]*/, '') ?? '';
  }
}

function opened(...urls: string[]) {
  const window = new FakeWindow(...urls);
  const shown: (string | null)[] = [];
  const address = new FilmAddress(window, (item) => shown.push(item));
  return { window, shown, address };
}

it('names any item in a fragment, and ignores other fragments', () => {
  for (const item of ['50', 'a b/c', 'Ä#?=']) expect(filmOf(addressOf(item))).toBe(item);
  for (const hash of ['', '#main', '#film=', '#film=%']) expect(filmOf(hash)).toBeNull();
});

it('gives each film an entry: Back shows the film before, then the shop', () => {
  const { window, shown, address } = opened('/shop/');
  address.open('1');
  address.open('2');
  expect(window.entries.map(({ url }) => url)).toEqual(['/shop/', '#film=1', '#film=2']);
  window.history.go(-1);
  window.history.go(-1);
  window.history.go(1);
  expect(shown).toEqual(['1', '2', '1', null, '1']);
});

it('returns to the shop when the visitor closes a film', () => {
  const { window, shown, address } = opened('/shop/');
  address.open('1');
  address.open('2');
  address.close();
  expect([window.at, shown.at(-1), address.item]).toEqual([0, null, null]);
  // The browser has gone back already.
  address.close();
  expect(window.at).toBe(0);
});

it('opens the same film once', () => {
  const { window, address } = opened('/shop/');
  address.open('1');
  address.open('1');
  expect(window.entries).toHaveLength(2);
});

it('shows the film of a link, and closes it without leaving the page', () => {
  const { window, shown, address } = opened('/other', '/shop/#film=7');
  address.restore();
  expect(shown).toEqual(['7']);
  address.close();
  expect([window.at, window.entries[1]?.url, shown.at(-1)]).toEqual([1, '/shop/?delay=0', null]);
});

it('closes a film that was opened from that of a link', () => {
  const { window, shown, address } = opened('/other', '/shop/#film=7');
  address.open('8');
  address.close();
  expect([window.at, window.entries[1]?.url, shown.at(-1)]).toEqual([1, '/shop/?delay=0', null]);
});

it('still knows the way to the shop after a reload', () => {
  const { window, address } = opened('/shop/');
  address.open('1');
  const reloaded = new FilmAddress(window, () => {});
  reloaded.close();
  expect(window.at).toBe(0);
});

it('removes a fragment that cannot be read, and says so', () => {
  const { window, shown, address } = opened('/shop/#film=abc%ZZ');
  let notices = 0;
  address.onUnreadable = () => {
    notices += 1;
  };
  address.restore();
  expect([window.entries[0]?.url, shown.at(-1), notices]).toEqual(['/shop/?delay=0', null, 1]);
});
