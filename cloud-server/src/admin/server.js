/** Calls the server that this page is from. */

/** The server answered with an error; `status`, `code` and `message` are those of its answer. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = problem.code ?? 'internal';
  }
}

/** No answer arrived. */
export class Gone extends Error {
  constructor() {
    super('The server does not answer.');
  }
}

/** Time without an answer after which the server counts as gone. */
const PATIENCE_MS = 30_000;
/** The same for actions: a release may be loaded for as long as a request may take. */
const ACTION_PATIENCE_MS = 660_000;

export class Server {
  #key;
  /** When the server answered last, in milliseconds since 1970; `null` before that. */
  lastAnswer = null;

  /** `key` is `null` on a server without keys. */
  constructor(key) {
    this.#key = key;
  }

  get hasKey() {
    return this.#key !== null;
  }

  get(path) {
    return this.#send('GET', path);
  }

  delete(path) {
    return this.#send('DELETE', path);
  }

  post(path, body) {
    return this.#send('POST', path, body);
  }

  async #send(method, path, body) {
    const headers = {};
    if (this.#key !== null) headers.authorization = `Bearer ${this.#key}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    // Relative, because a proxy may serve the server under a path.
    const request = fetch(`../v1/${path}`, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(method === 'GET' ? PATIENCE_MS : ACTION_PATIENCE_MS),
      cache: 'no-store',
    });
    let response;
    let text;
    try {
      response = await request;
      text = await response.text();
    } catch {
      throw new Gone();
    }
    this.lastAnswer = Date.now();
    const answer = parsed(text);
    if (!response.ok) throw new Refused(response.status, answer ?? {});
    return answer;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    // An answer without a body, or of a proxy.
    return null;
  }
}
