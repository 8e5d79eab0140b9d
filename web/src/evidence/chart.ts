import { h, s, setText } from '../view/dom.ts';

/** A point of a chart, with the text that is shown for it. */
export interface ChartPoint {
  x: number;
  y: number;
  /** Half the length of the error bar; `null` for none. */
  error: number | null;
  label: string;
}

/** A named line through points, in the order of x. */
export interface Series {
  name: string;
  /** Position of its colour and mark in the style sheet, from 0. */
  style: number;
  points: readonly ChartPoint[];
}

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 78;
const BOTTOM = 56;
const TOP = 34;
const RIGHT = 14;

/**
 * A line chart whose points can be pointed at or focused. `describe` is called with the label of
 * the current point.
 */
export function lineChart(
  title: string,
  axes: { x: string; y: string },
  series: readonly Series[],
  describe: (label: string) => void,
): SVGElement {
  const points = series.flatMap((one) => one.points);
  const xs = scale([0, ...points.map(({ x }) => x)], LEFT, WIDTH - RIGHT);
  const ys = scale(
    points.flatMap(({ y, error }) => [y - (error ?? 0), y + (error ?? 0)]),
    HEIGHT - BOTTOM,
    TOP,
  );
  const chart = s('svg', {
    class: 'plot',
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: 'group',
    'aria-label': title,
  });
  chart.append(
    ...ys.ticks.flatMap((tick) => [
      s('line', { class: 'rule', x1: LEFT, x2: WIDTH - RIGHT, y1: ys.at(tick), y2: ys.at(tick) }),
      text(tick.toFixed(ys.digits), LEFT - 8, ys.at(tick) + 4, 'end'),
    ]),
    ...xs.ticks.map((tick) =>
      text(tick.toFixed(xs.digits), xs.at(tick), HEIGHT - BOTTOM + 24, 'middle'),
    ),
    text(axes.x, (LEFT + WIDTH) / 2, HEIGHT - 6, 'middle'),
    text(axes.y, 4, 18, 'start'),
  );
  for (const { name, style, points: own } of series) {
    const path = own.map(({ x, y }, at) => `${at === 0 ? 'M' : 'L'}${xs.at(x)} ${ys.at(y)}`);
    const group = s('g', { class: 'series', 'data-style': style, 'aria-label': name });
    group.append(s('path', { d: path.join('') }));
    for (const { x, y, error, label } of own) {
      const [cx, cy] = [xs.at(x), ys.at(y)];
      if (error !== null) {
        group.append(
          s('line', { class: 'error', x1: cx, x2: cx, y1: ys.at(y - error), y2: ys.at(y + error) }),
        );
      }
      const mark = s('circle', { cx, cy, r: 5, tabindex: 0, role: 'img', 'aria-label': label });
      mark.addEventListener('pointerenter', () => describe(label));
      mark.addEventListener('focus', () => describe(label));
      group.append(mark);
    }
    chart.append(group);
  }
  return chart;
}

/** Horizontal bars with their values, the longest filling the width. */
export function bars(
  rows: readonly { name: string; value: number; text: string; strong: boolean }[],
): HTMLElement {
  const largest = Math.max(...rows.map(({ value }) => value));
  return h(
    'ul',
    { class: 'bars' },
    ...rows.map(({ name, value, text, strong }) => {
      const bar = h('span', { class: 'bar', 'data-strong': strong ? 'true' : null });
      bar.style.setProperty('--share', String(value / largest));
      return h(
        'li',
        {},
        h('span', {}, name),
        h('span', { class: 'bar-box', 'aria-hidden': 'true' }, bar),
        h('span', { class: 'bar-value' }, text),
      );
    }),
  );
}

function text(content: string, x: number, y: number, anchor: string): SVGElement {
  const element = s('text', { x, y, 'text-anchor': anchor });
  setText(element, content);
  return element;
}

interface Scale {
  at(value: number): number;
  ticks: readonly number[];
  /** Decimal places of the ticks. */
  digits: number;
}

/** A linear scale with round ticks that covers all values. */
export function scale(values: readonly number[], from: number, to: number): Scale {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const step = roundStep((high - low || Math.abs(high) || 1) / 5);
  const [first, last] = [Math.floor(low / step), Math.ceil(high / step)];
  const ticks = Array.from({ length: last - first + 1 }, (_, at) => (first + at) * step);
  const span = (last - first) * step || step;
  return {
    at: (value) => Math.round((from + ((value - first * step) / span) * (to - from)) * 10) / 10,
    ticks,
    digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)),
  };
}

/** 1, 2 or 5 times a power of ten, at least `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return ([1, 2, 5, 10].find((factor) => factor * power >= step - 1e-12) ?? 10) * power;
}
