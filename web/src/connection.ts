import type { ShopState } from './shop-state.ts';

/** What the page says about the server. */
export interface ServerStatus {
  /** `null` while the page does not know yet. */
  state: 'online' | 'offline' | 'failing' | null;
  words: string;
}

type Known = Pick<ShopState, 'phase' | 'update' | 'cloud' | 'reached'>;

/** The state of the connection, from the results of the requests of both sides. */
export function serverStatus({ phase, update, cloud, reached }: Known): ServerStatus {
  if (phase === 'failed') return { state: 'failing', words: 'Not loaded' };
  const connection = phase === 'ready' ? update?.connection.state : undefined;
  if (connection === undefined) return { state: null, words: 'Connecting' };
  // The visitor has chosen it.
  if (connection === 'offline') return { state: 'offline', words: 'Offline' };
  if (reached === false) return { state: 'failing', words: 'No connection' };
  // The cloud-only side makes requests where the package does not need one.
  const fails = connection === 'failing' || cloud.problem === 'failing';
  return fails
    ? { state: 'failing', words: 'Not responding' }
    : { state: 'online', words: 'Online' };
}
