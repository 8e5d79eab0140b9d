/**
 * Compares the device's model with onnxruntime-web and TensorFlow.js: the same SASRec with the
 * same weights, on one page of one Chromium, in alternating rounds.
 *
 *     node web/bench/run.mjs [--webgpu] [--rounds N] [--only NAME,NAME]
 *
 * `rerank` is the cost of one click in a running session: Tandem keeps the encoded history, an
 * exported model encodes all clicks again. `whole` encodes the whole history, as after a reload.
 * Prints tables, then one line of JSON: ratios of medians (ours / theirs), sizes in KB (1,000
 * bytes) after Brotli, and `memory_growth`, the relative growth of memory from 100 to 1,000
 * clicks. Figures that were not measured are `null`. Requires the modules of `cargo xtask wasm`
 * and the built package.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { callInFreshPage, launch } from './browser.mjs';
import { bundleTensorflow } from './bundle.mjs';
import { clickTimes } from './clicks.mjs';
import { readItemTable, writeItemTable } from './model/item-table.mjs';
import { onnxModel, searchModel } from './model/onnx.mjs';
import { shape } from './model/shape.mjs';
import { syntheticBody, syntheticRows } from './model/synthetic.mjs';
import { gpuTable, memoryTable, ratio, round, sizesTable, time, timesTable } from './report.mjs';
import { benchWasmFolder, clientFolder, packageVersion, serve, wasmFolder } from './server.mjs';
import { runtimeSize } from './sizes.mjs';
import { coldStarts, memory } from './whole.mjs';

/** Numbers of rows that are searched. */
const SEARCH_SIZES = [12_000, 200_000];
/** Those that are searched on a GPU too. */
const GPU_SEARCH_SIZES = [200_000];
/** Results per search. */
const SEARCH_K = 100;

/** Catalogues of the whole clicks, by number of items. */
const CATALOGUES = {
  20000: { count: 20_000, search: { k: SEARCH_K } },
  1000000: { count: 1_000_000, search: { k: SEARCH_K }, cells: true },
};
const CLICKS = 100;

const RUNTIMES = ['tandem', 'onnxruntime', 'tensorflow'];

async function main() {
  const options = read(process.argv.slice(2));
  const devices = options.webgpu ? ['cpu', 'webgpu'] : ['cpu'];
  if (included(options, 'tandem')) devices.forEach(requireBuilt);

  const body = syntheticBody(10);
  const tensorflow = await bundleTensorflow();
  const bundled = Object.entries(tensorflow.scripts).map(([name, code]) => [
    `/tensorflow/${name}`,
    code,
  ]);
  const server = await serve({
    '/model/body.safetensors': body,
    '/model/model.onnx': onnxModel(body),
    ...searchFiles(),
    ...Object.fromEntries(bundled),
  });
  let cpu;
  let webgpu = null;
  try {
    cpu = await onCpu(server, options);
    if (options.webgpu) webgpu = await onWebGpu(server, options);
  } finally {
    await server.close();
  }
  const { memory_growth, ...ratios } = cpu;
  const kilobytes = await sizes(devices, options, tensorflow);
  console.log(JSON.stringify({ ...ratios, ...webgpu, ...kilobytes, memory_growth }));
}

/** For each size the item table and the ONNX file of the same rows. */
function searchFiles() {
  const files = SEARCH_SIZES.flatMap((size) => {
    const table = writeItemTable(syntheticRows(size, 15), shape.dims);
    const { rows } = readItemTable(new Uint8Array(table).buffer);
    return [
      [`/model/rows${size}.bin`, table],
      [`/model/search${size}.onnx`, searchModel(rows, SEARCH_K)],
    ];
  });
  return Object.fromEntries(files);
}

