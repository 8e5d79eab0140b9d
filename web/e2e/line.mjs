import { connect, createServer } from 'node:net';

/**
 * A line to a server that counts the bytes that come down, of every connection: of pages, workers
 * and service workers, with headers, as compressed. With `bytesPerSecond` all connections share
 * that rate; `latencyMs` delays each piece in both directions together.
 *
 * @param {string} server URL of the server
 * @param {{ bytesPerSecond?: number, latencyMs?: number }} limits
 */
export async function line(server, { bytesPerSecond = Infinity, latencyMs = 0 } = {}) {
  const { hostname, port } = new URL(server);
  const counted = { bytes: 0, connections: 0 };
  /** When the line is free again, in milliseconds of `performance.now()`. */
  let free = 0;
  const proxy = createServer((browser) => {
    counted.connections += 1;
    const upstream = connect(Number(port), hostname);
    browser.pipe(upstream);
    upstream.on('data', (piece) => {
      counted.bytes += piece.length;
      free = Math.max(free, performance.now()) + (1_000 * piece.length) / bytesPerSecond;
      const wait = free + latencyMs - performance.now();
      if (wait <= 0) browser.write(piece);
      else setTimeout(() => browser.write(piece), wait);
    });
    upstream.on('end', () => {
      setTimeout(() => browser.end(), Math.max(0, free + latencyMs - performance.now()) + 1);
    });
    for (const [one, other] of [
      [browser, upstream],
      [upstream, browser],
    ]) {
      one.on('error', () => other.destroy());
    }
    browser.on('close', () => upstream.destroy());
  });
  await new Promise((ready) => proxy.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    counted,
    close: () => new Promise((closed) => proxy.close(closed)),
  };
}
