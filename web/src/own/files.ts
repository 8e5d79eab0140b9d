import type { FileKind } from './helper.ts';

/** Bytes of a file that hold its first line in all but absurd cases. */
const HEAD = 4096;

const ABOUT_VISITORS = /user|visitor|session|customer|client|member|account|reviewer/i;
const ABOUT_ITEMS = /title|name|categor|price|description|genre/i;
const NAME_OF_EVENTS = /event|click|inter|order|rating|purchase|visit|log|view|review/i;

/** The files that a visitor dropped, by what they contain. */
export type Sorted = Record<FileKind, File | null>;

/**
 * Tells the file of events from the one of items: only events name a visitor. Without a header
 * that says so, names and sizes decide. A single file is one of items if it describes items.
 */
export async function sortFiles(files: readonly File[]): Promise<Sorted> {
  const judged = await Promise.all(files.map(async (file) => ({ file, ...(await judge(file)) })));
  judged.sort((a, b) => b.score - a.score || b.file.size - a.file.size);
  const [first, second] = judged;
  if (first === undefined) return { events: null, items: null };
  if (second === undefined && first.describes) return { events: null, items: first.file };
  return { events: first.file, items: second?.file ?? null };
}

/** How much speaks for a file of events, and whether it only describes items. */
async function judge(file: File): Promise<{ score: number; describes: boolean }> {
  const [header = ''] = (await file.slice(0, HEAD).text()).split('\n');
  const visitors = ABOUT_VISITORS.test(header);
  const score = (visitors ? 2 : 0) + (NAME_OF_EVENTS.test(file.name) ? 1 : 0);
  return { score, describes: !visitors && ABOUT_ITEMS.test(header) };
}

/** A size as a file manager shows it. */
export function fileSize(bytes: number): string {
  if (bytes < 1_000) return `${bytes} bytes`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
