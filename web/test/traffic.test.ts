import { expect, it } from 'vitest';
import { withCall, withExchange } from '../src/traffic.ts';

it('counts answered calls, and bytes as far as they were transferred', () => {
  const begun = withCall({ calls: 1, bytesUp: 10, bytesDown: 100 });
  expect(begun).toEqual({ calls: 2, bytesUp: 10, bytesDown: 100 });
  const exchange = { bytesUp: 5, bytesDown: 50 };
  expect(withExchange(begun, { ...exchange, status: 200 })).toEqual({
    calls: 2,
    bytesUp: 15,
    bytesDown: 150,
  });
  expect(withExchange(begun, { ...exchange, status: 503 }).calls).toBe(1);
  expect(withExchange(begun, { bytesUp: 5, bytesDown: 0, status: null })).toEqual({
    calls: 1,
    bytesUp: 10,
    bytesDown: 100,
  });
});
