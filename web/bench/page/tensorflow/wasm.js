import '@tensorflow/tfjs-core/dist/register_all_gradients';

export { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
export * from '@tensorflow/tfjs-core';
