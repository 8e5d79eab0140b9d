// The meter beside the films, in words.
import { expect, it } from 'vitest';
import { dotsLabel } from '../src/view/hero.ts';

it('says in words what the row of clicks shows', () => {
  const [called, not] = [{ action: 'request' }, { action: 'keep' }] as const;
  expect(dotsLabel([])).toBe('No clicks yet');
  expect(dotsLabel([called])).toBe('Tandem called the cloud at 1 of 1 click');
  expect(dotsLabel([called, not, not])).toBe('Tandem called the cloud at 1 of the last 3 clicks');
});
