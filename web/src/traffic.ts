import type { Traffic } from './shop-state.ts';
import type { Exchange } from './wire.ts';

/** With a request for a list that begins, as the cloud-only side counts its own. */
export function withCall(traffic: Traffic): Traffic {
  return { ...traffic, calls: traffic.calls + 1 };
}

/** With a request that has ended. One that failed is no call that was answered. */
export function withExchange(
  traffic: Traffic,
  { bytesUp, bytesDown, status }: Pick<Exchange, 'bytesUp' | 'bytesDown' | 'status'>,
): Traffic {
  const failed = status === null || status >= 400;
  return {
    calls: traffic.calls - (failed ? 1 : 0),
    bytesUp: traffic.bytesUp + (status === null ? 0 : bytesUp),
    bytesDown: traffic.bytesDown + bytesDown,
  };
}
