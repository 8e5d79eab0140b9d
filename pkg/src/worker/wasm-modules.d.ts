/** The generated modules in `pkg/wasm`, which may be missing while types are checked. */
declare module '*/wasm/cpu/tandem.js' {
  const load: import('./engine.js').WasmModule['default'];
  export default load;
  export const Client: import('./engine.js').WasmModule['Client'];
}
declare module '*/wasm/webgpu/tandem.js' {
  const load: import('./engine.js').WasmModule['default'];
  export default load;
  export const Client: import('./engine.js').WasmModule['Client'];
}
