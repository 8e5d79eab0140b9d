/**
 * The parts of a WebAssembly module, by the crates in the names of its functions.
 * Formats: WebAssembly core specification, 5.5 (modules) and appendix 7.4 (name section).
 */

const CUSTOM = 0;
const IMPORT = 2;
const CODE = 10;
const DATA = 11;
const FUNCTION_NAMES = 1;

/** Crates by purpose, in the order of the table; the first match counts. */
const KINDS = [
  ['this project, and its bindings to JavaScript', /^(tandem_|wasm_client|js_sys|wasm_bindgen)/],
  ['Burn', /^burn/],
  ['kernels for the GPU (CubeCL)', /^cube/],
  ['the way to the GPU, and shaders (wgpu, naga)', /^(wgpu|naga|web_sys)/],
  ['serde: JSON, safetensors, values of JavaScript', /^(serde|safetensors|itoa|ryu)/],
  ['Rust’s own library', /^(core|alloc|std|hashbrown|dlmalloc|compiler_builtins)$/],
];
const OTHERS = 'other crates, and functions without a name';

/** Bytes of code by kind, then of data and of everything else. */
export function composition(module) {
  const sections = [...readSections(module)];
  const imported = sections
    .filter(({ id }) => id === IMPORT)
    .reduce((sum, section) => sum + importedFunctions(section), 0);
  const names = functionNames(sections);
  const sizes = Object.fromEntries([...KINDS.map(([kind]) => [kind, 0]), [OTHERS, 0]]);
  const code = sections.find(({ id }) => id === CODE);
  functionSizes(code).forEach((size, at) => {
    sizes[kindOf(names.get(imported + at))] += size;
  });
  const data = bytesOf(sections.filter(({ id }) => id === DATA));
  const rest = bytesOf(sections.filter(({ id }) => ![CUSTOM, CODE, DATA].includes(id)));
  return { ...sizes, 'constants and texts': data, 'types, tables, exports': rest };
}

/** The first crate in a name; `<A as B>::f` belongs to the crate of `A`. */
export function crateOf(name) {
  return /[A-Za-z_]\w*(?=(?:\[[0-9a-f]+\])?::)/.exec(name)?.[0] ?? null;
}

function kindOf(name) {
  const crate = name === undefined ? null : crateOf(name);
  return KINDS.find(([, crates]) => crate !== null && crates.test(crate))?.[0] ?? OTHERS;
}

const bytesOf = (sections) => sections.reduce((sum, { bytes }) => sum + bytes.length, 0);

class Reader {
  at = 0;

  constructor(bytes) {
    this.bytes = bytes;
  }

  get done() {
    return this.at >= this.bytes.length;
  }

  byte() {
    this.at += 1;
    return this.bytes[this.at - 1];
  }

  /** An unsigned LEB128. */
  number() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  take(length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text() {
    return this.take(this.number()).toString('utf8');
  }
}

function* readSections(module) {
  const reader = new Reader(module);
  if (reader.take(4).toString('latin1') !== '\0asm') throw new Error('not a WebAssembly module');
  reader.take(4);
  while (!reader.done) yield { id: reader.byte(), bytes: reader.take(reader.number()) };
}

function importedFunctions({ bytes }) {
  const reader = new Reader(bytes);
  let functions = 0;
  for (let left = reader.number(); left > 0; left -= 1) {
    reader.text();
    reader.text();
    const kind = reader.byte();
    if (kind === 0) functions += 1;
    // A table has its type before its limits, a global its mutability after its type.
    if (kind === 0) reader.number();
    else if (kind === 3) reader.take(2);
    else {
      if (kind === 1) reader.byte();
      const limited = reader.byte() & 1;
      reader.number();
      if (limited) reader.number();
    }
  }
  return functions;
}

function functionSizes({ bytes }) {
  const reader = new Reader(bytes);
  return Array.from({ length: reader.number() }, () => {
    const size = reader.number();
    reader.take(size);
    return size;
  });
}

function functionNames(sections) {
  const names = new Map();
  for (const { bytes } of sections.filter(({ id }) => id === CUSTOM)) {
    const section = new Reader(bytes);
    if (section.text() !== 'name') continue;
    while (!section.done) {
      const id = section.byte();
      const part = new Reader(section.take(section.number()));
      if (id !== FUNCTION_NAMES) continue;
      for (let left = part.number(); left > 0; left -= 1) names.set(part.number(), part.text());
    }
  }
  return names;
}
