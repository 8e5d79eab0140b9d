/**
 * Generates the second shop of the demo: a catalogue with prices, and visitors with tasks such as
 * furnishing a desk. Nothing in it exists. `node web/goods/generate.mjs FOLDER` writes
 * `items.csv`, `events.csv` and `goods.json` (prices and stock, as a shop's own database has them).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { categories, makers, tasks } from './words.mjs';

const VISITORS = 2_600;
/** Share of the products that are sold out. */
const SOLD_OUT = 0.18;
/** First event, in seconds since 1970. */
const START = Date.UTC(2025, 0, 6) / 1000;

/** Mulberry32: the same shop on every machine. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** All products: each kind of a category by some makers. */
export function catalogue(random) {
  const products = [];
  for (const [category, kinds] of Object.entries(categories)) {
    for (const [kind, base] of Object.entries(kinds)) {
      for (const maker of makers) {
        if (!maker.categories.includes(category)) continue;
        // A plain one and a better one.
        const first = Math.floor(random() * 3);
        for (const [line, factor] of [
          [first, 0.9],
          [(first + 1) % 3, 1.25],
        ]) {
          const level = maker.level * factor;
          products.push({
            id: `g${products.length + 1}`,
            title: `${kind} ${maker.lines[line]}`,
            category,
            kind,
            maker: maker.name,
            price: rounded(base * level * (0.85 + 0.3 * random())),
            level,
            stock: random() >= SOLD_OUT,
            popularity: 0.2 + random() ** 3,
          });
        }
      }
    }
  }
  return products;
}

/** Prices as shops write them: 7.90, 24.90, 149.00. */
function rounded(price) {
  return price < 100 ? Math.max(1, Math.floor(price)) + 0.9 : Math.round(price / 5) * 5 - 1;
}

/** Visits: each visitor follows one task, within a price level, with favourite makers. */
export function visits(products, random) {
  const byKind = new Map();
  for (const product of products) {
    const name = `${product.category}/${product.kind}`;
    byKind.set(name, [...(byKind.get(name) ?? []), product]);
  }
  const pick = (list, weight) => {
    const total = list.reduce((sum, one) => sum + weight(one), 0);
    let left = random() * total;
    for (const one of list) {
      left -= weight(one);
      if (left <= 0) return one;
    }
    return list.at(-1);
  };
  const events = [];
  for (let visitor = 0; visitor < VISITORS; visitor += 1) {
    const steps = tasks[Math.floor(random() * tasks.length)];
    const level = 0.7 + 0.9 * random();
    const favourite = makers[Math.floor(random() * makers.length)].name;
    const liking = ({ level: at, maker, popularity }) =>
      popularity * Math.exp(-6 * (at - level) ** 2) * (maker === favourite ? 4 : 1);
    const clicks = 5 + Math.floor(random() * 10);
    const had = new Set();
    let step = Math.floor(random() * 2);
    let time = START + Math.floor(random() * 180 * 86_400);
    for (let click = 0; click < clicks; click += 1) {
      const aside = random() < 0.08;
      const from = aside ? products : (byKind.get(steps[step % steps.length]) ?? products);
      const left = from.filter(({ id }) => !had.has(id));
      if (left.length > 0) {
        const product = pick(left, aside ? ({ popularity }) => popularity : liking);
        had.add(product.id);
        events.push([`v${visitor + 1}`, product.id, time]);
      }
      // Either compares another product of the kind, or goes on to what belongs to it.
      if (random() < 0.62) step += 1;
      time += 20 + Math.floor(random() * 120);
    }
  }
  return events.sort((a, b) => a[2] - b[2]);
}

function csv(header, rows) {
  const cell = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  return `${[header, ...rows].map((row) => row.map(String).map(cell).join(',')).join('\n')}\n`;
}

/** The three files by name. */
export function files() {
  const random = generator(16);
  const products = catalogue(random);
  const events = visits(products, random);
  const details = products.map(({ id, price, stock, maker }) => [id, { price, stock, maker }]);
  return {
    'items.csv': csv(
      ['item_id', 'title', 'category', 'brand', 'price'],
      products.map(({ id, title, category, maker, price }) => [id, title, category, maker, price]),
    ),
    'events.csv': csv(['user_id', 'item_id', 'timestamp'], events),
    'goods.json': JSON.stringify({
      generated: true,
      visitors: VISITORS,
      events: events.length,
      products: Object.fromEntries(details),
    }),
  };
}

if (process.argv[1] === import.meta.filename) {
  const folder = process.argv[2];
  if (folder === undefined) {
    console.error('usage: node web/goods/generate.mjs FOLDER');
    process.exit(2);
  }
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files())) writeFileSync(join(folder, name), text);
}
