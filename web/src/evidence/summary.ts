/** A row of a file in `docs/results`, as `tandem evaluate --json` writes it. */
export interface ResultRow {
  name: string;
  seed: number | null;
  hr10: number;
  ndcg10: number;
  calls: number | null;
  budget: number | null;
  command: string;
  part: string;
  history: string;
  refit: boolean;
  stratum?: string;
  learning?: boolean;
  search?: string;
  fusion?: { rule: string };
  /** Architecture of the small model. */
  small_model?: string;
  /** Training other than the usual one. */
  variant?: string;
}

/** Mean and sample standard deviation over training seeds; `sd` is `null` for one seed. */
export interface Measured {
  mean: number;
  sd: number | null;
}

/** One system at one budget: the mean over all seeds. */
export interface Point {
  dataset: string;
  protocol: 'standard' | 'paper' | 'session';
  name: string;
  /** Training of the small model; `null` for the usual one. */
  variant: string | null;
  search: boolean;
  learning: boolean;
  budget: number | null;
  /** Calls per session or per user; `null` for systems that never call. */
  calls: number | null;
  ndcg10: Measured;
  hr10: Measured;
  seeds: number;
  /** The command of the first seed. */
  command: string;
}

/**
 * Points of one file: test targets of all users, history removed from the rankings. Of small models
 * SASRec only, and of its trainings the usual one, except under the protocol `standard`.
 */
export function summarise(file: string, rows: readonly ResultRow[]): Point[] {
  const match = /^(.+)-(standard|paper|session)(-search|-signals|-best)?\.json$/.exec(file);
  if (match === null)
    throw new Error(`${file}: expected DATASET-PROTOCOL[-search|-signals|-best].json`);
  const [, dataset = '', protocol] = match;
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    if (!isShown(row) || (protocol !== 'standard' && row.variant !== undefined)) continue;
    const { name, variant = '', budget, search = '', learning = '' } = row;
    const key = [name, variant, budget, search, learning].join(' ');
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((group) => {
    const [first] = group as [ResultRow];
    const calls = group.flatMap(({ calls }) => calls ?? []);
    return {
      dataset,
      protocol: protocol as Point['protocol'],
      name: first.name,
      variant: first.variant ?? null,
      search: first.search === 'whole',
      learning: first.learning === true,
      budget: first.budget,
      calls: calls.length === 0 ? null : round(measured(calls).mean),
      ndcg10: measured(group.map(({ ndcg10 }) => ndcg10)),
      hr10: measured(group.map(({ hr10 }) => hr10)),
      seeds: group.length,
      command: first.command,
    };
  });
}

function isShown(row: ResultRow): boolean {
  const { part, history, refit, stratum, fusion, small_model: smallModel } = row;
  const rule = fusion?.rule ?? 'weighted';
  return (
    part === 'test' &&
    history === 'removed' &&
    !refit &&
    stratum === undefined &&
    rule === 'weighted' &&
    (smallModel === undefined || smallModel === 'sasrec')
  );
}

function measured(values: readonly number[]): Measured {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return { mean: round(mean), sd: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean: round(mean), sd: round(Math.sqrt(squares / (values.length - 1))) };
}

function round(value: number): number {
  return Number(value.toFixed(5));
}
