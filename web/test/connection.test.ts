// What the page says about the server.
import { expect, it } from 'vitest';
import { noCloudList } from '../src/cloud-only.ts';
import { serverStatus } from '../src/connection.ts';
import { initialState, type ShopState } from '../src/shop-state.ts';

type State = 'online' | 'offline' | 'failing';

function words(state: State, changes: Partial<ShopState> = {}): string {
  const connection = { state, code: null, message: null, retryInMs: null };
  const update = { connection } as ShopState['update'];
  return serverStatus({ ...initialState, phase: 'ready', reached: true, update, ...changes }).words;
}

it('says what the package knows', () => {
  expect(words('online')).toBe('Online');
  expect(words('offline')).toBe('Offline');
  expect(words('failing')).toBe('Not responding');
  expect(words('online', { phase: 'loading' })).toBe('Connecting');
  expect(words('online', { phase: 'failed' })).toBe('Not loaded');
});

it('is not online when the page came from a stored copy and the package asked for nothing', () => {
  expect(words('online', { reached: false })).toBe('No connection');
  // Airplane mode is what the visitor has chosen.
  expect(words('offline', { reached: false })).toBe('Offline');
});

it('is not online when the other side gets no list', () => {
  const cloud = { ...noCloudList, problem: 'failing' } as const;
  expect(words('online', { cloud })).toBe('Not responding');
});
