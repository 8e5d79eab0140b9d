import type { WireErrorCode } from './generated.js';

/** Codes that exist only in a browser. */
type BrowserErrorCode = 'unsupported' | 'worker_failed' | 'quota' | 'storage';

/** Codes of the errors of this package: those of the wire protocol, and those of the browser. */
export type ErrorCode = WireErrorCode | BrowserErrorCode;

/** An error as it crosses from the worker; structured cloning would lose its class. */
export interface WireError {
  code: ErrorCode;
  message: string;
  /** WebAssembly trapped: the worker cannot be used any more. */
  fatal?: true;
}

/** The class of every rejection and every `error` event of this package. */
export class TandemError extends Error {
  override name = 'TandemError';
  /** For programs; stable, while the message may change. */
  readonly code: ErrorCode;

  /** The worker's WebAssembly trapped; the session continues in a new worker. */
  readonly fatal: boolean;

  constructor(code: ErrorCode, message: string, fatal = false) {
    super(message);
    this.code = code;
    this.fatal = fatal;
  }
}

/** The server could not be reached, refused the request, was late, or sent an invalid response. */
export class ServerError extends TandemError {
  override name = 'ServerError';
}

/** A downloaded file is damaged, belongs to another model, or is newer than this package. */
export class ArtifactError extends TandemError {
  override name = 'ArtifactError';
}

/** The browser, its worker or its GPU lacks what is needed. */
export class DeviceError extends TandemError {
  override name = 'DeviceError';
}

/** The browser's storage is full, blocked or deleted; the session continues in memory. */
export class StorageError extends TandemError {
  override name = 'StorageError';
}

/** The call has invalid arguments. */
export class UsageError extends TandemError {
  override name = 'UsageError';
}

/** The recommender was disposed of, or the caller aborted. */
export class LifecycleError extends TandemError {
  override name = 'LifecycleError';
}

/** The class of each code. */
const classes: Record<ErrorCode, typeof TandemError> = {
  invalid_request: UsageError,
  invalid_field: UsageError,
  invalid_argument: UsageError,
  unknown_item: UsageError,
  payload_too_large: ServerError,
  not_found: ServerError,
  method_not_allowed: ServerError,
  unauthorized: ServerError,
  unsupported_media_type: ServerError,
  not_ready: ServerError,
  overloaded: ServerError,
  rate_limited: ServerError,
  event_log_full: ServerError,
  storage_full: ServerError,
  conflict: ServerError,
  release_refused: ServerError,
  timeout: ServerError,
  internal: TandemError,
  unreachable: ServerError,
  bad_response: ServerError,
  integrity: ArtifactError,
  unsupported_version: ArtifactError,
  invalid_artifact: ArtifactError,
  catalogue_changed: ArtifactError,
  no_adapter: DeviceError,
  device_lost: DeviceError,
  unsupported: DeviceError,
  worker_failed: DeviceError,
  quota: StorageError,
  storage: StorageError,
  disposed: LifecycleError,
  aborted: LifecycleError,
};

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(classes, code);
}

/** An error of the class that belongs to the code. */
export function errorFrom({ code, message, fatal }: WireError): TandemError {
  return new classes[code](code, message, fatal);
}

/** An error to throw inside the worker. */
export function wireError(code: ErrorCode, message: string): WireError {
  return { code, message };
}

/**
 * Converts any thrown value to `{ code, message }`. A value that is not an error of this
 * package, such as a trap of WebAssembly, becomes `internal` and keeps its message.
 */
export function toWire(thrown: unknown): WireError {
  if (typeof thrown !== 'object' || thrown === null) return wireError('internal', String(thrown));
  const { code, message, name } = thrown as { code?: unknown; message?: unknown; name?: unknown };
  const text = typeof message === 'string' ? message : String(thrown);
  const error = wireError(isErrorCode(code) ? code : 'internal', text);
  // The name of what a WebAssembly trap throws; nothing else in a browser has it.
  return name === 'RuntimeError' ? { ...error, fatal: true } : error;
}
