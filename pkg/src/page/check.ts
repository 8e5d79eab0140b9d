import { UsageError } from '../shared/errors.js';
import type { EventKind, ItemId, TrackedEvent } from '../shared/generated.js';

/** Maximum length of a value in a message. */
const MAX_DESCRIBED = 200;
/** Maximum length of the id of a tracked item, in bytes of UTF-8. */
const MAX_ID_BYTES = 256;
/** Control characters, and halves of characters that no text encoding has. */
const UNWRITABLE = /[\p{Cc}\p{Cs}]/u;

/** The id of an item as a string, or an error that names the argument. */
export function itemId(name: string, item: unknown): string {
  if (typeof item === 'number' && Number.isFinite(item)) return String(item);
  if (typeof item !== 'string' || item === '') {
    throw argument(name, 'the id of an item, a non-empty string or a number', item);
  }
  return item;
}

/** The ids of items as strings. */
export function itemIds(name: string, items: Iterable<ItemId | number>): string[] {
  // A string would be taken as its letters.
  if (typeof items === 'string' || typeof items?.[Symbol.iterator] !== 'function') {
    throw argument(name, 'ids of items, such as an array or a set', items);
  }
  return Array.from(items, (item) => itemId(name, item));
}

/** A boolean, or an error that names the argument. */
export function flag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw argument(name, 'true or false', value);
  return value;
}

const eventKinds: readonly EventKind[] = ['click', 'view', 'purchase', 'dislike'];

/**
 * An event of {@link Recommender.track}. `recommendation` is the id of the {@link Recommendations}
 * that led to it, for the server's event log (`events: true`).
 */
export type TrackableEvent =
  | { type: EventKind; item: ItemId | number; recommendation?: string | null }
  | { type: 'undo' };

const EVENT_FIELDS: readonly string[] = ['type', 'item', 'recommendation'];

/** What {@link Outbox} logs beside an event. */
export interface Attribution {
  recommendation?: string;
}

const PLAIN_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** The attribution of an event, or an error that names the invalid field. */
export function attribution(event: TrackableEvent): Attribution {
  if (event.type === 'undo') return {};
  const { recommendation = null } = event;
  if (recommendation === null) return {};
  if (typeof recommendation !== 'string' || !PLAIN_ID.test(recommendation)) {
    throw argument('event.recommendation', 'the id of a result of recommend()', recommendation);
  }
  return { recommendation };
}

/** A valid event, or an error that names the invalid field. */
export function trackedEvent(event: TrackableEvent): TrackedEvent | 'undo' {
  if (typeof event !== 'object' || event === null) {
    throw argument('event', "an object such as { type: 'click', item: 'sku-42' }", event);
  }
  warnOfUnknown('track', event, EVENT_FIELDS, { kind: 'field' });
  if (event.type === 'undo') return 'undo';
  if (!eventKinds.includes(event.type)) {
    throw argument('event.type', [...eventKinds, 'undo'].join(', '), event.type);
  }
  return { type: event.type, item: sendable('event.item', event.item) };
}

/**
 * The id of an item that requests will name. The server refuses others, and with them everything
 * else in the request: the rest of the history, and the other events for the log.
 */
function sendable(name: string, item: unknown): string {
  const id = itemId(name, item);
  const bytes = new TextEncoder().encode(id).length;
  if (id.trim() === '' || bytes > MAX_ID_BYTES || UNWRITABLE.test(id)) {
    const expected = `the id of an item, 1 to ${MAX_ID_BYTES} bytes without control characters`;
    throw argument(name, expected, id);
  }
  return id;
}

/** The word that is nearest to `word`, at most two edits from it; `null` if there is none. */
export function nearest(word: string, words: readonly string[]): string | null {
  const near = words.filter((other) => edits(word, other) <= 2);
  return near.sort((a, b) => edits(word, a) - edits(word, b))[0] ?? null;
}

/** Warnings that the console has already: lists are often ranked with the same options. */
const warned = new Set<string>();

/**
 * A mistyped option or field has no effect: the console says so, once. `path` is the place of the
 * object in the arguments of the method `of`, such as `budget.`.
 */
export function warnOfUnknown(
  of: string,
  given: object,
  known: readonly string[],
  { kind = 'option', path = '' }: { kind?: 'option' | 'field'; path?: string } = {},
): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const meant = nearest(name, known);
    const hint = meant === null ? '' : `; did you mean ${path}${meant}?`;
    const text = `${of}: the ${kind} ${path}${name} is not known and has no effect${hint}`;
    if (warned.has(text)) continue;
    warned.add(text);
    console.warn(text);
  }
}

/** The options of a call as an object, or an error. Names that are not known are a warning. */
export function optionsOf<T extends object>(
  of: string,
  options: T,
  known: readonly string[],
  example: string,
): T {
  if (typeof options !== 'object' || options === null) {
    throw argument('options', `an object such as ${example}`, options);
  }
  warnOfUnknown(of, options, known);
  return options;
}

/** Levenshtein distance: letters to add, remove or replace. */
function edits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (const letter of from) {
    const next = [(row[0] ?? 0) + 1];
    for (let at = 0; at < to.length; at += 1) {
      const [left = 0, diagonal = 0, above = 0] = [next[at], row[at], row[at + 1]];
      next.push(Math.min(left + 1, above + 1, diagonal + (letter === to[at] ? 0 : 1)));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** The error for an invalid argument. */
export function argument(name: string, expected: string, found: unknown): UsageError {
  return new UsageError(
    'invalid_argument',
    `${name}: expected ${expected}, found ${described(found)}`,
  );
}

/** A value in a message. `JSON.stringify` refuses `BigInt` and circular values. */
function described(value: unknown): string {
  let text: string;
  try {
    // JSON has neither NaN nor Infinity.
    text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  } catch {
    text = typeof value === 'bigint' ? `${value}n` : typeof value;
  }
  return text.length > MAX_DESCRIBED ? `${text.slice(0, MAX_DESCRIBED)}…` : text;
}
