/** Numbers and times as people read them. */

const whole = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

/** 12,345 */
export const count = (number) => whole.format(number);

/** 3.2 ms, 1.4 s; a dash if it is not known. */
export function duration(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms >= 10_000) return `${(ms / 1_000).toFixed(0)} s`;
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms >= 10) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(1)} ms`;
}

/** 3 minutes, 2 hours, 5 days. */
export function span(seconds) {
  for (const [name, length] of [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ]) {
    const number = Math.floor(seconds / length);
    if (number >= 1) return `${number} ${name}${number === 1 ? '' : 's'}`;
  }
  return 'less than a minute';
}

/** 12.3 MB */
export function bytes(number) {
  if (number === null || number === undefined) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = number;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

/** 42 %; a dash for a part of nothing. */
export function share(part, all) {
  return all === 0 ? '–' : `${((100 * part) / all).toFixed(0)} %`;
}

/** 14:03:22 today, with the day before today. */
export function moment(at) {
  const date = new Date(at);
  const time = clock.format(date);
  return date.toDateString() === new Date().toDateString() ? time : `${day.format(date)}, ${time}`;
}

/** 14:00 */
export function hourOf(at) {
  return clock.format(new Date(at)).slice(0, 5);
}
