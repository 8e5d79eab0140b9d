/** Charts as inline SVG. */
import { h, s } from './elements.js';

const WIDTH = 240;
const HEIGHT = 40;

/**
 * A line over the last 60 minutes with the area below it. `null` is a gap. `label` says what the line
 * is, for people who do not see it.
 */
export function sparkline(values, label) {
  const numbers = values.filter((value) => value !== null);
  const max = Math.max(...numbers, 0);
  const x = (at) => (at * WIDTH) / Math.max(values.length - 1, 1);
  const y = (value) => HEIGHT - 1 - (max === 0 ? 0 : (value / max) * (HEIGHT - 4));
  const parts = segments(values);
  const line = parts.map((part) => part.map(([at, value]) => `${x(at)},${y(value)}`));
  return s(
    'svg',
    {
      class: 'sparkline',
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': label,
    },
    s('line', { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: 'axis' }),
    ...parts.map((part, at) => {
      const [first, last] = [x(part[0][0]), x(part[part.length - 1][0])];
      const points = `${first},${HEIGHT} ${line[at].join(' ')} ${last},${HEIGHT}`;
      return s('polygon', { points, class: 'area' });
    }),
    ...line.map((points) =>
      points.length === 1
        ? dot(points[0])
        : s('polyline', { points: points.join(' '), class: 'line' }),
    ),
  );
}

/** A single value between two gaps. */
function dot(point) {
  const [x, y] = point.split(',');
  return s('circle', { cx: x, cy: y, r: 1.5, class: 'dot' });
}

function segments(values) {
  const parts = [];
  let part = [];
  for (const [at, value] of values.entries()) {
    if (value !== null) part.push([at, value]);
    if ((value === null || at === values.length - 1) && part.length > 0) {
      parts.push(part);
      part = [];
    }
  }
  return parts;
}

/**
 * Stacked bars. `bars` are `{ name, values }` with one value for each of `series`; the values of a bar
 * are in its title. One of `every` bars has its name below the axis, beginning with the second: the
 * name of the first one would be cut off.
 */
export function stackedBars(bars, series, label, every) {
  const [width, height, foot] = [720, 200, 30];
  const totals = bars.map(({ values }) => values.reduce((sum, value) => sum + value, 0));
  const max = Math.max(...totals, 1);
  const step = width / bars.length;
  const columns = bars.map(({ name, values }, at) => {
    let top = height;
    const rectangles = values.map((value, kind) => {
      const size = (value / max) * (height - 28);
      top -= size;
      return s('rect', {
        x: at * step + 2,
        y: top,
        width: step - 4,
        height: size,
        class: `series-${kind}`,
      });
    });
    const text = series.map((kind, index) => `${kind} ${values[index]}`).join(', ');
    return s('g', {}, s('title', {}, `${name}: ${text}`), ...rectangles);
  });
  const names = bars.map(({ name }, at) =>
    at % every === 1
      ? s('text', { x: (at + 0.5) * step, y: height + 22, class: 'tick' }, name)
      : null,
  );
  return h(
    'figure',
    { class: 'chart' },
    s(
      'svg',
      { viewBox: `0 0 ${width} ${height + foot}`, role: 'img', 'aria-label': label },
      s('line', { x1: 0, x2: width, y1: height, y2: height, class: 'axis' }),
      s('text', { x: 0, y: 18, class: 'tick start' }, `at most ${max} in an hour`),
      ...columns,
      ...names.filter((name) => name !== null),
    ),
    h(
      'figcaption',
      { class: 'legend' },
      ...series.map((kind, at) => h('span', { class: `key-${at}` }, kind)),
    ),
  );
}

/** A bar for a share from 0 to 1. */
export function shareBar(part) {
  const width = Math.max(0, Math.min(1, part)) * 100;
  return s(
    'svg',
    { class: 'share', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    s('rect', { width: 100, height: 8, class: 'track' }),
    s('rect', { width, height: 8, class: 'part' }),
  );
}
