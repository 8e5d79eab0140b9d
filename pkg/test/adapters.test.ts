// @vitest-environment happy-dom
// React, Vue, Svelte and the custom element, on a recommender with a scripted client.
import { act, createElement, StrictMode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createApp, h, nextTick, ref } from 'vue';
import type { TandemListElement } from '../src/adapters/element.js';
import '../src/adapters/element.js';
import { ListSource } from '../src/adapters/list.js';
import { type TandemContext, TandemProvider, useRecommendations } from '../src/adapters/react.js';
import { createTandem as createSvelte } from '../src/adapters/svelte.js';
import { createTandem, useRecommendations as useVue } from '../src/adapters/vue.js';
import {
  LifecycleError,
  type Recommender,
  type RecommenderOptions,
  ServerError,
} from '../src/page/index.js';
import { held, ranked, type Stand, settle, stand, update } from './stand.js';

/** What `createRecommender` does next. */
let open: (options: RecommenderOptions) => Promise<Recommender>;
/** The recommenders that were opened, with their options. */
let opened: (Stand & { options: RecommenderOptions })[];

vi.mock('../src/page/create.js', () => ({
  createRecommender: (options: RecommenderOptions) => open(options),
}));

beforeEach(() => {
  opened = [];
  open = async (options) => {
    const made = await stand({ ...options, server: '/' });
    opened.push({ ...made, options });
    return made.recommender;
  };
  (globalThis as Record<string, unknown>)['IS_REACT_ACT_ENVIRONMENT'] = true;
  document.body.replaceChildren();
});
afterEach(() => vi.unstubAllGlobals());

const refuse = () => {
  open = async () => {
    throw new ServerError('unreachable', 'no route');
  };
};
const text = (): string => document.body.textContent ?? '';
/** Status of the only recommender that is left. */
const statuses = (): string[] => opened.map(({ recommender }) => recommender.state().status);

/** The `track` of the last {@link List}. */
let context: Pick<TandemContext, 'track'>;

function List({ k = 2, only = '' }: { k?: number; only?: string }) {
  const { items, status, error, track } = useRecommendations(
    { k, filter: ({ item }) => !only || item === only },
    [only],
  );
  context = { track };
  return [status, error?.code ?? '', ...items.map(({ item }) => item)].join(' ');
}

describe('a list', () => {
  it('is ranked at every update, and joins those that arrive meanwhile', async () => {
    const { client, recommender } = await stand();
    const list = new ListSource(recommender, () => ({ k: 2 }));
    const changed = vi.fn();
    const end = list.subscribe(changed);
    await settle();
    expect(list.state).toMatchObject({ status: 'ready', items: [{ item: 'a' }, { item: 'b' }] });
    client.calls.length = 0;
    await Promise.all(['x', 'y', 'z'].map((item) => recommender.track({ type: 'click', item })));
    await settle();
    expect(client.calls.filter((call) => call === 'recommend').length).toBeLessThanOrEqual(3);
    expect(changed.mock.calls.length).toBeGreaterThan(1);
    end();
    client.calls.length = 0;
    await recommender.track({ type: 'view', item: 'x' });
    await settle();
    expect(client.calls).toEqual(['track x']);
  });

  it('frees its placement when it ends or moves', async () => {
    const { recommender } = await stand();
    const options = { k: 2, placement: 'top' };
    const list = new ListSource(recommender, () => options);
    const end = list.subscribe(() => {});
    await settle();
    const shown = async (): Promise<string> =>
      (await recommender.recommend({ placement: 'other', k: 4 })).items
        .map(({ item }) => item)
        .join('');
    expect(await shown()).toBe('cd');
    recommender.releasePlacement('other');
    end();
    expect(await shown()).toBe('abcd');
  });

  it('that cannot be ranked is failed, with the last items', async () => {
    const { recommender } = await stand();
    let k = 2;
    const list = new ListSource(recommender, () => ({ k }));
    list.subscribe(() => {});
    await settle();
    k = 0;
    list.refresh();
    await settle();
    expect(list.state).toMatchObject({ status: 'failed', error: { code: 'invalid_argument' } });
    expect(list.state.items).toHaveLength(2);
  });
});

