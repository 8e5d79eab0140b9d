import { wireError } from '../shared/errors.js';
import type { HostedModel, ModelsResponse } from '../shared/generated.js';
import type { Client } from './engine.js';

/** The language models of the server. */
export async function hostedModels(client: Client): Promise<HostedModel[]> {
  const text = await client.request('/v1/models', undefined, 'list of language models');
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

/** The models of a response; `null` if it has none. */
function modelsOf(text: string): HostedModel[] | null {
  try {
    const { models } = JSON.parse(text) as Partial<ModelsResponse>;
    return Array.isArray(models) ? models : null;
  } catch {
    return null;
  }
}