function read(words) {
  const { values } = parseArgs({
    args: words,
    options: {
      webgpu: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '300' },
      only: { type: 'string' },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Error(`--rounds: expected an integer of at least 1, found ${values.rounds}`);
  }
  return { webgpu: values.webgpu, rounds, only: values.only?.split(',') ?? null };
}

const included = ({ only }, name) => only === null || only.includes(name);

function requireBuilt(device) {
  for (const [folder, option] of [
    [wasmFolder, ''],
    [benchWasmFolder, ' --bench'],
  ]) {
    const module = join(folder, device, 'tandem_bg.wasm');
    if (!existsSync(module)) {
      throw new Error(`${module} is missing: run \`cargo xtask wasm --only ${device}${option}\``);
    }
  }
  if (!existsSync(join(clientFolder, 'tandem.global.js'))) {
    throw new Error('pkg/dist is not built: run `npm run build`');
  }
}

async function onCpu(server, options) {
  const browser = await launch({ webgpu: false });
  try {
    log(`Chromium ${browser.version()}, CPU, one thread each`);
    const { samples, agreement, notes } = await callInFreshPage(
      browser,
      `${server.url}/page/measure.html`,
      'measure',
      {
        device: 'cpu',
        only: options.only,
        rounds: options.rounds,
        warmUp: 60,
        learnRounds: options.rounds,
        search: { sizes: SEARCH_SIZES, k: SEARCH_K },
      },
    );
    log('cold starts');
    const names = RUNTIMES.filter((name) => included(options, name));
    const cold = await coldStarts(browser, server, names);
    const clicks = included(options, 'tandem') ? await wholeClicks(browser) : {};
    const all = { ...samples, ...cold, ...clicks };
    const versions = ['onnxruntime-web', '@tensorflow/tfjs-core', 'hnswlib-wasm'].map(
      (name) => `${name} ${packageVersion(name)}`,
    );
    console.log(`Chromium ${browser.version()}, ${versions.join(', ')}`);
    console.log(`Largest differences: ${JSON.stringify(agreement)}`);
    for (const note of notes) console.log(`Note: ${note}`);
    console.log(
      `\n${timesTable('CPU: one thread, 30-click session; rerank: encodes the newest click; whole: encodes all 30 clicks; cold: from a loaded script to the first list; searchN: best 100 of N rows; clickN: the whole click in the package with N items, in the worker; trackN: the same on the page', all)}\n`,
    );
    const memoryGrowth = included(options, 'tandem') ? await growth(browser) : null;
    return {
      rerank20_vs_ort: ratio(all, 'rerank20', ['onnxruntime']),
      rerank100_vs_ort: ratio(all, 'rerank100', ['onnxruntime']),
      whole20_vs_ort: ratio(all, 'whole20', ['onnxruntime']),
      whole50_vs_ort: ratio(all, 'whole50', ['onnxruntime']),
      whole50_ms: time(all, 'whole50'),
      whole100_vs_ort: ratio(all, 'whole100', ['onnxruntime']),
      learn_vs_tfjs: ratio(all, 'learn', ['tensorflow', 'tensorflow-js']),
      cold_start_vs_ort: ratio(all, 'cold', ['onnxruntime']),
      search_12000_ms: time(all, 'search12000'),
      click_20000_ms: time(all, 'click20000'),
      click_1000000_ms: time(all, 'click1000000'),
      click_cells_vs_whole: relative(time(all, 'click1000000'), time(all, 'click20000')),
      search_vs_ort: ratio(all, 'search12000', ['onnxruntime']),
      search_vs_hnswlib: ratio(all, 'search12000', ['hnswlib']),
      search_200000_vs_ort: ratio(all, 'search200000', ['onnxruntime']),
      search_200000_vs_hnswlib: ratio(all, 'search200000', ['hnswlib']),
      webgpu_rerank_vs_ort: null,
      webgpu_rerank_vs_tfjs: null,
      search_200000_cpu_vs_webgpu: null,
      memory_growth: memoryGrowth,
    };
  } finally {
    await browser.close();
  }
}

const relative = (a, b) => (a === null || b === null ? null : round(a / b));

/** Milliseconds of whole clicks, by `<job> tandem`. */
async function wholeClicks(browser) {
  log('whole clicks');
  const samples = {};
  for (const [items, catalogue] of Object.entries(CATALOGUES)) {
    const { device, page, ...bytes } = await clickTimes(browser, { catalogue, clicks: CLICKS });
    log(`  ${items} items: ${JSON.stringify(bytes)}`);
    samples[`click${items} tandem`] = device;
    samples[`track${items} tandem`] = page;
  }
  return samples;
}

async function growth(browser) {
  log('memory');
  const found = await memory(browser);
  console.log(`${memoryTable(found)}\n`);
  const [before, after] = found;
  return round(after.total / before.total - 1);
}

async function onWebGpu(server, options) {
  const browser = await launch({ webgpu: true });
  try {
    log('WebGPU');
    const { samples, agreement, gpuWork } = await callInFreshPage(
      browser,
      `${server.url}/page/measure.html`,
      'measure',
      {
        device: 'webgpu',
        only: options.only,
        rounds: 24,
        warmUp: 4,
        learnRounds: 0,
        search: { sizes: GPU_SEARCH_SIZES, k: SEARCH_K },
      },
    );
    console.log(`Largest differences: ${JSON.stringify(agreement)}`);
    console.log(
      `\n${timesTable('WebGPU: one adapter, 30-click session; searchN: best 100 of N rows by our search on the CPU and by a scan on the adapter', samples)}\n`,
    );
    console.log(`${gpuTable(gpuWork)}\n`);
    return {
      webgpu_rerank_vs_ort: ratio(samples, 'rerank50', ['onnxruntime']),
      webgpu_rerank_vs_tfjs: ratio(samples, 'rerank50', ['tensorflow']),
      search_200000_cpu_vs_webgpu: ratio(samples, 'search200000', ['webgpu']),
    };
  } finally {
    await browser.close();
  }
}

async function sizes(devices, options, tensorflow) {
  log('sizes');
  const ours = {};
  for (const device of devices) {
    const measured = {};
    for (const name of RUNTIMES.filter((name) => included(options, name))) {
      measured[name] = await runtimeSize(name, device, tensorflow);
    }
    ours[device] = measured.tandem;
    console.log(`${sizesTable(`Sizes after Brotli, ${device}`, measured)}\n`);
  }
  const total = (size) => (size ? round((size.wasm + size.scripts) / 1000) : null);
  return {
    default_brotli_kb: total(ours.cpu),
    webgpu_brotli_kb: total(ours.webgpu),
  };
}

function log(step) {
  console.error(step);
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
