import { toWire, wireError } from '../shared/errors.js';
import type { HostedModel, ModelsResponse } from '../shared/generated.js';
import type { Client } from './engine.js';

/** The language models of the server. `why` is the purpose for the ledger. */
export async function hostedModels(
  client: Client,
  why = 'list of language models',
): Promise<HostedModel[]> {
  const text = await client.request('/v1/models', undefined, why);
  const models = modelsOf(text);
  if (models !== null) return models;
  throw wireError('bad_response', '/v1/models: expected JSON with a list of models');
}

/** Rejects a name that the server does not have. Without an answer any name is accepted. */
export async function checkModel(client: Client, name: string): Promise<void> {
  const models = await hostedModels(client).catch(() => null);
  if (models === null || models.some((model) => model.name === name)) return;
  const known = models.map((model) => `'${model.name}'`).join(', ');
  throw wireError('invalid_argument', `name: expected one of ${known}, found '${name}'`);
}

/**
 * Whether the server answers and has loaded the model; `null`: any. Rejects if it does not answer.
 * Costs the server little, unlike a list. The first request is a POST, which no service worker
 * answers from its cache, and names no item.
 */
export async function canMakeLists(client: Client, name: string | null): Promise<boolean> {
  const why = 'whether the server answers again after a failure';
  await client.request('/v1/rows', '{"items":[]}', why).catch((error: unknown) => {
    // A refusal is an answer, too.
    const { code } = toWire(error);
    if (code !== 'invalid_field' && code !== 'invalid_request') throw error;
  });
  const models = await hostedModels(client, why);
  return models.some((model) => model.ready && (name === null || model.name === name));
}

/** The models of a response; `null` if it has none. */
function modelsOf(text: string): HostedModel[] | null {
  try {
    const { models } = JSON.parse(text) as Partial<ModelsResponse>;
    return Array.isArray(models) ? models : null;
  } catch {
    return null;
  }
}
