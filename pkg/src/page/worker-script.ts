import { DeviceError } from '../shared/errors.js';

/** Name of this package's Trusted Types policy. */
const POLICY = 'tandem';

/** The part of the Trusted Types API that is used; TypeScript's libraries lack it. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(address: string): string },
  ): { createScriptURL(address: string): TrustedAddress };
}

/** A `TrustedScriptURL` of the page's own Trusted Types policy. */
export interface TrustedAddress {
  toString(): string;
}

let policy: ReturnType<TrustedTypes['createPolicy']> | null = null;

/**
 * Starts the worker at an address. If the page enforces Trusted Types, an address that is not
 * trusted yet becomes so by the policy `tandem`, which the page's Content-Security-Policy has to
 * allow. Throws a `worker_failed` that says what to do.
 */
export function startWorker(address: string | URL | TrustedAddress): Worker {
  try {
    return new Worker(address as string | URL, { type: 'module' });
  } catch (error) {
    const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
    if (!(error instanceof TypeError) || trustedTypes === undefined) {
      throw refused(error, String(address));
    }
    try {
      policy ??= trustedTypes.createPolicy(POLICY, { createScriptURL: (url) => url });
      const trusted = policy.createScriptURL(String(address));
      return new Worker(trusted as unknown as URL, { type: 'module' });
    } catch {
      throw refused(error, String(address));
    }
  }
}

/** The error for a worker that the browser does not start. */
export function refused(error: unknown, address: string | null): DeviceError {
  const { name, message } = error as { name?: string; message?: string };
  const which = address === null ? 'the worker' : `the worker ${address}`;
  const why =
    name === 'SecurityError'
      ? 'browsers start workers only from the page’s own origin: serve dist/ and wasm/ of this ' +
        'package from your site and pass workerUrl and wasmUrl'
      : 'with Trusted Types, pass workerUrl and allow this package’s policy in the ' +
        `Content-Security-Policy: trusted-types ${POLICY}`;
  return new DeviceError('worker_failed', `${which} was refused (${message ?? name}); ${why}`);
}
