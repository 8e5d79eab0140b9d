/** Stands for what `wasm-bindgen` writes. */
import { FakeClient } from './stand.js';

/** What happened to the stand-ins, for tests to read and to set. */
export interface GlueLog {
  /** `cpu init 1000`: device, call, bytes; `cpu open {…}`: device, call, configuration. */
  calls: string[];
  /** What opening on a device throws. */
  fails: { cpu?: unknown; webgpu?: unknown };
}

declare global {
  var glueLog: GlueLog;
}

/** The two exports of a generated module. */
export interface Glue {
  init(input: { module_or_path: Response }): Promise<void>;
  Client: { open(config: object): Promise<FakeClient> };
}

export function glue(device: 'cpu' | 'webgpu'): Glue {
  return {
    async init({ module_or_path }) {
      const bytes = await module_or_path.arrayBuffer();
      globalThis.glueLog.calls.push(`${device} init ${bytes.byteLength}`);
    },
    Client: {
      async open(config) {
        globalThis.glueLog.calls.push(`${device} open ${JSON.stringify(config)}`);
        const failure = globalThis.glueLog.fails[device];
        if (failure !== undefined) throw failure;
        return new FakeClient();
      },
    },
  };
}
