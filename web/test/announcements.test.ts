// What screen readers are told.
import type { DeliveredUpdate } from '@tandem-rec/client';
import { expect, it } from 'vitest';
import { announce } from '../src/announcements.ts';

it('tells films of the cloud from those that the device has found', () => {
  const update = (...listed: boolean[]) =>
    ({
      cause: 'request',
      connection: { state: 'online' },
      items: listed.map((is) => ({ listed: is })),
    }) as unknown as DeliveredUpdate;
  expect(announce(update(true, true))).toBe('New list of 2 films from the cloud.');
  expect(announce(update(true, false, false))).toBe(
    'New list of 1 film from the cloud, and 2 found on this device.',
  );
});
