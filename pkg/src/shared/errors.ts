/**
 * Every code an error of this package can have. All but the last four are the codes of the
 * wire protocol; those four exist only in a browser.
 */
export type ErrorCode =
  | 'invalid_request'
  | 'invalid_field'
  | 'payload_too_large'
  | 'not_found'
  | 'method_not_allowed'
  | 'unsupported_media_type'
  | 'not_ready'
  | 'overloaded'
  | 'timeout'
  | 'internal'
  | 'unreachable'
  | 'bad_response'
  | 'integrity'
  | 'unsupported_version'
  | 'invalid_artifact'
  | 'catalogue_changed'
  | 'invalid_argument'
  | 'no_adapter'
  | 'device_lost'
  | 'disposed'
  | 'aborted'
  | 'unsupported'
  | 'worker_failed'
  | 'quota'
  | 'storage';

/** An error as it crosses from the worker: structured cloning would lose its class. */
export interface WireError {
  code: ErrorCode;
  message: string;
  /** WebAssembly trapped: the worker cannot be used any more. */
  fatal?: true;
}

/** What every rejection and every `error` event of this package is. */
export class TandemError extends Error {
  override name = 'TandemError';
  /** For programs; stays while the message may change. */
  readonly code: ErrorCode;

  /** The WebAssembly of the worker trapped; the session goes on in another. */
  readonly fatal: boolean;

  constructor(code: ErrorCode, message: string, fatal = false) {
    super(message);
    this.code = code;
    this.fatal = fatal;
  }
}

/** The server could not be reached, refused, was late, or answered something unreadable. */
export class ServerError extends TandemError {
  override name = 'ServerError';
}

/** A downloaded file is damaged, foreign, or newer than this package. */
export class ArtifactError extends TandemError {
  override name = 'ArtifactError';
}

/** The browser, its worker or its GPU cannot do what was asked. */
export class DeviceError extends TandemError {
  override name = 'DeviceError';
}

/** The browser's storage is full, blocked or gone; the session goes on in memory. */
export class StorageError extends TandemError {
  override name = 'StorageError';
}

/** The call makes no sense as it was made. */
export class UsageError extends TandemError {
  override name = 'UsageError';
}

/** The recommender was disposed of, or the caller aborted. */
export class LifecycleError extends TandemError {
  override name = 'LifecycleError';
}

const families: Record<ErrorCode, typeof TandemError> = {
  invalid_request: UsageError,
  invalid_field: UsageError,
  invalid_argument: UsageError,
  payload_too_large: ServerError,
  not_found: ServerError,
  method_not_allowed: ServerError,
  unsupported_media_type: ServerError,
  not_ready: ServerError,
  overloaded: ServerError,
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
  return typeof code === 'string' && Object.hasOwn(families, code);
}

/** Makes the class that belongs to a code. */
export function errorFrom({ code, message, fatal }: WireError): TandemError {
  return new families[code](code, message, fatal);
}

/**
 * Brings anything thrown into `{ code, message }`. What is no error of ours, such as a trap
 * inside WebAssembly, becomes `internal` and keeps its message.
 */
export function toWire(thrown: unknown): WireError {
  if (typeof thrown === 'object' && thrown !== null) {
    const { code, message } = thrown as { code?: unknown; message?: unknown };
    const text = typeof message === 'string' ? message : String(thrown);
    const error: WireError = { code: isErrorCode(code) ? code : 'internal', message: text };
    // What a trap of WebAssembly throws is called so; nothing else in a browser is.
    return (thrown as { name?: unknown }).name === 'RuntimeError'
      ? { ...error, fatal: true }
      : error;
  }
  return { code: 'internal', message: String(thrown) };
}
