import { MAX_WAIT_MS } from './selection.js';

/** The result of `call`; `false` if it takes until `end`, a time of `performance.now()`. */
export async function before(end: number, call: () => Promise<boolean>): Promise<boolean> {
  const ms = end - performance.now();
  if (ms <= 0) return false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((done) => {
    timer = setTimeout(() => done(false), Math.min(ms, MAX_WAIT_MS));
  });
  try {
    return await Promise.race([call(), late]);
  } finally {
    clearTimeout(timer);
  }
}