describe('React', () => {
  let root: Root;
  beforeEach(() => {
    const place = document.createElement('main');
    document.body.append(place);
    root = createRoot(place);
  });

  const app = (options: Partial<RecommenderOptions> = {}, list = {}) =>
    createElement(
      StrictMode,
      null,
      createElement(
        TandemProvider,
        { options: { server: '/', ...options } },
        createElement(List, list),
      ),
    );
  /** Each step ends with React's own work: effects, then what they caused. */
  const rest = async (): Promise<void> => {
    for (let step = 0; step < 4; step += 1) await act(settle);
  };
  const render = async (...[options, list]: Parameters<typeof app>): Promise<void> => {
    await act(async () => root.render(app(options, list)));
    await rest();
  };

  it('shows the list, follows the session, and disposes of the recommender', async () => {
    await render();
    expect(text()).toBe('ready  a b');
    // Strict mode mounts twice: the first opening was aborted.
    expect(statuses()).toEqual(['ready']);
    const client = opened[0]?.client;
    if (client === undefined) throw new Error('nothing was opened');
    client.items = ['c', 'd'].map(ranked);
    await act(() => context.track({ type: 'click', item: 'a' }));
    await rest();
    expect(text()).toBe('ready  c d');
    await act(async () => root.unmount());
    expect(statuses()).toEqual(['disposed']);
    await expect(context.track({ type: 'click', item: 'b' })).rejects.toThrow(LifecycleError);
  });

  it('ranks again for other options and dependencies', async () => {
    await render();
    await render({}, { k: 3 });
    expect(text()).toBe('ready  a b c');
    await render({}, { k: 3, only: 'd' });
    expect(text()).toBe('ready  d');
    expect(opened).toHaveLength(1);
  });

  it('opens another recommender for another profile, and passes the consent on', async () => {
    await render({ profile: 'anna' });
    await render({ profile: 'ben' });
    expect(opened.map(({ options }) => options.profile)).toEqual(['anna', 'ben']);
    expect(statuses()).toEqual(['disposed', 'ready']);
    vi.stubGlobal('indexedDB', {
      open: () => {
        throw new Error('no database in this test');
      },
    });
    await render({ profile: 'ben', consent: true });
    expect(opened.at(-1)?.recommender.state().consent).toBe(true);
    expect(opened).toHaveLength(2);
  });

  it('keeps events until the recommender is open', async () => {
    const gate = held<void>();
    const before = open;
    open = async (options) => {
      await gate.promise;
      return before(options);
    };
    await render();
    expect(text()).toBe('loading ');
    const tracked = context.track({ type: 'click', item: 'x' });
    gate.resolve();
    await act(async () => {
      expect((await tracked).history).toEqual(['x']);
      await settle();
    });
  });

  it('shows why a recommender could not be opened', async () => {
    refuse();
    await render();
    expect(text()).toBe('failed unreachable');
  });

  it('renders on a server, without a recommender', () => {
    expect(renderToString(app())).toContain('loading');
    expect(opened).toEqual([]);
  });

  it('needs a provider', () => {
    expect(() => renderToString(createElement(List))).toThrow(/expected a <TandemProvider>/);
  });
});

describe('Vue', () => {
  it('shows the list, follows session and options, and disposes of the recommender', async () => {
    const k = ref(2);
    let track: ReturnType<typeof useVue>['track'] | undefined;
    const app = createApp({
      setup() {
        const { items, status, ...rest } = useVue(() => ({ k: k.value }));
        track = rest.track;
        return () => h('p', [status.value, ...items.value.map(({ item }) => item)].join(' '));
      },
    });
    const place = document.createElement('main');
    document.body.append(place);
    app.use(createTandem({ server: '/' })).mount(place);
    expect(text()).toBe('loading');
    // Waits for the recommender.
    await track?.({ type: 'click', item: 'x' });
    await settle();
    expect(text()).toBe('ready a b');
    k.value = 3;
    await nextTick();
    await settle();
    expect(text()).toBe('ready a b c');
    app.unmount();
    expect(statuses()).toEqual(['disposed']);
  });

  it('shows why a recommender could not be opened, and needs the plugin', async () => {
    refuse();
    const app = createApp({
      setup() {
        const { error } = useVue();
        return () => error.value?.code;
      },
    });
    const place = document.createElement('main');
    document.body.append(place);
    app.use(createTandem({ server: '/' })).mount(place);
    await settle();
    expect(text()).toBe('unreachable');
    app.unmount();
    expect(() => createApp({}).runWithContext(() => useVue())).toThrow(/createTandem/);
  });
});

describe('Svelte', () => {
  it('has stores that follow session and options', async () => {
    const tandem = createSvelte({ server: '/' });
    const list = tandem.recommendations({ k: 2 });
    const seen: string[] = [];
    const end = list.subscribe(({ status, items }) =>
      seen.push([status, ...items.map(({ item }) => item)].join(' ')),
    );
    await settle();
    expect(seen).toEqual(['loading', 'ready a b']);
    list.update({ k: 1 });
    await settle();
    expect(seen.at(-1)).toBe('ready a');
    expect((await tandem.track({ type: 'click', item: 'x' })).history).toEqual(['x']);
    await settle();
    end();
    const before = seen.length;
    await tandem.track({ type: 'click', item: 'y' });
    await settle();
    expect(seen).toHaveLength(before);
    tandem.close();
    expect(statuses()).toEqual(['disposed']);
  });

  it('shows why a recommender could not be opened', async () => {
    refuse();
    const codes: (string | undefined)[] = [];
    createSvelte({ server: '/' })
      .recommendations()
      .subscribe(({ error }) => codes.push(error?.code));
    await settle();
    expect(codes).toEqual([undefined, 'unreachable']);
  });
});

