/** The text of the three files of the second shop, the same every time. */
export function files(): Record<'items.csv' | 'events.csv' | 'goods.json', string>;
