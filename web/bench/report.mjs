import { median, quantile } from './statistics.mjs';

/** Display names. */
const TITLES = {
  tandem: 'Tandem',
  onnxruntime: 'onnxruntime-web',
  tensorflow: 'TensorFlow.js',
  'tensorflow-js': 'TensorFlow.js cpu',
  hnswlib: 'hnswlib-wasm exact',
  webgpu: 'WebGPU scan',
};

/**
 * One line per job and runtime. Ratios are our time divided by theirs: below 1 means faster.
 *
 * @param {string} title
 * @param {Record<string, number[]>} samples milliseconds by `<job> <runtime>`
 */
export function timesTable(title, samples) {
  const head = ['job', 'runtime', 'n', 'median ms', 'p95 ms', 'ours / theirs', 'p95'];
  const rows = Object.entries(samples).map(([key, times]) => {
    const [job, name] = key.split(' ');
    const ours = samples[`${job} tandem`];
    const compared = ours !== undefined && name !== 'tandem';
    return [
      job,
      TITLES[name],
      String(times.length),
      figure(median(times)),
      figure(quantile(times, 0.95)),
      compared ? figure(median(ours) / median(times)) : '',
      compared ? figure(quantile(ours, 0.95) / quantile(times, 0.95)) : '',
    ];
  });
  return table(title, head, rows);
}

/** @param {Record<string, { wasm: number, scripts: number }>} sizes bytes by runtime */
export function sizesTable(title, sizes) {
  const rows = Object.entries(sizes).map(([name, { wasm, scripts }]) => {
    return [TITLES[name], ...[wasm, scripts, wasm + scripts].map(kilobytes)];
  });
  return table(title, ['runtime', 'wasm kB', 'scripts kB', 'total kB'], rows);
}

/** @param {Record<string, Record<string, number>>} work by runtime */
export function gpuTable(work) {
  const rows = Object.entries(work).map(([name, { dispatches, submits, readbacks }]) => {
    return [TITLES[name], String(dispatches), String(submits), String(readbacks)];
  });
  const head = ['runtime', 'dispatches', 'submits', 'readbacks'];
  return table('GPU work of one re-ranking', head, rows);
}

/** @param {Awaited<ReturnType<import('./whole.mjs').memory>>} found */
export function memoryTable(found) {
  const rows = found.flatMap(({ clicks, ...bytes }) =>
    Object.entries(bytes).map(([part, size]) => [
      part,
      `${clicks.toLocaleString('en')} clicks`,
      kilobytes(size),
    ]),
  );
  const head = ['part', 'after', 'kB'];
  return table('Memory of the package', head, rows);
}

/** Our median divided by the smallest of theirs; `null` if either was not measured. */
export function ratio(samples, job, names) {
  const ours = samples[`${job} tandem`];
  const theirs = names.map((name) => samples[`${job} ${name}`]).filter((times) => times?.length);
  if (!ours?.length || theirs.length === 0) return null;
  return round(median(ours) / Math.min(...theirs.map(median)));
}

/** Our median in milliseconds, or `null` if it was not measured. */
export function time(samples, job) {
  const ours = samples[`${job} tandem`];
  return ours?.length ? round(median(ours)) : null;
}

export const round = (value) => Number(value.toPrecision(4));

const kilobytes = (bytes) => (bytes / 1000).toFixed(1);

const figure = (value) => (value < 0.1 ? value.toPrecision(2) : value.toPrecision(3));

function table(title, head, rows) {
  const lines = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...lines.map((line) => line[at].length)));
  const text = (at) => at < 2 && head[at] !== 'wasm kB' && head[at] !== 'dispatches';
  const print = (line) =>
    line
      .map((cell, at) => (text(at) ? cell.padEnd(widths[at]) : cell.padStart(widths[at])))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [title, print(head), rule, ...rows.map(print)].join('\n');
}
