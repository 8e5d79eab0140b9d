/** Delay on this machine: about a round trip on a mobile network, in milliseconds. */
const MOBILE_MS = 400;
/** The longest delay of the slider. */
const LONGEST_MS = 2000;

/**
 * The network delay at the start. A server on the visitor's own machine has no network in between,
 * so a mobile network is simulated, and the page says so. `?delay=MS` chooses another.
 */
export function startingDelay({ hostname, search }: Pick<Location, 'hostname' | 'search'>): number {
  const chosen = new URLSearchParams(search).get('delay');
  if (chosen !== null && /^\d{1,4}$/.test(chosen)) return Math.min(Number(chosen), LONGEST_MS);
  return isThisMachine(hostname) ? MOBILE_MS : 0;
}

/** Whether the page comes from the visitor's own machine. */
export function isThisMachine(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}
