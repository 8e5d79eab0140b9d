// What the running demo still prepares, and how the page says so.
import { expect, it } from 'vitest';
import { followParts, type Part, partsText, readParts } from '../src/parts.ts';

const parts = (text: string): Part[] =>
  text.split(' ').map((entry) => {
    const [part, state] = entry.split(':');
    return { part, state } as Part;
  });

it('what is under way or waits is named in its order', () => {
  const now = parts('documentation:ready second-shop:under-way training:waiting webgpu:waiting');
  expect(partsText(now, now)).toEqual({
    text: 'Still being prepared: the second shop, longer trained models and the WebGPU module.',
    reload: false,
  });
});

it('what has become ready since the page was opened needs a reload', () => {
  const before = parts('documentation:ready training:under-way webgpu:waiting');
  const now = parts('documentation:ready training:ready webgpu:under-way');
  expect(partsText(now, before)).toEqual({
    text:
      'New since you opened this page: longer trained models. ' +
      'Still being prepared: the WebGPU module.',
    reload: true,
  });
  const end = parts('documentation:ready training:ready webgpu:failed');
  expect(partsText(end, end)).toEqual({
    text: 'Not available: the WebGPU module; the terminal says why.',
    reload: false,
  });
  expect(partsText(now.slice(0, 2), now).text).toBe('');
});

it('entries of another version are left out', () => {
  expect(
    readParts([
      { part: 'webgpu', state: 'ready' },
      { part: 'game', state: 'ready' },
    ]),
  ).toEqual(parts('webgpu:ready'));
  expect(readParts([null, 7, { part: 'webgpu' }, { part: 'webgpu', state: 'half' }])).toEqual([]);
  expect(readParts({ part: 'webgpu' })).toEqual([]);
});

it('the file is read until nothing is being prepared, also while the server restarts', async () => {
  const answers = [
    () => Response.json(parts('training:under-way')),
    () => Promise.reject(new TypeError('the server restarts')),
    () => Response.json(parts('training:ready')),
  ];
  const shown: Part[][] = [];
  const send = async (): Promise<Response> => answers.shift()?.() ?? Promise.reject(new Error());
  await followParts(
    './parts.json',
    (now) => shown.push([...now]),
    send,
    () => Promise.resolve(),
  );
  expect(shown).toEqual([parts('training:under-way'), parts('training:ready')]);
  expect(answers).toEqual([]);
});

it('a server without the file is not asked again', async () => {
  let requests = 0;
  const send = async (): Promise<Response> => {
    requests += 1;
    return new Response('', { status: 404 });
  };
  const shown: unknown[] = [];
  await followParts(
    './parts.json',
    (now) => shown.push(now),
    send,
    () => Promise.resolve(),
  );
  expect([requests, shown]).toEqual([1, []]);
});