describe('<tandem-list>', () => {
  function add(attributes: Record<string, string>): TandemListElement {
    const element = document.createElement('tandem-list');
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    document.body.append(element);
    return element;
  }
  const shown = (element: Element): string =>
    [...element.querySelectorAll('ol > li')].map((place) => place.textContent).join(' ');

  it('shows the list, tracks clicks, and keeps what stays in place', async () => {
    const element = add({ server: '/', k: '3' });
    expect(element.getAttribute('status')).toBe('loading');
    const heard: string[] = [];
    element.addEventListener('tandem-click', ({ detail }) => heard.push(`click ${detail.item}`));
    document.body.addEventListener('tandem-update', ({ detail }) => heard.push(detail.status), {
      signal: AbortSignal.timeout(60_000),
    });
    await settle();
    expect([element.getAttribute('status'), shown(element)]).toEqual(['ready', 'a b c']);
    const [client] = opened.map((made) => made.client);
    if (client === undefined) throw new Error('nothing was opened');
    client.items = ['a', 'c', 'd', 'b'].map(ranked);
    const buttons = [...element.querySelectorAll('button')];
    buttons[1]?.click();
    await settle();
    expect(shown(element)).toBe('a c d');
    expect(element.querySelector('button')).toBe(buttons[0]);
    expect(client.history).toEqual(['b']);
    expect(heard).toEqual(['ready', 'click b', 'ready']);
    element.setAttribute('k', '1');
    await settle();
    expect(shown(element)).toBe('a');
  });

  it('shares a recommender with the others of its server, and repeats none of their items', async () => {
    const top = add({ server: '/', k: '2', placement: 'top' });
    const side = add({ server: '/', k: '2', placement: 'side' });
    const anna = add({ server: '/', k: '1', profile: 'anna' });
    await settle();
    expect([shown(top), shown(side), shown(anna)]).toEqual(['a b', 'c d', 'a']);
    expect(opened).toHaveLength(2);
    top.remove();
    expect(statuses()).toEqual(['ready', 'ready']);
    side.remove();
    expect(statuses()).toEqual(['disposed', 'ready']);
    anna.remove();
  });

  it('that cannot be ranked says why, once', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {});
    const element = add({ server: '/', k: '0' });
    await settle();
    await opened[0]?.recommender.track({ type: 'click', item: 'x' });
    await settle();
    expect(told.mock.calls).toEqual([['<tandem-list>: k: expected an integer from 1, found 0']]);
    told.mockRestore();
    element.remove();
  });

  it('takes options and content of the page', async () => {
    const element = add({ server: '/' });
    element.options = { filter: ({ item }) => item !== 'a' };
    element.renderItem = ({ item }) => document.createTextNode(`item ${item}`);
    await settle();
    expect(shown(element)).toBe('item b item c item d');
    element.renderItem = ({ item }) => document.createTextNode(item.toUpperCase());
    expect(shown(element)).toBe('B C D');
    element.remove();
  });

  it('opens again with another profile, and passes options for the recommender on', async () => {
    const element = document.createElement('tandem-list');
    element.recommenderOptions = { timeoutMs: 7 };
    element.setAttribute('server', '/');
    document.body.append(element);
    await settle();
    element.setAttribute('profile', 'ben');
    await settle();
    expect(opened.map(({ options }) => [options.profile, options.timeoutMs])).toEqual([
      [undefined, 7],
      ['ben', 7],
    ]);
    expect(statuses()).toEqual(['disposed', 'ready']);
    element.remove();
  });

  it('that could not open says why, and the next one tries again', async () => {
    const works = open;
    const told = vi.spyOn(console, 'error').mockImplementation(() => {});
    refuse();
    const element = add({ server: '/' });
    const beside = add({ server: '/' });
    await settle();
    expect(told.mock.calls).toEqual([['<tandem-list>: no route']]);
    told.mockRestore();
    expect(element.state).toMatchObject({ status: 'failed', error: { code: 'unreachable' } });
    open = works;
    const next = add({ server: '/' });
    await settle();
    expect([shown(next), update().items.length]).toEqual(['a b c d', 4]);
    for (const made of [element, beside, next]) made.remove();
  });
});
