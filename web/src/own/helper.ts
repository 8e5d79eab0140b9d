/** What the local server tells about a training, in order (`web/own/run.mjs`). */
export type RunEvent =
  | { type: 'step'; name: string }
  | { type: 'done'; name: string; seconds: number }
  | { type: 'progress'; text: string }
  | { type: 'read'; text: string; badRows: readonly string[]; bad: number }
  | { type: 'quality'; text: string }
  | { type: 'ready'; server: string }
  | { type: 'failed'; code: 'refused' | 'internal'; message: string }
  | { type: 'cancelled' };

export type FileKind = 'events' | 'items';

/** A request that the local server refused. */
export class HelperError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The requests of the page to the local server that trains. */
export class Helper {
  readonly #token: string;
  readonly #fetch: typeof fetch;

  /** `token`: proves that the request comes from the page of this server. */
  constructor(token: string, send: typeof fetch = (...request) => fetch(...request)) {
    this.#token = token;
    this.#fetch = send;
  }

  async upload(kind: FileKind, file: File): Promise<void> {
    await this.#send('PUT', `${kind}?name=${encodeURIComponent(file.name)}`, file);
  }

  /** The next training has no file of items. */
  async withoutItems(): Promise<void> {
    await this.#send('DELETE', 'items');
  }

  async start(): Promise<void> {
    await this.#send('POST', 'start');
  }

  async cancel(): Promise<void> {
    await this.#send('POST', 'cancel');
  }

  /** The events of the last training, old ones first; ends with the training. */
  async *progress(): AsyncGenerator<RunEvent> {
    const { body } = await this.#send('GET', 'progress');
    if (body === null) return;
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? '')).split('\n');
      rest = done ? '' : (lines.pop() ?? '');
      for (const line of lines) if (line !== '') yield JSON.parse(line) as RunEvent;
      if (done) return;
    }
  }

  async #send(method: string, path: string, body: File | null = null): Promise<Response> {
    let response: Response;
    try {
      response = await this.#fetch(`./api/${path}`, {
        method,
        headers: { authorization: `Bearer ${this.#token}` },
        body,
      });
    } catch {
      throw new HelperError(
        'unreachable',
        'The local server does not answer. Check that cargo xtask demo is still running.',
      );
    }
    if (response.ok) return response;
    const refusal = (await response.json().catch(() => ({}))) as Partial<HelperError>;
    throw new HelperError(
      refusal.code ?? 'internal',
      refusal.message ?? `HTTP status ${response.status}`,
    );
  }
}
