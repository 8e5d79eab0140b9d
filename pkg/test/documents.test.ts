// The README explains every code that a page can meet.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const text = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
const readme = text('../README.md');

/** The members of a union of strings in the generated types. */
function union(name: string): string[] {
  const found = new RegExp(`export type ${name} = ([^;]+);`).exec(
    text('../src/shared/generated.ts'),
  );
  return [...(found?.[1] ?? '').matchAll(/"(\w+)"/g)].map(([, member]) => member ?? '');
}

it.each(['ReasonCode', 'WireErrorCode'])('the README has every %s', (name) => {
  const codes = union(name);
  expect(codes.length).toBeGreaterThan(10);
  expect(codes.filter((code) => !readme.includes(`\`${code}\``))).toEqual([]);
});
