/** Rows per workgroup; the size that every adapter supports. */
const WORKGROUP = 64;

/**
 * Scores all rows: one invocation per row. The rows stay on the GPU in 8 bits, four values per
 * word, with their scales beside them.
 */
const shader = (words) => `
@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> scales: array<f32>;
@group(0) @binding(2) var<storage, read> query: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${WORKGROUP})
fn score(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  if (row >= arrayLength(&scores)) { return; }
  var sum = 0.0;
  for (var word = 0u; word < ${words}u; word++) {
    let values = bitcast<i32>(rows[row * ${words}u + word]);
    let four = vec4i(
      extractBits(values, 0u, 8u), extractBits(values, 8u, 8u),
      extractBits(values, 16u, 8u), extractBits(values, 24u, 8u),
    );
    sum += dot(vec4f(four), query[word]);
  }
  scores[row] = sum * scales[row];
}`;

/**
 * The search that a GPU could do at best: one dispatch, one submit, one read-back of all scores,
 * and the selection of the best on the CPU. Not a part of the package: it is measured to tell
 * from how many rows on a GPU would be worth it.
 *
 * @param {{ file: ArrayBuffer, dims: number, k: number }} input `file`: an item table
 */
export async function open({ file, dims, k }) {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice({
    requiredLimits: { maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize },
  });
  const items = new DataView(file).getUint32(0, true);
  const { values, scales } = split(new Uint8Array(file, 8), items, dims);
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffer = (size, usage) => device.createBuffer({ size, usage });
  const upload = (data) => {
    const target = buffer(data.byteLength, STORAGE | COPY_DST);
    device.queue.writeBuffer(target, 0, data);
    return target;
  };
  const [rowsOnGpu, scalesOnGpu] = [upload(values), upload(scales)];
  const queryOnGpu = buffer(4 * dims, STORAGE | COPY_DST);
  const scores = buffer(4 * items, STORAGE | COPY_SRC);
  const result = buffer(4 * items, MAP_READ | COPY_DST);
  const module = device.createShaderModule({ code: shader(dims / 4) });
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module, entryPoint: 'score' },
  });
  const bindings = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [rowsOnGpu, scalesOnGpu, queryOnGpu, scores].map((resource, binding) => ({
      binding,
      resource: { buffer: resource },
    })),
  });
  return async (query) => {
    device.queue.writeBuffer(queryOnGpu, 0, query);
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(Math.ceil(items / WORKGROUP));
    pass.end();
    commands.copyBufferToBuffer(scores, 0, result, 0, 4 * items);
    device.queue.submit([commands.finish()]);
    await result.mapAsync(GPUMapMode.READ);
    const best = largest(new Float32Array(result.getMappedRange()), k);
    result.unmap();
    return best;
  };
}

/** Values and scales of the rows of an item table. */
function split(rows, items, dims) {
  const values = new Uint8Array(items * dims);
  const scales = new Float32Array(items);
  const view = new DataView(rows.buffer, rows.byteOffset);
  for (let item = 0; item < items; item += 1) {
    const at = item * (4 + dims);
    scales[item] = view.getFloat32(at, true);
    values.set(rows.subarray(at + 4, at + 4 + dims), item * dims);
  }
  return { values, scales };
}

/** The largest `k` scores, best first, by a buffer that is cut back to `k` whenever it is full. */
function largest(scores, k) {
  let kept = [];
  let floor = Number.NEGATIVE_INFINITY;
  const cut = () => {
    kept.sort((a, b) => scores[b] - scores[a]);
    kept = kept.slice(0, k);
    if (kept.length === k) floor = scores[kept[k - 1]];
  };
  for (let at = 0; at < scores.length; at += 1) {
    if (scores[at] <= floor) continue;
    kept.push(at);
    if (kept.length >= 8 * k) cut();
  }
  cut();
  return { positions: kept, scores: Float32Array.from(kept, (at) => scores[at]) };
}
